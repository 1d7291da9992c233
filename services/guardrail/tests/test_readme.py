"""The README says what the code says."""

import re
from pathlib import Path

from penstock_guardrail.detectors import NameDetector, all_detectors
from penstock_guardrail.settings import GuardrailSettings
from servicekit.settings import ServiceSettings

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_settings_table_is_that_of_the_code():
    rows = dict(re.findall(r"^\| `(PENSTOCK_GUARDRAIL_\w+)` \| ([^|]*?) \|", README, re.MULTILINE))
    own = set(GuardrailSettings.model_fields) - set(ServiceSettings.model_fields) | {"grpc_port"}
    assert rows.keys() == {GuardrailSettings.variable(name) for name in own}
    settings = GuardrailSettings()
    numbers = {name: value for name in own if isinstance(value := getattr(settings, name), int | float)}
    for name, value in numbers.items():
        assert float(rows[GuardrailSettings.variable(name)].split()[0]) == value


def test_every_detector_is_described():
    assert set(re.findall(r"^\| `([a-z-]+)` \|", README, re.MULTILINE)) == {
        *(detector.name for detector in all_detectors()),
        NameDetector.name,
    }
