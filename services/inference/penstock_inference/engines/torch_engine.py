"""The PyTorch engine: CPU as a reference, and CUDA."""

from collections.abc import Callable

from penstock_inference.engines import EngineLimits, Logits, StepBatch
from penstock_inference.engines.batch_check import check_adapters, check_batch
from penstock_inference.engines.setup import EngineSetup, LoadedModel
from penstock_inference.engines.torch_library import Tensor, torch
from penstock_inference.engines.torch_model.adapter import TorchAdapters
from penstock_inference.engines.torch_model.decode_graphs import DecodeGraphs
from penstock_inference.engines.torch_model.decoder import Decoder
from penstock_inference.engines.torch_model.kv_pool import KvPool
from penstock_inference.engines.torch_model.step import Step, make_step
from penstock_inference.engines.torch_model.target import Target, choose_target
from penstock_inference.engines.torch_model.weights import decoder_bytes, read_decoder
from penstock_inference.formats import ModelWeights
from penstock_inference.formats.opening import open_weights
from penstock_inference.formats.references import fingerprint
from penstock_inference.tokenizer import Tokenizer


def load_torch(setup: EngineSetup) -> LoadedModel:
    """Load a decoder from its own files, onto a GPU if there is one. Raises as `load_engine` does."""
    weights, target = open_weights(setup.source), choose_target(setup.kind)
    config, limits = weights.config, setup.limits(weights.config)
    setup.hold(
        decoder_bytes(config, target)
        + KvPool.size_bytes(config, target, limits.slots_max, limits.context_tokens_max)
    )
    name = f"torch-{target.device.type}"
    engine = TorchEngine(weights, limits, target, threads=setup.threads)
    return LoadedModel(
        engine=engine,
        engine_name=name,
        kind=setup.kind,
        tokenizer=Tokenizer(weights.tokenizer_json()),
        config=config,
        fingerprint=f"{name}-{setup.kind}-{fingerprint(setup.source)[:16]}@{torch.__version__}",
        adapters=engine.adapters,
    )


class TorchEngine:
    """Implement Engine on paged KV memory: slots that begin alike share blocks until they part.

    Decode rows and chunks are computed together. A row's numbers depend on its neighbours by rounding only: products of
    matrices may be summed in another order for another number of rows.
    """

    def __init__(self, weights: ModelWeights, limits: EngineLimits, target: Target, *, threads: int) -> None:
        self._limits = limits
        self._target = target
        self._threads = threads
        self._pool = KvPool(weights.config, target, slots=limits.slots_max, rows=limits.context_tokens_max)
        decoder = read_decoder(weights, target)
        self._compute: Callable[[Step], Tensor]
        self._compute = Decoder(weights.config, decoder, self._pool, target, limits.context_tokens_max)
        if target.has_flash:
            self._compute = DecodeGraphs(self._compute, self._pool, target, limits)
        self.adapters = TorchAdapters(weights.config, target)

    @property
    def limits(self) -> EngineLimits:
        """Say what the engine was built for."""
        return self._limits

    @torch.inference_mode()
    def step(self, batch: StepBatch) -> Logits:
        """Run one iteration. Raises ValueError, and changes nothing, for a batch that breaks the contract."""
        check_batch(batch, self._limits, self._pool.tables.written_rows)
        check_adapters(batch, self.adapters)
        if torch.get_num_threads() != self._threads:  # it is a thread's own setting
            torch.set_num_threads(self._threads)
        step = make_step(batch, self._pool, self.adapters, self._target.device)
        logits: Logits = self._compute(step).cpu().numpy()
        return logits

    def copy_slot(self, source: int, target: int, tokens: int) -> None:
        """Let a slot share the first `tokens` KV rows of another: nothing is copied until one of them writes."""
        self._pool.tables.share(source, target, tokens)

    def close(self) -> None:
        """Give back memory; no call may follow."""
        del self._compute, self._pool, self.adapters
