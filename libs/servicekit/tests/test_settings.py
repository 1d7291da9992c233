from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, SecretStr
from servicekit.settings import ServiceSettings, grpc_port_default, peer_address_default


class Billing(ServiceSettings):
    service: ClassVar[str] = "billing"

    grpc_port: int = grpc_port_default(50054)
    inference_address: str = peer_address_default(50055)
    lease_seconds: int = Field(default=60, ge=1, le=3600)
    token: SecretStr = SecretStr("")
    models: tuple[str, ...] = ()


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PENSTOCK_DATABASE_URL", "PENSTOCK_PORT_OFFSET", "PENSTOCK_LOG_LEVEL", "PENSTOCK_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def problem(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        Billing.load()
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_the_defaults_are_those_of_a_laptop() -> None:
    settings = Billing.load()
    assert (settings.host, settings.grpc_port, settings.http_port) == ("127.0.0.1", 50054, 50154)
    assert settings.inference_address == "127.0.0.1:50055"
    assert settings.service_dir == Path(".run/data/billing")


def test_the_offset_moves_ports_and_peers_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_PORT_OFFSET", "300")
    settings = Billing.load()
    assert (settings.grpc_port, settings.http_port) == (50354, 50454)
    assert settings.inference_address == "127.0.0.1:50355"


def test_a_port_that_is_set_is_not_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_PORT_OFFSET", "300")
    monkeypatch.setenv("PENSTOCK_BILLING_GRPC_PORT", "7000")
    assert Billing.load().grpc_port == 7000


def test_the_port_of_a_service_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_GRPC_PORT", "7000")
    assert Billing.load().grpc_port == 50054


def test_the_services_own_variable_wins_over_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LOG_LEVEL", "error")
    assert Billing.load().log_level == "error"
    monkeypatch.setenv("PENSTOCK_BILLING_LOG_LEVEL", "debug")
    assert Billing.load().log_level == "debug"


def test_a_setting_of_one_service_cannot_be_set_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LEASE_SECONDS", "5")
    assert Billing.load().lease_seconds == 60


def test_what_kubernetes_adds_to_the_environment_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_BILLING_PORT", "tcp://10.0.0.1:50054")
    monkeypatch.setenv("PENSTOCK_BILLING_SERVICE_HOST", "10.0.0.1")
    assert Billing.load().host == "127.0.0.1"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Billing.load().lease_seconds = 5


def test_a_value_out_of_range_is_named_with_its_range(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("PENSTOCK_BILLING_LEASE_SECONDS", "0")
    text = problem(capsys)
    assert "PENSTOCK_BILLING_LEASE_SECONDS='0'" in text
    assert "(allowed: >= 1 and <= 3600)" in text


def test_a_collector_without_a_port_or_behind_tls_is_refused(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    for endpoint in ("collector", "https://collector:4317", "http://collector:4317/v1/traces"):
        monkeypatch.setenv("PENSTOCK_OTLP_ENDPOINT", endpoint)
        assert f"PENSTOCK_OTLP_ENDPOINT='{endpoint}'" in problem(capsys)
    monkeypatch.setenv("PENSTOCK_OTLP_ENDPOINT", "http://collector:4317")
    assert Billing.load().otlp_endpoint == "http://collector:4317"


def test_the_variable_that_was_set_is_the_one_named(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("PENSTOCK_LOG_LEVEL", "loud")
    assert "PENSTOCK_LOG_LEVEL='loud'" in problem(capsys)


def test_one_bad_value_is_one_problem_and_all_are_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("PENSTOCK_PORT_OFFSET", "far")
    monkeypatch.setenv("PENSTOCK_BILLING_LEASE_SECONDS", "0")
    assert len(problem(capsys).splitlines()) == 2


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("PENSTOCK_BILLING_MODELS", "{not json")
    assert "models" in problem(capsys)
    monkeypatch.delenv("PENSTOCK_BILLING_MODELS")
    with pytest.raises(SystemExit):
        Bad.load()
    assert "hunter2" not in capsys.readouterr().err


class Bad(ServiceSettings):
    service: ClassVar[str] = "billing"
    token: SecretStr = Field(default=SecretStr("hunter2"), max_length=3, validate_default=True)
