"""The counts of one transaction: what limits admit, what holds take of them, and what comes back."""

from collections.abc import Iterable

from penstock_billing import refusals
from penstock_billing.ledger import Hold, Rate, Taking
from penstock_billing.limit import Caller, Count, Limit, Unit

Bound = tuple[Limit, Count]


class LimitCounts:
    """Limits and their counts as they stand now, and what commands make of them."""

    def __init__(self, limits: Iterable[Limit], counts: Iterable[Count], now_ms: int) -> None:
        self._limits = {limit.prefix: limit for limit in limits}
        self._loaded = {count.key: count for count in counts}
        self._now_ms = now_ms
        self._bounds: dict[str, Bound | None] = {}
        self._binding: dict[Caller, list[Bound]] = {}
        self._touched: dict[str, Count] = {}

    @property
    def changed(self) -> list[Count]:
        """Counts that moved."""
        return list(self._touched.values())

    def binding(self, caller: Caller) -> list[Bound]:
        """Find the counts that a caller's operation adds to."""
        found = self._binding.get(caller)
        if found is None:
            keys = [limit.key(caller) for limit in self._limits.values()]
            found = [bound for key in keys if key is not None and (bound := self._bound(key)) is not None]
            self._binding[caller] = found
        return found

    def check(self, bound: Iterable[Bound], unit: Unit, units: int) -> None:
        """Make sure that so many units fit.

        Raises:
            ResourceExhausted: they do not (RATE_LIMIT_EXCEEDED, CONCURRENCY_LIMIT_EXCEEDED).
        """
        for limit, count in bound:
            if limit.unit is unit and units > count.room(limit):
                raise refusals.limit_exceeded(limit, count, units)

    def take(self, bound: Iterable[Bound], tokens: int) -> tuple[Taking, ...]:
        """Count an operation that was admitted, and give what it took."""
        takings = []
        for limit, count in bound:
            units = tokens if limit.unit is Unit.TOKENS else 1
            self._take(limit, count, units)
            takings.append(Taking(count.key, units, self._now_ms))
        return tuple(takings)

    @staticmethod
    def rates(bound: Iterable[Bound]) -> tuple[Rate, ...]:
        """Give the rate of requests and the rate of tokens that have least left."""
        tightest: dict[Unit, Rate] = {}
        for limit, count in bound:
            if limit.unit is Unit.IN_FLIGHT:
                continue
            rate = count.rate(limit)
            if limit.unit not in tightest or rate.remaining < tightest[limit.unit].remaining:
                tightest[limit.unit] = rate
        return tuple(tightest.values())

    def tokens_room(self, hold: Hold) -> int | None:
        """Give how many tokens more a hold may take; None: no limit says."""
        rooms = [count.room(limit) for limit, count, _ in self._taken(hold) if limit.unit is Unit.TOKENS]
        return min(rooms, default=None)

    def take_more(self, hold: Hold, tokens: int) -> Hold:
        """Count tokens that an open hold is widened by."""
        if not tokens or not hold.takings:
            return hold
        wider = {taking.key: taking for taking in hold.takings}
        for limit, count, taking in self._taken(hold):
            if limit.unit is Unit.TOKENS:
                self._take(limit, count, tokens)
                wider[taking.key] = taking._replace(units=taking.units + tokens)
        return hold._replace(takings=tuple(wider.values()))

    def release(self, hold: Hold) -> None:
        """Give everything back: the operation used nothing."""
        for limit, count, taking in self._taken(hold):
            self._give_back(limit, count, taking)

    def expire(self, hold: Hold) -> None:
        """Nobody said what was used: the operation does not run any more, and rates keep what it took."""
        for limit, count, taking in self._taken(hold):
            if limit.unit is Unit.IN_FLIGHT:
                self._give_back(limit, count, taking)

    def settle(self, hold: Hold, tokens: int) -> None:
        """Count what an open hold's operation used instead of what it took; it does not run any more."""
        self.expire(hold)
        self.correct(hold, tokens)

    def correct(self, hold: Hold, tokens: int) -> None:
        """Count the tokens that were used instead of those that were taken."""
        for limit, count, taking in self._taken(hold):
            if limit.unit is not Unit.TOKENS:
                continue
            if tokens > taking.units:
                self._take(limit, count, tokens - taking.units)
            elif tokens < taking.units:
                self._give_back(limit, count, taking._replace(units=taking.units - tokens))

    def recount(self, hold: Hold, tokens: int) -> None:
        """Count an operation whose hold was released and that was used after all."""
        for limit, count, _ in self._taken(hold):
            if limit.unit is not Unit.IN_FLIGHT:
                self._take(limit, count, tokens if limit.unit is Unit.TOKENS else 1)

    def _taken(self, hold: Hold) -> list[tuple[Limit, Count, Taking]]:
        """Find what a hold took, of limits that are still there."""
        bounds = [(self._bound(taking.key), taking) for taking in hold.takings]
        return [(*bound, taking) for bound, taking in bounds if bound is not None]

    def _bound(self, key: str) -> Bound | None:
        """Find a count and its limit, drained to now; None: the limit is not there any more."""
        if key not in self._bounds:
            limit = self._limits.get("/".join(key.split("/", 3)[:3]))
            count = self._loaded.get(key) or Count(key, 0, self._now_ms)
            if limit is not None:
                count.drain(limit, self._now_ms)
            self._bounds[key] = None if limit is None else (limit, count)
        return self._bounds[key]

    def _take(self, limit: Limit, count: Count, units: int) -> None:
        count.take(limit, units)
        count.drain(limit, self._now_ms)
        self._touched[count.key] = count

    def _give_back(self, limit: Limit, count: Count, taking: Taking) -> None:
        count.give_back(limit, taking.units, taking.at_ms)
        count.drain(limit, self._now_ms)
        self._touched[count.key] = count
