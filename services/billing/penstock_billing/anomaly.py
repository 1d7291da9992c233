"""Hours in which spend was unlike that of the same hour of other weeks: a robust z-score, in integers.

The median of the weeks before says what was to be expected, 1.4826 times the median of distances from it (MAD) how far
off is usual (Iglewicz and Hoaglin, 1993). One strange week moves neither.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WEEK_HOURS = 168
WEEKS_MAX = 8
WEEKS_MIN = 4
Z_SCORE_MILLI_DEFAULT = 3500
# What is usual is never taken for less than a tenth of what was expected, and a thousandth of a dollar: a spend that is
# always the same would make a cent an anomaly.
SHARE_MIN = 10
NANOS_MIN = 1_000_000


@dataclass(frozen=True, slots=True)
class Anomaly:
    """An hour, by its place in the history; what was spent and expected, and the score in thousandths."""

    place: int
    spent_nanos: int
    expected_nanos: int
    z_score_milli: int


def find_anomalies(hours: Sequence[int], first: int, z_score_milli_min: int) -> Iterator[Anomaly]:
    """Find anomalies from place `first` of a history on, newest first. An hour with too few weeks before is none."""
    for place in range(len(hours) - 1, first - 1, -1):
        weeks = min(WEEKS_MAX, place // WEEK_HOURS)
        if weeks < WEEKS_MIN:
            return
        past = [hours[place - week * WEEK_HOURS] for week in range(1, weeks + 1)]
        expected = _median(past)
        usual = max(_median([abs(value - expected) for value in past]), expected // SHARE_MIN, NANOS_MIN)
        score = (hours[place] - expected) * 10_000_000 // (14_826 * usual)
        if abs(score) >= z_score_milli_min:
            yield Anomaly(place, hours[place], expected, score)


def _median(values: Sequence[int]) -> int:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2
