"""An API key as the router knows it: everything but its secret."""

from dataclasses import dataclass
from datetime import datetime

from penstock_router.identity import Principal


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret."""

    organization: str
    id: str
    secret_prefix: str
    display_name: str
    user: str
    team: str
    roles: tuple[str, ...]
    tier: str
    models: tuple[str, ...]
    priority: int
    create_time: datetime
    expire_time: datetime | None = None
    revoke_time: datetime | None = None

    @property
    def name(self) -> str:
        """Give the resource name (AIP-122)."""
        return f"organizations/{self.organization}/apiKeys/{self.id}"

    @property
    def principal(self) -> Principal:
        """Give on whose behalf the key acts."""
        return Principal(
            organization=self.organization,
            api_key=self.id,
            roles=self.roles,
            user=self.user,
            team=self.team,
            tier=self.tier,
            models=self.models,
            priority=self.priority,
            expire_time=self.expire_time,
            revoked=self.revoke_time is not None,
        )
