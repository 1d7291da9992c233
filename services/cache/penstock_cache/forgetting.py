"""The workflow of forgetting: every tier, and then a receipt that says so."""

from collections.abc import Callable

from penstock_cache.entry import Selector
from penstock_cache.erasure_log import ErasureLog, Verification
from penstock_cache.lookup import AnswerCache
from penstock_cache.receipt import Receipt


class Forgetting:
    """Forgets, and proves it.

    Args:
        cache: what is to forget.
        erasures: the log of receipts.
        forget_rooms: forgets what else names users.
        clock: gives seconds since the epoch.
    """

    def __init__(
        self,
        cache: AnswerCache,
        erasures: ErasureLog,
        forget_rooms: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._erasures = erasures
        self._forget_rooms = forget_rooms
        self._clock = clock

    async def forget(self, organization: str, selector: Selector) -> Receipt:
        """Forget what a selector names, for good; the receipt counts what there was in each tier.

        Raises:
            Unavailable: it cannot be said that all is forgotten, or the receipt cannot be written.
        """
        self._forget_rooms()
        counts = await self._cache.forget(organization, selector)
        by_tier = {tier.value: count for tier, count in counts.items()}
        return await self._erasures.write(organization, selector, by_tier, self._clock())

    async def verify(self, receipt: Receipt, organization: str, selector: Selector) -> Verification:
        """Check a receipt; see `ErasureLog.verify`."""
        return await self._erasures.verify(receipt, organization, selector)
