import re
from pathlib import Path

from penstock_billing.settings import BillingSettings
from servicekit.settings import ServiceSettings

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_lists_every_setting_with_its_default() -> None:
    listed = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", README.read_text(), re.MULTILINE))
    own = set(BillingSettings.model_fields) - set(ServiceSettings.model_fields) | {"grpc_port"}
    assert set(listed) == own
    settings = BillingSettings()
    for name in own - {"price_book", "allocation_tags", "operator_organization"}:
        assert int(listed[name]) == getattr(settings, name)
