"""What the cache can be told: `PENSTOCK_CACHE_<NAME>`."""

from typing import ClassVar

from pydantic import Field
from servicekit.settings import ServiceSettings, grpc_port_default, peer_address_default

MIB = 1024 * 1024


class CacheSettings(ServiceSettings):
    """Read once, at the start."""

    service: ClassVar[str] = "cache"

    grpc_port: int = grpc_port_default(50053)
    bytes_max: int = Field(default=512 * MIB, ge=MIB)
    answer_bytes_max: int = Field(default=8 * MIB, ge=1, le=16 * MIB)
    ttl_seconds_max: float = Field(default=86_400.0, gt=0, le=31_536_000)
    temperature_max: float = Field(default=2.0, ge=0, le=2)
    keep_with_tools: bool = True
    keep_restricted: bool = True
    flight_lease_seconds: float = Field(default=5.0, ge=0.1, le=60)
    flight_wait_seconds_max: float = Field(default=600.0, gt=0, le=3600)
    snapshot_interval_seconds: float = Field(default=300.0, ge=1, le=86_400)
    sweep_interval_seconds: float = Field(default=5.0, gt=0, le=3600)
    redis_seconds_max: float = Field(default=0.05, gt=0, le=10)
    lookup_seconds_min: float = Field(default=0.0, ge=0, le=1)
    inference_address: str = peer_address_default(50055)
    encoder: str = Field(default="all-minilm-l6-v2", max_length=256)
    semantic_bytes_max: int = Field(default=256 * MIB, ge=MIB)
    semantic_lookup_seconds_max: float = Field(default=0.1, gt=0, le=10)
    semantic_wrong_share_max: float = Field(default=0.02, gt=0, lt=1)
    semantic_shadow_share: float = Field(default=0.01, ge=0, le=1)
