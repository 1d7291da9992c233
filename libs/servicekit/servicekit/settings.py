"""Settings from the environment: `PENSTOCK_<SERVICE>_<NAME>`, or `PENSTOCK_<NAME>` for what all share."""

import sys
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "PENSTOCK_"
HTTP_PORT_DISTANCE = 100
BAD_SETTING_EXIT_CODE = 2


def grpc_port_default(port: int) -> Any:
    """Declare a service's own gRPC port: `grpc_port: int = grpc_port_default(50054)`; 0 picks a free one."""
    return Field(
        default_factory=lambda data: port + data["port_offset"], ge=0, le=65535, validate_default=True
    )


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

    port_offset: int = Field(default=0, ge=0, le=10_000)
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
    otlp_endpoint: str = ""

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
            print("\n".join(_problems(cls, error)), file=sys.stderr)  # noqa: T201 - logging is not set up yet
            raise SystemExit(BAD_SETTING_EXIT_CODE) from None

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


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


class _SharedSource(EnvSettingsSource):
    """The variables that all services read."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        if field_name in ServiceSettings.model_fields and field_name not in ServiceSettings.not_shared:
            return super().get_field_value(field, field_name)
        return None, field_name, False


def _problems(cls: type[ServiceSettings], error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        field = str(problem["loc"][0]) if problem["loc"] else ""
        allowed = _allowed(cls.model_fields[field]) if field in cls.model_fields else ""
        lines.append(f"bad setting {cls.variable(field)}={problem['input']!r}: {problem['msg']}{allowed}")
    return lines


def _allowed(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(rule, name)}"
        for rule in field.metadata
        for name, sign in _SIGNS
        if hasattr(rule, name)
    ]
    return f" (allowed: {' and '.join(bounds)})" if bounds else ""


_SIGNS = (
    ("ge", ">="),
    ("gt", ">"),
    ("le", "<="),
    ("lt", "<"),
    ("min_length", "length >="),
    ("max_length", "length <="),
)
