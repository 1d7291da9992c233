"""Prepare a model, for `penstock model convert`: `python -m penstock_inference.engines.conversion …`.

Each line of its output is a JSON object with one field: `progress`, `result` or `failure`.
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from penstock_inference.engines.conversion import convert_decoder
from penstock_inference.engines.conversion.calibration import TEXTS
from penstock_inference.engines.conversion.comparison import Comparison, compare
from penstock_inference.engines.conversion.onnx_graph import GRAPH_FILE
from penstock_inference.engines.converted import ConvertedModel, prepare_decoder
from penstock_inference.engines.onnx_session import Session
from penstock_inference.engines.setup import ENGINE_KINDS, require_kind
from penstock_inference.formats import ModelConfig, UnsupportedModelError
from penstock_inference.formats.references import resolve_reference
from penstock_inference.tokenizer import Tokenizer


def main() -> None:
    """Do as the arguments say; exit with 1 after a failure."""
    arguments = _parser().parse_args()
    try:
        result = prepare(arguments)
    except (UnsupportedModelError, OSError, ValueError) as error:
        _print(failure=str(error))
        sys.exit(1)
    _print(result=result)


def prepare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Convert a model, and say where it is, how large, and how it predicts beside its source."""
    source, output, kind = resolve_reference(arguments.reference), arguments.output, arguments.kind
    require_kind(kind, ENGINE_KINDS["onnxruntime"])
    if output is None and arguments.texts != TEXTS:
        raise ValueError("what is calibrated on texts of your own needs a directory of its own")
    if output is not None:
        if output.exists():
            raise ValueError(f"{output} is there already")
        prepare_decoder(
            output.absolute(),
            kind,
            lambda target: convert_decoder(source, kind, target, arguments.texts, _print_progress),
        )
    converted = ConvertedModel.open(output or source, "decoder", kind, arguments.cache_dir)
    return {
        "directory": str(converted.directory),
        "kind": kind,
        "size_bytes": converted.size_bytes,
        **dataclasses.asdict(_compare_with_source(source, converted)),
    }


def _compare_with_source(source: Path, converted: ConvertedModel) -> Comparison:
    threads = os.cpu_count() or 1
    config, tokenizer = (
        ModelConfig.from_json(converted.text("config.json")),
        Tokenizer(converted.text("tokenizer.json")),
    )
    with tempfile.TemporaryDirectory() as directory:
        convert_decoder(source, "fp32", Path(directory))
        exact = Session(Path(directory) / GRAPH_FILE, threads=threads)
        return compare(exact, converted.session(threads), config, tokenizer, _print_progress)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="penstock_inference.engines.conversion")
    parser.add_argument("reference")
    parser.add_argument("--cache-dir", type=Path, required=True)
    parser.add_argument("--kind", required=True)
    parser.add_argument("--texts", type=Path, default=TEXTS)
    parser.add_argument("--output", type=Path)
    return parser


def _print_progress(phase: str, done: int, total: int) -> None:
    _print(progress=(phase, done, total))


def _print(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
