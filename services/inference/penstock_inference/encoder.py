"""Texts to vectors, for comparing what they mean."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from penstock_inference.engines.onnx_session import Session
from penstock_inference.formats import SentenceEncoderConfig

Vectors = npt.NDArray[np.float32]
_LENGTH_STEP_TOKENS = 8  # texts are padded to a multiple, and run beside others of the same length
_BATCH_TOKENS_MAX = 1024  # larger batches are no faster, and hold a small request up for longer


class Encoder:
    """A sentence encoder. Thread-safe: calls may run side by side, each on the session's threads.

    In the int8 kind a text's vector does not depend on the texts beside it, to the last bit.
    """

    def __init__(
        self, session: Session, tokenizer_json: str, config: SentenceEncoderConfig, fingerprint: str
    ) -> None:
        self._session = session
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(config.input_tokens_max)
        self.dimensions = config.hidden_size
        self.fingerprint = fingerprint  # vectors are comparable only where this is equal

    def embed(self, texts: Sequence[str]) -> tuple[Vectors, list[int]]:
        """Give unit vectors `[texts, dimensions]`, and how many tokens were read of each text."""
        ids = [self._tokenizer.encode(text).ids for text in texts]
        vectors = np.empty((len(ids), self.dimensions), np.float32)
        for places, length in _batches([len(text) for text in ids]):
            vectors[places] = self._run([ids[place] for place in places], length)
        return vectors, [len(text) for text in ids]

    def _run(self, texts: Sequence[Sequence[int]], length: int) -> Vectors:
        ids = np.zeros((len(texts), length), np.int64)
        mask = np.zeros((len(texts), length), np.int32)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        return self._session.run("embeddings", {"ids": ids, "mask": mask})


def _batches(lengths: Sequence[int]) -> Iterator[tuple[list[int], int]]:
    """Group the places of texts that are padded to one length, and say the length."""
    places_by_length = defaultdict(list)
    for place, length in enumerate(lengths):
        places_by_length[-(-length // _LENGTH_STEP_TOKENS) * _LENGTH_STEP_TOKENS].append(place)
    for length, places in places_by_length.items():
        texts_max = max(1, _BATCH_TOKENS_MAX // length)
        for start in range(0, len(places), texts_max):
            yield places[start : start + texts_max], length
