"""Does the semantic cache answer more, and is it wrong less often, than a threshold on similarity?

Questions with labels (`--cache` and `--queries`, CSV: text and label) say how often an answer is found and how often it
belongs to something else. Pairs (`--pairs`, TSV: two texts, then if there is one a label: same or different, 0 or 1)
say whether a question is ever answered with the answer of one that only looks like it; ours of
`data/question_pairs.tsv` are always among them. All answer from the same vectors: ours as its tier does, the others by
the thresholds that they ship.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness.paths import BENCH
from harness.report import Report, rounded
from semantic import quality_report
from semantic.answerers import OURS, Found, Kept, search_ms_p50
from semantic.files import Pairs, read_pairs, read_questions
from semantic.measures import Hits, ablation, answerers, pair_shares, question_hits
from semantic.vectors import Vectors, embed

OWN_PAIRS = BENCH / "data" / "question_pairs.tsv"
COSINE_95 = "cosine 0.95"
MANY_VECTORS = 100_000
SEARCHES = 200


def main() -> None:
    """Measure, tell people, tell programs."""
    arguments = _arguments()
    if arguments.setup:
        return
    report = Report("cache_quality", quick=arguments.quick)
    kept, asked = read_questions(arguments.cache), read_questions(arguments.queries)
    pairs = [read_pairs(path) for path in [OWN_PAIRS, *arguments.pairs]]
    vectors = embed([*kept.texts, *asked.texts, *(text for one in pairs for text in [*one.kept, *one.asked])])
    memory = Kept(kept.texts, vectors)
    found = [memory.ask(text) for text in asked.texts]
    pairs_found = [(_ask_pairs(one, vectors), one) for one in pairs]
    by_question = {name: question_hits(found, asked, kept, answer) for name, answer in answerers().items()}
    by_pairs = {
        name: [pair_shares(one, of, answer) for one, of in pairs_found]
        for name, answer in answerers().items()
    }
    rules = ablation((found, asked, kept), pairs_found)
    quality_report.show(by_question, by_pairs, [one.name for one in pairs], rules)
    quality_report.plot((found, asked, kept), by_question, report.path(".png"))
    figures = _figures(by_question, by_pairs, pairs) | {
        "guard_us_p50": rounded(float(np.median(memory.guard_us))),
        "l3_ms_p50_100k": rounded(search_ms_p50(_many(vectors), SEARCHES)),
    }
    details = {
        "files": {
            "cache": arguments.cache.name,
            "queries": arguments.queries.name,
            "pairs": [one.name for one in pairs],
        },
        "questions": {name: hits._asdict() for name, hits in by_question.items()},
        "pairs": {
            name: [{"different": different._asdict(), "same": same._asdict()} for different, same in shares]
            for name, shares in by_pairs.items()
        },
        "rules": rules,
    }
    report.finish(figures, details)


def _ask_pairs(pairs: Pairs, vectors: dict[str, Vectors]) -> list[Found]:
    """Ask the second text of each pair in a room that holds the first alone."""
    return [Kept([kept], vectors).ask(asked) for kept, asked in zip(pairs.kept, pairs.asked, strict=True)]


def _figures(
    by_question: dict[str, Hits], by_pairs: dict[str, list[tuple[Hits, Hits]]], pairs: Sequence[Pairs]
) -> dict[str, Any]:
    """Name what programs read. `own_` is of our pairs alone, `_max` of the file where it is highest."""
    ours, cosine = by_question[OURS], by_question[COSINE_95]
    return {
        "hit_rate": round(ours.rate, 4),
        "hit_rate_ratio": round(ours.rate / cosine.rate, 3) if cosine.hits else None,
        "wrong_share": round(ours.wrong_share, 4),
        "wrong_share_upper": round(ours.wrong_share_upper, 4),
        "cosine95_hit_rate": round(cosine.rate, 4),
        "cosine95_wrong_share": round(cosine.wrong_share, 4),
        **_pair_figures("", by_pairs[OURS], pairs),
        **_pair_figures("cosine95_", by_pairs[COSINE_95], pairs),
        "own_pairs_false_hit_rate": _share([by_pairs[OURS][0][0]]),
    }


def _pair_figures(
    prefix: str, shares: Sequence[tuple[Hits, Hits]], pairs: Sequence[Pairs]
) -> dict[str, float]:
    different = [one for one, _ in shares if one.asked]
    paraphrases = [same for (_, same), of in zip(shares, pairs, strict=True) if of.are_paraphrases]
    negated = [same for (_, same), of in zip(shares, pairs, strict=True) if not of.are_paraphrases]
    return {
        f"{prefix}pairs_false_hit_rate": _share(different),
        f"{prefix}pairs_false_hit_rate_max": round(max(one.rate for one in different), 4),
        f"{prefix}paraphrase_kept_rate": _share(paraphrases),
        f"{prefix}negated_opposite_kept_rate": _share(negated),
    }


def _share(of: Sequence[Hits]) -> float:
    return round(sum(one.hits for one in of) / max(1, sum(one.asked for one in of)), 4)


def _many(vectors: dict[str, Vectors]) -> Vectors:
    """Make a large room of real vectors and noisy copies of them."""
    real = np.stack(list(vectors.values()))
    noise = np.random.default_rng(0)
    rows = real[noise.integers(0, len(real), MANY_VECTORS)]
    rows = rows + noise.normal(0, 0.02, rows.shape).astype(np.float32)
    return np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="CSV of the questions that are kept")
    parser.add_argument("--queries", type=Path, required=True, help="CSV of the questions that are asked")
    parser.add_argument("--pairs", type=Path, nargs="*", default=[], help="TSV files of pairs")
    parser.add_argument(
        "--quick", action="store_true", help="write files that git ignores; at most 50 seconds"
    )
    parser.add_argument("--setup", action="store_true", help="install the peers: there are none to install")
    return parser.parse_args()


if __name__ == "__main__":
    main()
