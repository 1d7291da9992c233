"""Build and look at engines, for `penstock engine`: `python -m penstock_inference.engines.tensorrt <command> …`.

It is a process of its own, so that what a build takes goes with it, and what kills it kills nothing else. Each line of
its output is a JSON object with one field: `progress`, `result` or `failure`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from penstock_inference.engines.tensorrt import EngineBuildError, EngineRefusedError
from penstock_inference.engines.tensorrt.build import DECODE, PREFILL, build_engine
from penstock_inference.engines.tensorrt.library import open_library
from penstock_inference.engines.tensorrt.spec import EngineSpec
from penstock_inference.engines.tensorrt.store import (
    MODEL_CONFIG,
    PLAN,
    TOKENIZER,
    EngineRecord,
    EngineStore,
    StoredEngine,
    open_store,
    read_engine,
)
from penstock_inference.formats import ModelConfig, UnsupportedModelError
from penstock_inference.formats.opening import open_weights
from penstock_inference.formats.references import fingerprint, resolve_reference

CURRENT = "current"


def main() -> None:
    """Do as the arguments say; exit with 1 after a failure."""
    arguments = _parser().parse_args()
    try:
        result = arguments.command(open_store(arguments.cache_dir), arguments)
    except (EngineBuildError, EngineRefusedError, UnsupportedModelError) as error:
        _print(failure=str(error))
        sys.exit(1)
    _print(result=result)


def build(store: EngineStore, arguments: argparse.Namespace) -> dict[str, Any]:
    """Build an engine, unless it is there; give it as `inspect` does."""
    target = _find_target(arguments.target)
    spec = EngineSpec(
        target, arguments.kind, arguments.slots, arguments.context_tokens, arguments.chunk_tokens
    )
    source = resolve_reference(arguments.reference)
    checkpoint = fingerprint(source)

    def fill(directory: Path) -> EngineRecord:
        weights = open_weights(source)
        plan, report = build_engine(open_library(), weights, spec, _print_progress)
        (directory / PLAN).write_bytes(plan)
        (directory / MODEL_CONFIG).write_text(weights.config.to_json(), encoding="utf-8")
        (directory / TOKENIZER).write_text(weights.tokenizer_json(), encoding="utf-8")
        return EngineRecord(arguments.reference, checkpoint, spec, store.built_by, report)

    return _describe(store, store.build(checkpoint, spec, fill))


def inspect(store: EngineStore, arguments: argparse.Namespace) -> dict[str, Any]:
    """Give all that is known of an engine, whose files are read and found whole."""
    engine = store.find(arguments.engine)
    engine.require_intact()
    return _describe(store, engine)


def list_engines(store: EngineStore, _: argparse.Namespace) -> list[dict[str, Any]]:
    """Give every engine; one whose record cannot be read is damaged."""
    listed = []
    for entry in store.entries():
        try:
            listed.append(_describe(store, read_engine(entry)))
        except EngineRefusedError:
            listed.append({"id": entry.name, "state": "damaged"})
    return listed


def _find_target(name: str) -> str:
    """Name the GPU of this machine if that is meant, or if there is no other choice."""
    library = open_library()
    if name != CURRENT and library.targets:
        return name
    from penstock_inference.engines.tensorrt.device import Device  # noqa: PLC0415 - looking at engines needs no CUDA

    try:
        here = Device().target
    except EngineRefusedError as error:
        raise EngineBuildError(f"{error}. Name the target, one of {', '.join(library.targets)}") from error
    if name not in {CURRENT, here}:
        raise EngineBuildError(f"{library} builds for the GPU of this machine only, and that is {here}")
    return here


def _describe(store: EngineStore, engine: StoredEngine) -> dict[str, Any]:
    config = ModelConfig.from_json(engine.text(MODEL_CONFIG))
    return {
        "id": engine.id,
        "directory": str(engine.directory),
        "state": "stale" if store.is_stale(engine) else "ready",
        "kv_bytes": engine.record.spec.kv_bytes(config),
        "layers": config.layers,
        "fused_attention": [engine.record.report.fused_attention(profile) for profile in (PREFILL, DECODE)],
        **json.loads(engine.record.to_json()),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="penstock_inference.engines.tensorrt")
    parser.add_argument("--cache-dir", type=Path, required=True)
    commands = parser.add_subparsers(required=True)
    building = commands.add_parser("build")
    building.add_argument("reference")
    building.add_argument("--target", required=True)
    building.add_argument("--kind", required=True)
    for name in ("--slots", "--context-tokens", "--chunk-tokens"):
        building.add_argument(name, type=int, required=True)
    building.set_defaults(command=build)
    inspecting = commands.add_parser("inspect")
    inspecting.add_argument("engine")
    inspecting.set_defaults(command=inspect)
    commands.add_parser("list").set_defaults(command=list_engines)
    return parser


def _print_progress(phase: str, done: int, total: int) -> None:
    _print(progress=(phase, done, total))


def _print(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
