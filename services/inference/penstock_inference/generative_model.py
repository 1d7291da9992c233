"""A model that answers, with all that its requests need."""

import asyncio
from dataclasses import dataclass

from penstock_inference.batcher import Batcher
from penstock_inference.engines import Adapters, EngineLimits
from penstock_inference.formats import ModelConfig
from penstock_inference.grammar import Grammars
from penstock_inference.prompt import PromptReader
from penstock_inference.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class GenerativeModel:
    """A model that answers: by itself, or as an adapter changes another, whose engine it shares."""

    id: str
    engine: str
    kind: str
    fingerprint: str
    limits: EngineLimits
    config: ModelConfig
    end_tokens: tuple[int, ...]
    tokenizer: Tokenizer
    prompts: PromptReader
    grammars: Grammars
    batcher: Batcher
    adapters: Adapters | None  # None: the engine has none
    base: str = ""  # whose adapter it is
    adapter: str | None = None  # its name among them

    async def check(self) -> None:
        """Probe: raise Unavailable while the engine fails."""
        await self.batcher.check()

    async def drain(self, seconds: float) -> None:
        """Let answers end, for so long at most."""
        await asyncio.to_thread(self.batcher.drain, seconds, self.adapter)

    async def close(self) -> None:
        """Free the adapter, or stop the batch loop and free the engine."""
        if self.adapter is not None:
            await asyncio.to_thread(self.batcher.dismiss, self.adapter)
            assert self.adapters is not None
            self.adapters.remove(self.adapter)
            return
        await asyncio.to_thread(self.batcher.close)
        self.grammars.close()
