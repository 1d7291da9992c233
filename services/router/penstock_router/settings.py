"""What the router can be told."""

import socket
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr
from servicekit.settings import ServiceSettings, grpc_port_default, peer_address_default


class RouterSettings(ServiceSettings):
    """Settings of the router: `PENSTOCK_ROUTER_<NAME>`."""

    service: ClassVar[str] = "router"

    grpc_port: int = grpc_port_default(50051)
    guardrail_address: str = peer_address_default(50052)
    cache_address: str = peer_address_default(50053)
    billing_address: str = peer_address_default(50054)
    inference_address: str = peer_address_default(50055)
    catalog: Path = Path(__file__).with_name("catalog.yaml")
    bootstrap_key: SecretStr = SecretStr("")
    bootstrap_organization: str = "dev"
    key_seconds_max: float = Field(default=1.0, gt=0, le=2)
    peer_seconds_max: float = Field(default=10.0, gt=0, le=60)
    cache_seconds_max: float = Field(default=0.25, gt=0, le=5)
    first_token_seconds_max: float = Field(default=120.0, gt=0, le=3600)
    next_token_seconds_max: float = Field(default=30.0, gt=0, le=600)
    holder: str = Field(default_factory=socket.gethostname, min_length=1, max_length=128)
    lease_seconds: int = Field(default=60, ge=3, le=3600)
    linger_seconds: float = Field(default=0.005, ge=0, le=0.1)
    ahead_nanos_per_hour: int = Field(default=0, ge=0)
    ahead_probability_min: float = Field(default=0.05, ge=0, le=1)
    provider_connections_max: int = Field(default=1024, ge=1, le=65536)
