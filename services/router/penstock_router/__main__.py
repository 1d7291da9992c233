"""`python -m penstock_router`."""

from servicekit.server import run

from penstock_router.server import build
from penstock_router.settings import RouterSettings

run(build, RouterSettings)
