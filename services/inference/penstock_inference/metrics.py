"""What Prometheus sees of one model's batch loop."""

from prometheus_client import Counter, Histogram
from servicekit.metrics import Metrics

from penstock_inference.answer import FinishReason
from penstock_inference.engines import StepBatch
from penstock_inference.scheduler import Scheduler
from penstock_inference.work import WorkModel

_SEQUENCES_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


class BatchMetrics:
    """The collectors of one model, bound to its label once."""

    def __init__(self, metrics: Metrics, model: str, work: WorkModel) -> None:
        self._metrics = metrics
        self._model = model
        self._work = work
        self._step_seconds = self._histogram("step_seconds", "Time of one engine step, sampling and all.")
        self._step_sequences = metrics.histogram(
            "inference_step_sequences", "Sequences in one engine step.", ["model"], _SEQUENCES_BUCKETS
        ).labels(model)
        self.first_token_seconds = self._histogram(
            "first_token_seconds", "From a request to its first token."
        )
        self.inter_token_seconds = self._histogram("inter_token_seconds", "Between two tokens of an answer.")
        self.queue_seconds = self._histogram("queue_seconds", "From a request to its slot.")
        self._finished = metrics.counter(
            "inference_finished_total", "Answers that ended, by why.", ["model", "reason"]
        )
        self._prompt_tokens = self._counter("prompt_tokens_total", "Prompt tokens computed.")
        self._cached_tokens = self._counter(
            "cached_prompt_tokens_total", "Prompt tokens copied from another prompt."
        )
        self._completion_tokens = self._counter("completion_tokens_total", "Tokens generated.")
        self._draft_tokens = self._counter("spec_decode_draft_tokens_total", "Tokens guessed ahead.")
        self._accepted_tokens = self._counter(
            "spec_decode_accepted_tokens_total", "Tokens generated that were guessed, and took no step."
        )
        self._prefix_hits = self._counter(
            "prefix_hits_total", "Prompts that began as another whose keys and values were there."
        )
        self._flops = self._counter(
            "estimated_flops_total", "Floating-point operations that the model's steps take at least."
        )
        self._read_bytes = self._counter(
            "estimated_read_bytes_total", "Bytes of weights, keys and values that the steps read at least."
        )
        self.cancelled = self._counter("cancelled_total", "Answers that their caller gave up.")
        self.expired = self._counter("expired_total", "Answers whose deadline passed.")
        self.preempted = self._counter(
            "preempted_total", "Answers that lost their slot to a more urgent one."
        )
        self.faults = self._counter("engine_faults_total", "Steps that failed, wholly or for some.")

    def watch(self, scheduler: Scheduler) -> None:
        """Read gauges from the scheduler whenever they are asked for, which costs the batch loop nothing."""
        gauges = (
            ("running", "Answers in a slot.", lambda: len(scheduler.running)),
            ("waiting", "Answers that wait for a slot.", lambda: scheduler.waiting),
            ("kv_used_ratio", "Share of the KV rows that hold a token.", lambda: scheduler.kv_used_ratio),
        )
        for name, documentation, read in gauges:
            gauge = self._metrics.gauge(f"inference_{name}", documentation, ["model"])
            gauge.labels(self._model).set_function(read)

    def step(self, seconds: float, batch: StepBatch, sampled: int) -> None:
        """Count a step."""
        self._step_seconds.observe(seconds)
        self._step_sequences.observe(len(batch.decode) + len(batch.prefills))
        self._completion_tokens.inc(sampled)
        self._prompt_tokens.inc(sum(len(chunk.tokens) for chunk in batch.prefills))
        work = self._work.of_step(batch)
        self._flops.inc(work.flops)
        self._read_bytes.inc(work.read_bytes)

    def guessed(self, drafted: int, accepted: int) -> None:
        """Count tokens that a step checked, and those of them that stood."""
        self._draft_tokens.inc(drafted)
        self._accepted_tokens.inc(accepted)

    def finished(self, reason: FinishReason) -> None:
        """Count a whole answer."""
        self._finished.labels(self._model, reason.value).inc()

    def cached(self, tokens: int) -> None:
        """Count prompt tokens that need not be computed."""
        self._cached_tokens.inc(tokens)
        self._prefix_hits.inc(tokens > 0)

    def _counter(self, name: str, documentation: str) -> Counter:
        return self._metrics.counter(f"inference_{name}", documentation, ["model"]).labels(self._model)

    def _histogram(self, name: str, documentation: str) -> Histogram:
        return self._metrics.histogram(f"inference_{name}", documentation, ["model"]).labels(self._model)
