"""What the guardrail can be told."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field
from servicekit.settings import ServiceSettings, grpc_port_default


class GuardrailSettings(ServiceSettings):
    """Settings of the guardrail: `PENSTOCK_GUARDRAIL_<NAME>`."""

    service: ClassVar[str] = "guardrail"

    grpc_port: int = grpc_port_default(50052)
    policy: Path = Path(__file__).with_name("policy.yaml")
    root_key_file: Path | None = None
    former_root_key_file: Path | None = None
    coming_root_key_file: Path | None = None
    session_seconds: float = Field(default=3600.0, ge=60, le=7 * 86_400)
    sweep_seconds: float = Field(default=60.0, gt=0, le=3600)
    policy_poll_seconds: float = Field(default=0.5, gt=0, le=1.5)
    audit_sync_seconds: float = Field(default=0.05, ge=0, le=5)
    item_characters_max: int = Field(default=4_194_304, ge=1024, le=16_777_216)
