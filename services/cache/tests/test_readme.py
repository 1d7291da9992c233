"""The README says what the code says."""

import re
from pathlib import Path

from penstock_cache.settings import CacheSettings
from servicekit.settings import ServiceSettings

README = Path(__file__).parent.parent / "README.md"


def test_the_settings_table_is_that_of_the_code(monkeypatch):
    monkeypatch.delenv("PENSTOCK_PORT_OFFSET", raising=False)
    rows = re.findall(r"^\| `(PENSTOCK_CACHE_\w+)` \| (\S+)", README.read_text(), re.MULTILINE)
    own = set(CacheSettings.model_fields) - set(ServiceSettings.model_fields) | {"grpc_port"}
    settings = CacheSettings()
    expected = {CacheSettings.variable(name): str(getattr(settings, name)) for name in own}
    assert dict(rows) == expected
