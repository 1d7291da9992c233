"""Texts to vectors: what waits while a batch is computed makes the next one."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from servicekit.coalesce import Coalescer, CoalescerLimits
from servicekit.errors import ServiceError
from servicekit.metrics import Metrics

from penstock_inference.encoder import Encoder
from penstock_inference.settings import EncoderSettings

ENGINE = "onnxruntime-cpu"
BATCH_TEXTS_MAX = 32  # of one list, too, so that a long list lets others in between
CHARACTERS_MAX = 65_536  # far more than any encoder reads; the rest need not be cut into tokens


@dataclass(frozen=True, slots=True)
class Embedding:
    """A text's vector, and how many of its tokens were read."""

    vector: bytes  # little-endian float32, of length 1
    prompt_tokens: int


class EmbeddingModel:
    """An encoder with a queue before it and a thread of its own."""

    def __init__(
        self, settings: EncoderSettings, encoder: Encoder, metrics: Metrics, waiting_max: int
    ) -> None:
        self.id = settings.id
        self.engine = ENGINE
        self.kind = settings.kind
        self.fingerprint = encoder.fingerprint
        self.dimensions = encoder.dimensions
        self._encoder = encoder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embed")
        limits = CoalescerLimits(items_max=BATCH_TEXTS_MAX, pending_max=waiting_max)
        self._batches = Coalescer(self._embed_batch, name=f"embed {self.id}", metrics=metrics, limits=limits)

    async def embed(self, text: str, deadline: float) -> Embedding:
        """Embed a text; what the model cannot hold of it is cut off at its end.

        Raises:
            DeadlineExceeded: the deadline, on the monotonic clock, passed.
            ResourceExhausted: too many texts wait (OVERLOADED).
        """
        return await self._batches.submit(text[:CHARACTERS_MAX], deadline)

    async def check(self) -> None:
        """Probe: an encoder that is there is well."""

    async def drain(self, seconds: float) -> None:
        """Do nothing: closing finishes what was taken."""

    async def close(self) -> None:
        """Finish what was taken."""
        await self._batches.close()
        await asyncio.to_thread(self._thread.shutdown)

    async def _embed_batch(self, texts: list[str]) -> list[Embedding | ServiceError]:
        loop = asyncio.get_running_loop()
        vectors, tokens = await loop.run_in_executor(self._thread, partial(self._encoder.embed, texts))
        rows = vectors.astype("<f4", copy=False)
        return [Embedding(row.tobytes(), count) for row, count in zip(rows, tokens, strict=True)]
