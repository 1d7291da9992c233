"""`python -m penstock_guardrail`."""

from servicekit.server import run

from penstock_guardrail.server import build
from penstock_guardrail.settings import GuardrailSettings

run(build, GuardrailSettings)
