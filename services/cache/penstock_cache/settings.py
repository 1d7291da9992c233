"""What the cache can be told: `PENSTOCK_CACHE_<NAME>`."""

from typing import ClassVar

from pydantic import Field
from servicekit.settings import ServiceSettings, grpc_port_default

MIB = 1024 * 1024


class CacheSettings(ServiceSettings):
    """Read once, at the start."""

    service: ClassVar[str] = "cache"

    grpc_port: int = grpc_port_default(50053)
    bytes_max: int = Field(default=512 * MIB, ge=MIB)
    answer_bytes_max: int = Field(default=8 * MIB, ge=1, le=16 * MIB)
    ttl_seconds_max: float = Field(default=86_400.0, gt=0)
    sweep_interval_seconds: float = Field(default=5.0, gt=0, le=3600)
