"""Compile a model for a target. It needs no GPU, and about four times the memory that the weights take."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from penstock_inference.engines.tensorrt import EngineBuildError
from penstock_inference.engines.tensorrt.decoder import add_decoder
from penstock_inference.engines.tensorrt.library import Library
from penstock_inference.engines.tensorrt.monitor import Progress, make_monitor
from penstock_inference.engines.tensorrt.network import Network
from penstock_inference.engines.tensorrt.report import (
    EngineReport,
    TensorReport,
    find_kernels,
    find_memory,
)
from penstock_inference.engines.tensorrt.spec import EngineSpec
from penstock_inference.formats import ModelWeights

PREFILL, DECODE = 0, 1  # profiles
READING = "Reading weights"


@dataclass(frozen=True, slots=True)
class Shapes:
    """What a profile lets the lengths of inputs be: batch, tokens of each sequence, rows of logits."""

    batch: int
    tokens: int
    logit_rows: int
    usual_logit_rows: int


def build_engine(
    library: Library, weights: ModelWeights, spec: EngineSpec, progress: Progress
) -> tuple[memoryview, EngineReport]:
    """Give the plan, as it is to be kept in a file, and what is inside.

    Raises EngineBuildError in TensorRT's own words where it refuses.
    """
    _check(library, weights, spec)
    with library.log.recording() as said:
        builder = library.api.Builder(library.logger)
        network = Network(library, builder)
        layers = weights.config.layers
        add_decoder(network, weights, spec, lambda done: progress(READING, done, layers))
        began = time.monotonic()
        plan = _compile(library, builder, network, spec, progress)
    if plan is None:
        raise EngineBuildError(f"{library} cannot build it: {library.log.faults}")
    weights_bytes, activation_bytes = find_memory(said)
    return memoryview(plan), EngineReport(
        layers=_count_layers(network.definition),
        tensors=_tensors(network.definition, spec),
        kernels=find_kernels(said),
        weights_bytes=weights_bytes,
        activation_bytes=activation_bytes,
        plan_bytes=plan.nbytes,
        build_seconds=time.monotonic() - began,
    )


def profile_shapes(spec: EngineSpec) -> tuple[Shapes, Shapes]:
    """Say what PREFILL and DECODE are for: one sequence's chunk, and a token of each of many."""
    chunk, slots = spec.prefill_chunk_tokens_max, spec.slots_max
    return Shapes(1, chunk, chunk, usual_logit_rows=1), Shapes(slots, 1, slots, usual_logit_rows=slots)


def _check(library: Library, weights: ModelWeights, spec: EngineSpec) -> None:
    if library.targets and spec.target not in library.targets:
        known = ", ".join(library.targets)
        raise EngineBuildError(f"{library} builds for {known}, not for {spec.target!r}")
    if spec.context_tokens_max > weights.config.context_tokens:
        raise EngineBuildError(f"the model has a context of {weights.config.context_tokens} tokens")


def _compile(library: Library, builder: Any, network: Network, spec: EngineSpec, progress: Progress) -> Any:
    config = builder.create_builder_config()
    _set_target(library, config, spec.target)
    config.profiling_verbosity = library.api.ProfilingVerbosity.DETAILED
    monitor = make_monitor(library, progress)
    config.progress_monitor = monitor  # it does not keep it alive
    for shapes in profile_shapes(spec):
        config.add_optimization_profile(_profile(builder, network.definition, shapes))
    return builder.build_serialized_network(network.definition, config)


def _set_target(library: Library, config: Any, target: str) -> None:
    if library.targets:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(library.api.ComputeCapability, target.upper()), 0)


def _profile(builder: Any, network: Any, shapes: Shapes) -> Any:
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        least, usual, greatest = _bounds(tensor.name, tuple(tensor.shape), shapes)
        profile.set_shape(tensor.name, least, usual, greatest)
    return profile


def _bounds(name: str, shape: tuple[int, ...], shapes: Shapes) -> tuple[tuple[int, ...], ...]:
    """Give the least, usual and greatest shape of an input."""
    if name == "logit_rows":
        return (1,), (shapes.usual_logit_rows,), (shapes.logit_rows,)
    full = {"ids": (shapes.batch, shapes.tokens), "positions": (shapes.batch, shapes.tokens)}
    greatest = full.get(name, (shapes.batch, *shape[1:]))
    least = tuple(1 if length < 0 else length for length in shape)
    return least, greatest, greatest


def _count_layers(network: Any) -> dict[str, int]:
    layers = (network.get_layer(index) for index in range(network.num_layers))
    return dict(sorted(Counter(layer.type.name for layer in layers).items()))


def _tensors(network: Any, spec: EngineSpec) -> tuple[TensorReport, ...]:
    tensors = []
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(tensor.shape)
        bounds = tuple(_bounds(tensor.name, shape, shapes) for shapes in profile_shapes(spec))
        tensors.append(TensorReport(tensor.name, True, tensor.dtype.name, shape, bounds))
    for index in range(network.num_outputs):
        tensor = network.get_output(index)
        tensors.append(TensorReport(tensor.name, False, tensor.dtype.name, tuple(tensor.shape)))
    return tuple(tensors)
