"""Share an engine between tenants by what each was served (virtual token counter, Sheng et al., OSDI 2024)."""

from collections import Counter

PROMPT_TOKEN_COST = 1
ANSWER_TOKEN_COST = 2  # a decoded token costs a step of its own, where a prompt's share one
TENANTS_MAX = 10_000


class TokenCounters:
    """Count each tenant's service; who was served least goes first.

    While two tenants both wait, what they are served differs by at most twice the larger of two costs: the longest
    prompt's, and that of all the tokens that running answers may still have (theorem 4.4 there).
    """

    def __init__(self) -> None:
        self._served: dict[str, int] = {}
        self._waiting: Counter[str] = Counter()
        self._last = 0  # of the tenant that left the line last

    def served(self, tenant: str) -> int:
        """Give what a tenant was served, in prompt tokens' cost."""
        return self._served.get(tenant, 0)

    def waiting(self, tenant: str) -> int:
        """Count what waits of a tenant."""
        return self._waiting[tenant]

    def join(self, tenant: str) -> None:
        """Note that one more waits. Who was away catches up with the least served: idleness earns no credit."""
        if not self._waiting[tenant]:
            present = [self.served(other) for other, count in self._waiting.items() if count]
            self._served[tenant] = max(self.served(tenant), min(present, default=self._last))
            self._forget_idle()
        self._waiting[tenant] += 1

    def leave(self, tenant: str) -> None:
        """Note that one waits no more."""
        self._waiting[tenant] -= 1
        assert self._waiting[tenant] >= 0
        if not self._waiting[tenant]:
            del self._waiting[tenant]
            self._last = self.served(tenant)

    def charge(self, tenant: str, cost: int) -> None:
        """Add to what a tenant was served."""
        self._served[tenant] = self._served.get(tenant, 0) + cost

    def _forget_idle(self) -> None:
        """Bound the memory: who was served least would be caught up anyway."""
        if len(self._served) > TENANTS_MAX:
            idle = sorted((tenant for tenant in self._served if not self._waiting[tenant]), key=self.served)
            for tenant in idle[: TENANTS_MAX // 2]:
                del self._served[tenant]
