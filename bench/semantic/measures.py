"""The arithmetic: hits, wrong ones among them, and what each rule of the guard does."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from penstock_cache.semantic.guard import RULES

from semantic.answerers import OURS, THRESHOLDS, Found, by_ours, by_threshold
from semantic.files import Pairs, Questions

Answerer = Callable[[Found], int | None]


class Hits(NamedTuple):
    """Of so many questions so many were answered, so many of those from a question that asks for something else."""

    asked: int
    hits: int
    wrong: int

    @property
    def rate(self) -> float:
        """Give the share that was answered."""
        return self.hits / self.asked if self.asked else 0.0

    @property
    def wrong_share(self) -> float:
        """Give the share of answers that were wrong."""
        return self.wrong / self.hits if self.hits else 0.0

    @property
    def wrong_share_upper(self) -> float:
        """Give the upper end of Wilson's 95 % interval of the wrong share."""
        n, p, z = self.hits, self.wrong_share, 1.96
        if not n:
            return 1.0
        return (p + z * z / 2 / n + z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)) / (1 + z * z / n)


def answerers() -> dict[str, Answerer]:
    """Give everyone who is measured, ours first. A threshold is bound as it is named."""
    others = {name: _threshold(similarity) for name, similarity in THRESHOLDS.items()}
    return {OURS: lambda found: found.ours, **others}


def _threshold(similarity: float) -> Answerer:
    return lambda found: by_threshold(found, similarity)


def question_hits(found: Sequence[Found], asked: Questions, kept: Questions, answer: Answerer) -> Hits:
    """Count answers to labelled questions."""
    answers = [answer(one) for one in found]
    wrong = sum(
        place is not None and kept.labels[place] != label
        for place, label in zip(answers, asked.labels, strict=True)
    )
    return Hits(len(answers), sum(place is not None for place in answers), wrong)


def pair_shares(found: Sequence[Found], pairs: Pairs, answer: Answerer) -> tuple[Hits, Hits]:
    """Count the pairs that would share an answer: those that differ, and those that are the same."""
    hits = [answer(one) is not None for one in found]
    different = [hit for hit, same in zip(hits, pairs.same, strict=True) if not same]
    same = [hit for hit, same in zip(hits, pairs.same, strict=True) if same]
    return Hits(len(different), sum(different), sum(different)), Hits(len(same), sum(same), 0)


def ablation(
    questions: tuple[Sequence[Found], Questions, Questions], pairs: Sequence[tuple[Sequence[Found], Pairs]]
) -> list[dict[str, float | str]]:
    """Leave out one rule at a time: what more would be answered, rightly and wrongly."""
    found, asked, kept = questions

    def measure(without: str) -> dict[str, float]:
        answer: Answerer = lambda one: by_ours(one, without=without)  # noqa: E731
        hits = question_hits(found, asked, kept, answer)
        shares = [pair_shares(one, of, answer) for one, of in pairs]
        return {
            "hits": hits.hits,
            "wrong": hits.wrong,
            "false_pairs": sum(different.hits for different, _ in shares),
            "kept_pairs": sum(same.hits for _, same in shares),
        }

    whole = measure("")
    rows: list[dict[str, float | str]] = [{"rule": "all rules", "sees": _seen(pairs, RULES), **whole}]
    for rule in RULES:
        without = measure(rule)
        more = {name: without[name] - whole[name] for name in whole}
        rows.append({"rule": rule, "sees": _seen(pairs, [rule]), **more})
    return rows


def _seen(pairs: Sequence[tuple[Sequence[Found], Pairs]], rules: Iterable[str]) -> int:
    """Count the pairs that differ, are near, and differ by one of these rules."""
    wanted = frozenset(rules)
    return sum(
        not same and any(wanted.intersection(near.failed) for near in one.near)
        for found, of in pairs
        for one, same in zip(found, of.same, strict=True)
    )
