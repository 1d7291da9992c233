"""Texts to vectors, by the encoder that the inference service runs."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from harness.paths import CACHE
from penstock_inference.engines.loading import load_encoder
from penstock_inference.settings import MINILM

Vectors = npt.NDArray[np.float32]
_TEXTS_PER_BATCH = 64


def embed(texts: Sequence[str]) -> dict[str, Vectors]:
    """Embed each text once, on all cores."""
    encoder = load_encoder(MINILM.reference, kind=MINILM.kind, cache_dir=CACHE / "models")
    distinct = sorted(set(texts), key=len)
    batches = [
        distinct[start : start + _TEXTS_PER_BATCH] for start in range(0, len(distinct), _TEXTS_PER_BATCH)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = list(threads.map(lambda batch: encoder.embed(batch)[0], batches))
    return dict(zip(distinct, np.concatenate(found), strict=True))
