"""Say what rounding has done to a model: its predictions beside those of the source, on texts that neither has seen."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penstock_inference.engines.conversion.progress import COMPARING, Progress
from penstock_inference.engines.conversion.whole_texts import read_texts, run_text
from penstock_inference.engines.onnx_session import Array, Session
from penstock_inference.formats import ModelConfig
from penstock_inference.tokenizer import Tokenizer

TEXTS = Path(__file__).with_name("comparison.txt")
_LOGITS = ["logits"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same texts. Lower is better, but for the share."""

    tokens: int  # that were predicted
    source_perplexity: float
    perplexity: float
    divergence: float  # Kullback-Leibler, of the prediction from the source's: the mean, in nats a token
    same_choice_share: float  # how often both hold the same token for the likeliest


def compare(
    source: Session, converted: Session, config: ModelConfig, tokenizer: Tokenizer, progress: Progress
) -> Comparison:
    """Let both predict each token of the texts from those before it."""
    texts = [ids for ids in read_texts(TEXTS, config, tokenizer) if len(ids) > 1]
    totals = np.zeros(4)
    for place, ids in enumerate(texts):
        progress(COMPARING, place, len(texts))
        first, second = (_predictions(session, config, ids) for session in (source, converted))
        totals += _sums(first, second, np.array(ids[1:]))
    progress(COMPARING, len(texts), len(texts))
    tokens = sum(len(ids) - 1 for ids in texts)
    surprise, converted_surprise, divergence, same = (totals / tokens).tolist()
    return Comparison(tokens, float(np.exp(surprise)), float(np.exp(converted_surprise)), divergence, same)


def _predictions(session: Session, config: ModelConfig, ids: list[int]) -> Array:
    """Give the logarithms of all tokens' probabilities `[tokens - 1, vocabulary]`."""
    (logits,) = run_text(session, config, ids, _LOGITS)
    logits = logits[:-1] - logits[:-1].max(axis=1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


def _sums(source: Array, converted: Array, targets: Array) -> Array:
    rows = np.arange(len(targets))
    divergence = (np.exp(source) * (source - converted)).sum()
    same = np.count_nonzero(source.argmax(axis=1) == converted.argmax(axis=1))
    return np.array([-source[rows, targets].sum(), -converted[rows, targets].sum(), divergence, same])
