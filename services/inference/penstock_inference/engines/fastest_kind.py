"""Which of several kinds is the fastest on this machine: measured when a model is first loaded, and remembered."""

import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from penstock_inference.engines import DecodeRow, Engine, PrefillChunk, StepBatch
from penstock_inference.engines.build_cache import BuildCache
from penstock_inference.engines.converted import converter_fingerprint
from penstock_inference.engines.onnx_session import LIBRARY_VERSION
from penstock_inference.engines.setup import EngineSetup
from penstock_inference.formats.references import fingerprint

_MEASURED = "seconds.json"
# A request as they are: half a thousand tokens are read, a hundred written while seven others are answered.
_PROMPT_TOKENS, _ANSWER_TOKENS, _AT_ONCE = 512, 128, 8
_ROUNDS_MAX, _SECONDS_MAX = 7, 2.0


def fastest_kind(
    setup: EngineSetup, kinds: Sequence[str], open_engine: Callable[[EngineSetup], Engine]
) -> str:
    """Give the kind that a usual request takes the least time in. Raises as `open_engine` does.

    What was measured holds for these files, this processor, so many threads and these versions of the libraries.
    """
    conditions = [converter_fingerprint(), LIBRARY_VERSION, _processor(), setup.threads, sorted(kinds)]
    version = hashlib.sha256(json.dumps(conditions).encode()).hexdigest()[:16]

    def measure(target: Path) -> None:
        seconds = dict.fromkeys(kinds, math.inf)
        for kind in (*kinds, *reversed(kinds)):  # twice: what disturbs one turn may be over in the other
            seconds[kind] = min(seconds[kind], _measure(open_engine(replace(setup, kind=kind))))
        (target / _MEASURED).write_text(json.dumps(seconds))

    entry = BuildCache(setup.cache_dir).get(f"fastest-{fingerprint(setup.source)[:16]}", version, measure)
    seconds: dict[str, float] = json.loads((entry / _MEASURED).read_bytes())
    return min(kinds, key=seconds.__getitem__)


def _measure(engine: Engine) -> float:
    """Give the seconds that a usual request takes on an engine, and close it."""
    limits = engine.limits
    prompt = [0] * min(limits.prefill_chunk_tokens_max, limits.context_tokens_max - 1)
    slots = range(min(_AT_ONCE, limits.slots_max))
    chunks = [StepBatch([], [PrefillChunk(slot, prompt, 0, wants_logits=True)]) for slot in slots]
    reading = _least_seconds(engine, chunks[0])
    for chunk in chunks:
        engine.step(chunk)
    writing = _least_seconds(engine, StepBatch([DecodeRow(slot, 0, len(prompt)) for slot in slots]))
    engine.close()
    return reading * _PROMPT_TOKENS / len(prompt) + writing * _ANSWER_TOKENS / len(slots)


def _least_seconds(engine: Engine, batch: StepBatch) -> float:
    """Time a step until it was repeated enough: the least disturbed of them counts."""
    engine.step(batch)
    times: list[float] = []
    while len(times) < _ROUNDS_MAX and sum(times) < _SECONDS_MAX:
        began = time.perf_counter()
        engine.step(batch)
        times.append(time.perf_counter() - began)
    return min(times)


def _processor() -> str:
    """Name the processor, and how many of its cores there are."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = {
        line.split(":", 1)[1].strip()
        for line in lines
        if line.startswith(("model name", "flags", "Features"))
    }
    return " ".join([platform.machine(), *sorted(names), str(os.cpu_count())])
