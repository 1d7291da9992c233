"""Limits: how fast callers may ask, and how much they may run at once.

A rate is a bucket that drains evenly (GCRA, ITU-T I.371, as a leaky bucket): `value` units fit, and drain within
`window_ms`. Levels are kept in units x window_ms, so that what drains in a millisecond is `value` exactly and nothing
is ever rounded. What runs at once is a bucket that drains only when something ends.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from penstock_billing.ledger import Payer, Rate

# What is in flight ends when it ends; there is no better guess.
IN_FLIGHT_RETRY_MS = 1000
LEVEL_MAX = 2**63 - 1
# When a count was last looked at that may not be forgotten: something runs.
NEVER_IDLE_MS = 2**62


class Unit(IntEnum):
    """What is counted, numbered as in the contract."""

    REQUESTS = 1
    TOKENS = 2
    IN_FLIGHT = 3


class Scope(IntEnum):
    """Who shares one count, numbered as in the contract."""

    ORGANIZATION = 0
    TEAM = 1
    USER = 2
    API_KEY = 3


class Caller(NamedTuple):
    """Who asks for what, as far as limits tell callers apart."""

    payer: Payer
    model: str = ""
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """The most units of a window. `window_ms` is 0 for what runs at once; an empty subject, model or tier is any."""

    organization: str
    limit_id: str
    display_name: str
    unit: Unit
    window_ms: int
    value: int
    scope: Scope
    subject: str
    model: str
    tier: str
    create_us: int

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"organizations/{self.organization}/limits/{self.limit_id}"

    @property
    def prefix(self) -> str:
        """What its counts' keys begin with; a limit of the same name that was made later has other counts."""
        return f"{self.organization}/{self.limit_id}/{self.create_us}"

    def key(self, caller: Caller) -> str | None:
        """Name the count of a caller; None: the limit does not bind it."""
        if caller.payer.organization != self.organization:
            return None
        if self.model not in ("", caller.model) or self.tier not in ("", caller.tier):
            return None
        subject = _subject(self.scope, caller.payer)
        if self.scope and (not subject or self.subject not in ("", subject)):
            return None
        return f"{self.prefix}/{subject}"


@dataclass(slots=True)
class Count:
    """How full a bucket is. A working copy, drained to now."""

    key: str
    level: int
    at_ms: int

    def drain(self, limit: Limit, now_ms: int) -> None:
        """Let time pass.

        A clock that steps back drains nothing twice; after a jump of more than a window time goes on from there.
        """
        if not limit.window_ms:
            self.at_ms = NEVER_IDLE_MS if self.level else now_ms
        elif now_ms > self.at_ms:
            self.level = max(0, self.level - limit.value * (now_ms - self.at_ms))
            self.at_ms = now_ms
        elif now_ms < self.at_ms - limit.window_ms:
            self.at_ms = now_ms

    def room(self, limit: Limit) -> int:
        """Give how many units fit."""
        scale = limit.window_ms or 1
        return max(0, (limit.value * scale - self.level) // scale)

    def wait_ms(self, limit: Limit, units: int) -> int | None:
        """Give when so many units will fit; None: never."""
        if units > limit.value:
            return None
        if not limit.window_ms:
            return IN_FLIGHT_RETRY_MS
        excess = self.level + (units - limit.value) * limit.window_ms
        return max(0, -(-excess // limit.value))

    def rate(self, limit: Limit) -> Rate:
        """Say how it stands, as the count of a rate."""
        return Rate(limit.unit, limit.value, self.room(limit), -(-self.level // max(1, limit.value)))

    def take(self, limit: Limit, units: int) -> None:
        """Fill units in, also beyond what fits: usage that is known is counted, as far as 64 bits go."""
        self.level = min(self.level + units * (limit.window_ms or 1), LEVEL_MAX)

    def give_back(self, limit: Limit, units: int, taken_ms: int) -> None:
        """Take units out that were filled in then and not used, but for what may have drained of them meanwhile.

        With that the bucket is never emptier than if they had never been filled in.
        """
        if limit.window_ms:
            drained = limit.value * max(0, self.at_ms - taken_ms)
            self.level = max(0, self.level - max(0, units * limit.window_ms - drained))
        else:
            self.level -= units


def _subject(scope: Scope, payer: Payer) -> str:
    match scope:
        case Scope.TEAM:
            return payer.team
        case Scope.USER:
            return payer.user
        case Scope.API_KEY:
            return payer.api_key
        case Scope.ORGANIZATION:
            return ""
