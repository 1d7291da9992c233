"""Settings from the environment: `PENSTOCK_<SERVICE>_<NAME>`, or `PENSTOCK_<NAME>` for what all share."""

import os
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

PREFIX = "PENSTOCK_"
HTTP_PORT_DISTANCE = 100
BAD_SETTING_EXIT_CODE = 2


def grpc_port_default(port: int) -> Any:
    """Declare a service's own gRPC port, moved by `port_offset`; set to 0 it picks a free one."""
    return Field(default_factory=lambda data: port + data["port_offset"], ge=0, le=65535)


def peer_address_default(port: int) -> Any:
    """Declare where a peer listens, moved by `port_offset`."""
    return Field(default_factory=lambda data: f"127.0.0.1:{port + data['port_offset']}", min_length=1)


def _http_port(data: dict[str, Any]) -> int:
    port: int = data["grpc_port"]
    return port + HTTP_PORT_DISTANCE if port else 0


class ServiceSettings(BaseSettings):
    """What every service can be told. A service subclasses this, sets `service` and adds its own fields.

    The variable of one service (`PENSTOCK_BILLING_LOG_LEVEL`) wins over that of all (`PENSTOCK_LOG_LEVEL`).
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_ignore_empty=True)

    service: ClassVar[str] = ""
    not_shared: ClassVar[frozenset[str]] = frozenset({"grpc_port", "http_port"})

    port_offset: int = Field(default=0, ge=0, le=15_000)
    host: str = "127.0.0.1"
    grpc_port: int = grpc_port_default(0)
    http_port: int = Field(default_factory=_http_port, ge=0, le=65535)
    data_dir: Path = Path(".run/data")
    database_url: str = Field(default="", repr=False)
    redis_url: str = Field(default="", repr=False)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    sched_batch: bool = True
    predrain_seconds: float = Field(default=0.0, ge=0, le=60)
    drain_seconds: float = Field(default=30.0, gt=0, le=600)
    connection_age_seconds_max: float = Field(default=600.0, ge=1)
    concurrent_rpcs_max: int = Field(default=10_000, ge=1)
    otlp_endpoint: str = Field(default="", pattern=r"^(http://)?[^/]+:\d+$|^$")

    @property
    def service_dir(self) -> Path:
        """The directory that only this service writes to."""
        return self.data_dir / self.service

    @classmethod
    def variable(cls, field: str) -> str:
        """Name the environment variable that sets a field."""
        return f"{PREFIX}{cls.service.upper()}_{field.upper()}"

    @classmethod
    def load(cls) -> Self:
        """Read the environment; on a bad value say which variable, what is wrong, what is allowed; exit 2."""
        try:
            return cls()
        except ValidationError as error:
            problems = _problems(cls, error)
        except SettingsError as error:
            problems = [f"bad setting: {error}: {error.__cause__}"]
        print("\n".join(problems), file=sys.stderr)  # noqa: T201 - logging is not set up yet
        raise SystemExit(BAD_SETTING_EXIT_CODE)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_sources: PydanticBaseSettingsSource,
        **_named_sources: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the service's own variables, then the shared ones."""
        shared = _SharedSource(settings_cls, env_prefix=PREFIX)
        return init_settings, EnvSettingsSource(settings_cls, env_prefix=cls.variable("")), shared


class _SharedSource(EnvSettingsSource):
    """The variables that all services read."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        if field_name in ServiceSettings.model_fields and field_name not in ServiceSettings.not_shared:
            return super().get_field_value(field, field_name)
        return None, field_name, False


def _problems(cls: type[ServiceSettings], error: ValidationError) -> list[str]:
    return [
        _problem(cls, str(problem["loc"][0]), problem["input"], problem["msg"])
        if problem["loc"]
        else f"bad settings: {problem['msg']}"
        for problem in error.errors()
        # A default made from a bad value is no second problem.
        if problem["type"] != "default_factory_not_called"
    ]


def _problem(cls: type[ServiceSettings], field_name: str, value: object, message: str) -> str:
    names = (cls.variable(field_name), f"{PREFIX}{field_name.upper()}")
    variable = next((name for name in names if name in os.environ), names[0])
    field = cls.model_fields[field_name]
    shown = repr(value) if field.repr and field.annotation is not SecretStr else "(not shown)"
    return f"bad setting {variable}={shown}: {message}{_allowed(field)}"


def _allowed(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(rule, name)}"
        for rule in field.metadata
        for name, sign in _SIGNS
        if hasattr(rule, name)
    ]
    return f" (allowed: {' and '.join(bounds)})" if bounds else ""


_SIGNS = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
