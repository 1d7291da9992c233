"""Make a model ready to serve, from its settings."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

from servicekit.errors import InvalidArgument
from servicekit.metrics import Metrics

from penstock_inference.accounts import Accounts
from penstock_inference.batcher import Batcher
from penstock_inference.catalog import AdapterLoader
from penstock_inference.chat_template import ChatTemplate
from penstock_inference.delivery import HandOver
from penstock_inference.drawing import drawing
from penstock_inference.embed import EmbeddingModel
from penstock_inference.engines.loading import LoadedModel, load_encoder, load_engine
from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.lora import read_lora
from penstock_inference.generative_model import GenerativeModel
from penstock_inference.grammar import Grammars
from penstock_inference.job import Result, deliver
from penstock_inference.journal import Journal
from penstock_inference.memory import MemoryBudget
from penstock_inference.metrics import BatchMetrics
from penstock_inference.prompt import PromptReader
from penstock_inference.scheduler import Scheduler
from penstock_inference.settings import AdapterSettings, EncoderSettings, InferenceSettings, ModelSettings
from penstock_inference.work import WorkModel


class Loader:
    """Load models; the reading and converting happens in a thread."""

    def __init__(
        self, settings: InferenceSettings, journal: Journal, metrics: Metrics, memory: MemoryBudget
    ) -> None:
        self._settings = settings
        self._memory = memory
        self._journal = journal
        self._metrics = metrics

    async def generative(self, model: ModelSettings) -> GenerativeModel:
        """Load a model that answers."""
        loaded = await asyncio.to_thread(self._load_engine, model)
        prompts = await asyncio.to_thread(_prompt_reader, loaded)
        grammars = await asyncio.to_thread(
            Grammars, loaded.tokenizer, loaded.engine.limits.vocabulary_tokens, loaded.config.eos_ids
        )
        work = WorkModel.of(loaded.config, loaded.kind)
        metrics = BatchMetrics(self._metrics, model.id, work)
        scheduler = Scheduler(loaded.engine.limits, self._settings.waiting_max, model.speculative_tokens)
        metrics.watch(scheduler)
        return GenerativeModel(
            id=model.id,
            engine=loaded.engine_name,
            kind=loaded.kind,
            fingerprint=loaded.fingerprint,
            limits=loaded.engine.limits,
            config=loaded.config,
            end_tokens=loaded.config.eos_ids,
            tokenizer=loaded.tokenizer,
            prompts=prompts,
            grammars=grammars,
            adapters=loaded.adapters,
            batcher=Batcher(
                loaded.engine,
                scheduler,
                Accounts(self._journal, metrics),
                metrics,
                _hand_over_to(asyncio.get_running_loop()),
            ),
        )

    def adapter(self, settings: AdapterSettings) -> AdapterLoader:
        """Give what loads an adapter onto its base."""
        return AdapterLoader(settings.base, settings.reference, partial(self._adapter, settings))

    def found_adapter(self, model_id: str, base: str, directory: str) -> AdapterLoader:
        """Give what loads an adapter of the directory for such.

        Raises:
            InvalidArgument: there is no directory for adapters (UNSUPPORTED_FEATURE).
        """
        place = self._settings.adapters_dir
        if place is None:
            setting = InferenceSettings.variable("adapters_dir")
            raise InvalidArgument(
                "UNSUPPORTED_FEATURE",
                f"Adapters that are not in the settings need {setting}.",
                metadata={"field": "adapter", "model": model_id},
            )
        return self.adapter(AdapterSettings(id=model_id, base=base, reference=str(place / directory)))

    async def _adapter(self, settings: AdapterSettings, base: GenerativeModel) -> GenerativeModel:
        """Load an adapter onto its base, whose steps go on meanwhile."""
        name, fingerprint = await asyncio.to_thread(self._load_adapter, settings, base)
        base.batcher.take(name)
        adapted = f"{base.fingerprint}+{fingerprint[:16]}"
        return replace(base, id=settings.id, base=base.id, adapter=name, fingerprint=adapted)

    async def encoder(self, model: EncoderSettings) -> EmbeddingModel:
        """Load a model that embeds."""
        cache_dir = self._settings.model_cache_dir
        hold = partial(self._memory.hold, model.id)
        load = partial(load_encoder, model.reference, kind=model.kind, cache_dir=cache_dir, hold=hold)
        encoder = await asyncio.to_thread(load)
        return EmbeddingModel(model, encoder, self._metrics, self._settings.embed_waiting_max)

    def _load_adapter(self, settings: AdapterSettings, base: GenerativeModel) -> tuple[str, str]:
        """Give its name and its digest. It is another name for other weights, as cached rows of KV go by it."""
        if base.adapters is None:
            raise UnsupportedModelError(f"the engine {base.engine} takes no adapters")
        weights = read_lora(Path(settings.reference).expanduser(), base.config)
        name = f"{settings.id}@{weights.fingerprint}"
        base.adapters.add(name, weights, partial(self._memory.hold, settings.id))
        return name, weights.fingerprint

    def _load_engine(self, model: ModelSettings) -> LoadedModel:
        drawing()  # what is missing fails the load on every engine, and not the first request
        return load_engine(
            model.reference,
            engine=model.engine,
            kind=model.kind,
            kinds=model.kinds,
            slots_max=model.slots,
            context_tokens_max=model.context_tokens,
            prefill_chunk_tokens_max=model.prefill_chunk_tokens,
            threads=self._settings.threads,
            cache_dir=self._settings.model_cache_dir,
            hold=partial(self._memory.hold, model.id),
        )


def _prompt_reader(loaded: LoadedModel) -> PromptReader:
    config, tokenizer = loaded.config, loaded.tokenizer
    template = None
    if config.chat_template is not None:
        template = ChatTemplate(config.chat_template, dict(config.special_tokens), tokenizer.special_tokens)
    return PromptReader(tokenizer, template, loaded.engine.limits.context_tokens_max)


def _hand_over_to(loop: asyncio.AbstractEventLoop) -> HandOver:
    def hand_over(results: list[Result]) -> None:
        loop.call_soon_threadsafe(deliver, results)

    return hand_over
