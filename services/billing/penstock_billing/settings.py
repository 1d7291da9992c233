"""What billing can be told: `PENSTOCK_BILLING_<NAME>`."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field
from servicekit.settings import ServiceSettings, grpc_port_default

# A label of callers that sums are kept by.
AllocationTag = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]

DEFAULT_PRICE_BOOK = Path(__file__).with_name("price_book.yaml")


class BillingSettings(ServiceSettings):
    """Read once, at the start."""

    service: ClassVar[str] = "billing"

    grpc_port: int = grpc_port_default(50054)
    price_book: Path = DEFAULT_PRICE_BOOK
    transaction_items_max: int = Field(default=1024, ge=1, le=4096)
    pending_items_max: int = Field(default=16_384, ge=256)
    sweep_interval_seconds: int = Field(default=1, ge=1, le=3600)
    reconcile_seconds: int = Field(default=30, ge=0, le=86_400)
    sweep_items_max: int = Field(default=512, ge=1, le=4096)
    fold_interval_seconds: int = Field(default=1, ge=1, le=3600)
    allocation_tags: tuple[AllocationTag, ...] = Field(default=("project",), max_length=8)
    operator_organization: str = Field(default="dev", pattern=r"^[a-z0-9-]{1,64}$")
    alert_interval_seconds: int = Field(default=5, ge=1, le=3600)
    webhook_private_addresses: bool = False
