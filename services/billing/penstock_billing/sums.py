"""The sums that people read: which of them a usage line counts for. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from operator import add
from typing import NamedTuple

from penstock_billing.budget import subject_paths
from penstock_billing.clock import DAY_US
from penstock_billing.ledger import Payer
from penstock_billing.usage import NUMBERS

# What is summed, in the order in which a row of sums gives it.
SUMS = ("operations", "attempts", *NUMBERS)
_COST = SUMS.index("cost_nanos")

Row = tuple[int | str, ...]
Totals = tuple[int, ...]


class Grain(IntEnum):
    """How finely a row of `usage_rollups` tells usage apart."""

    # By hour, model, endpoint and outcome: few rows, for charts.
    HOUR_BY_MODEL = 1
    # By hour and by everything else.
    HOUR = 2
    # By day and by everything else.
    DAY = 3


class LineGroup(NamedTuple):
    """Lines that no sum tells apart. `tags` are the values of the labels that sums are kept by, `totals` of SUMS."""

    organization: str
    model: str
    endpoint: str
    outcome: int
    team_id: str
    user_id: str
    api_key_id: str
    sku: str
    book_version: str
    end_hour_us: int
    post_hour_us: int
    tags: tuple[str, ...]
    totals: Totals


def rollup_rows(groups: Iterable[LineGroup], tag_keys: Sequence[str]) -> list[Row]:
    """Give what `usage_rollups` gains: a row for each grain, and for each label and grain but the coarsest."""
    return _summed(
        (key, group.totals)
        for group in groups
        for key in _rollup_keys(group, zip(tag_keys, group.tags, strict=True))
    )


def spend_rows(groups: Iterable[LineGroup]) -> list[Row]:
    """Give what `spend_hours` gains: a row for each subject whose budgets the spend counts for."""
    return _summed(
        ((subject, group.post_hour_us), (group.totals[_COST],))
        for group in groups
        if group.totals[_COST]
        for subject in subject_paths(
            Payer(group.organization, group.user_id, group.team_id, group.api_key_id)
        )
    )


def charge_rows(groups: Iterable[LineGroup]) -> list[Row]:
    """Give what `charge_days` gains: a row for each price and payer."""
    return _summed(
        (
            (
                group.organization,
                _day(group.post_hour_us),
                group.sku,
                group.book_version,
                group.endpoint,
                group.team_id,
                group.user_id,
                group.api_key_id,
            ),
            group.totals,
        )
        for group in groups
    )


def _rollup_keys(group: LineGroup, tags: Iterable[tuple[str, str]]) -> Iterator[Row]:
    organization, hour_us = group.organization, group.end_hour_us
    what = (group.model, group.endpoint, group.outcome)
    who = (group.team_id, group.user_id, group.api_key_id)
    yield organization, "", Grain.HOUR_BY_MODEL.value, hour_us, *what, "", "", "", ""
    for tag_key, tag in (("", ""), *tags):
        yield organization, tag_key, Grain.HOUR.value, hour_us, *what, *who, tag
        yield organization, tag_key, Grain.DAY.value, _day(hour_us), *what, *who, tag


def _summed(rows: Iterable[tuple[Row, Totals]]) -> list[Row]:
    """Sum the rows of each key, in order of the keys: so they lie in the store."""
    sums: dict[Row, Totals] = {}
    for key, totals in rows:
        known = sums.get(key)
        sums[key] = totals if known is None else tuple(map(add, known, totals))
    return [(*key, *totals) for key, totals in sorted(sums.items())]


def _day(at_us: int) -> int:
    return at_us - at_us % DAY_US
