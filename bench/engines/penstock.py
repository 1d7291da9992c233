"""Our batcher in process: the workflow behind the service's Generate, without gRPC, timed as its answers come out."""

import asyncio
import hashlib
import shutil
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from harness.paths import CACHE
from harness.turns import in_loop, serve
from penstock_inference.engines.loading import load_engine
from penstock_inference.generate import EndRequest, GenerationRequest, Started
from penstock_inference.sampler import SamplingParameters
from penstock_inference.sampling import Controls
from penstock_inference.sequence import Urgency
from penstock_inference.server import Inference, running
from penstock_inference.settings import InferenceSettings, ModelSettings
from servicekit.metrics import Metrics

from engines import streams
from engines.client import Client
from engines.scoring import nats_per_token
from engines.step_times import timed_steps
from engines.streams import Produced

MODEL = "smollm2"


class Penstock(Client):
    """A loaded model behind its batch loop."""

    def __init__(self, settings: InferenceSettings, inference: Inference, text: str) -> None:
        super().__init__(self._open, text)
        self._settings = settings
        self._generate = inference.generate
        self._models = inference.models
        self._tokenizer = self._models.generative(MODEL).tokenizer
        self._tokens = self._tokenizer.encode(text, parse_special=False)
        self._operations = count()
        self._controls = Controls(temperature=0)

    async def about(self) -> dict[str, Any]:
        """Say what it makes of the text."""
        return {"text": hashlib.sha256(np.array(self._tokens, "<i4").tobytes()).hexdigest()}

    async def overhead(
        self, concurrent: int, context: int, seconds: float, controls: dict[str, float]
    ) -> dict[str, Any]:
        """Time the steps of the batch loop and what lies between them, while so many answers run."""
        self._controls = Controls(**controls)
        batcher = self._models.generative(MODEL).batcher
        with timed_steps(batcher) as times:
            await self.decode(concurrent, context, seconds)
        self._controls = Controls(temperature=0)
        return times.summary(concurrent)

    async def answers(
        self, prompts: list[str], tokens: int, controls: dict[str, float], guesses: int
    ) -> dict[str, Any]:
        """Answer prompts side by side, each guessing so many tokens a step at most, and count the CPU time."""
        batcher = self._models.generative(MODEL).batcher
        batcher._scheduler._guesses_max = guesses  # noqa: SLF001 - or it would take a second model
        self._controls = Controls(**controls)
        began = time.process_time()
        answered = await self.burst(prompts, ["bench"] * len(prompts), tokens)
        return {"cpu_s": time.process_time() - began, "tokens_per_s": answered["tokens_per_s"]}

    async def prefill(self, tokens: int, offset: int, seconds: float) -> dict[str, Any]:
        """Read prompts of exactly this length."""
        while (
            len(self._tokenizer.encode(prompt := self._slice(offset, tokens), parse_special=False)) != tokens
        ):
            offset += 1
        return await streams.prefill(self._open, prompt, seconds, run=str(next(self._operations)))

    async def perplexity(self, windows: int, tokens: int) -> dict[str, Any]:
        """Score the second half of each window, given what is before, on an engine of its own."""
        model = self._settings.models[0]
        loaded = load_engine(
            model.reference,
            kind=model.kind,
            slots_max=windows,
            context_tokens_max=tokens,
            prefill_chunk_tokens_max=model.prefill_chunk_tokens,
            threads=self._settings.threads,
            cache_dir=self._settings.model_cache_dir,
        )
        shaped = np.array(self._tokens[: windows * tokens]).reshape(windows, tokens)
        nats = nats_per_token(loaded.engine, shaped)
        loaded.engine.close()
        return {"nats_per_token": nats}

    def _slice(self, offset: int, tokens: int) -> str:
        return self._tokenizer.decode(self._tokens[offset : offset + tokens])

    async def _open(self, prompt: str, organization: str) -> AsyncGenerator[Produced]:
        request = GenerationRequest(
            model=MODEL,
            prompt=prompt,
            sampling=SamplingParameters(self._controls),
            ends=EndRequest(ignore_eos=True),
            seed=0,
            answers=1,
            organization=organization,
            urgency=Urgency(),
            operation_id=f"bench-{next(self._operations)}",
            attempt=0,
        )
        prompt_tokens = 0
        async for event in self._generate(request):
            if isinstance(event, Started):
                prompt_tokens = event.prompt_tokens
            else:
                yield Produced(prompt_tokens, event.completion_tokens)


@asynccontextmanager
async def loaded(settings: InferenceSettings, text: str) -> AsyncIterator[Penstock]:
    """Load the model, and close it at the end."""
    shutil.rmtree(settings.service_dir / "journal", ignore_errors=True)
    async with running(settings, Metrics()) as inference:
        await inference.models.load_model(MODEL)
        yield Penstock(settings, inference, text)


def main(gguf: str, text: str, threads: str) -> None:
    """Take turns until the input ends."""
    model = ModelSettings(id=MODEL, reference=gguf, speculative_tokens=0)  # as peers generate
    settings = InferenceSettings(
        models=(model,), encoders=(), threads=int(threads), data_dir=CACHE / "generation" / Path(gguf).stem
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        context = loaded(settings, Path(text).read_text())
        penstock = runner.run(context.__aenter__())
        turns = (
            penstock.about,
            penstock.decode,
            penstock.burst,
            penstock.answers,
            penstock.overhead,
            penstock.prefill,
            penstock.perplexity,
        )
        serve({turn.__name__: in_loop(runner, turn) for turn in turns})
        runner.run(context.__aexit__(None, None, None))


if __name__ == "__main__":
    main(*sys.argv[1:])
