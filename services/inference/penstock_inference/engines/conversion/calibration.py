"""Run a model over texts, and see how large the inputs of its matrices become."""

import os
import tempfile
from pathlib import Path

import numpy as np

from penstock_inference.engines.conversion.kernels import BlockKernels
from penstock_inference.engines.conversion.llama_graph import build_llama_graph
from penstock_inference.engines.conversion.onnx_graph import GRAPH_FILE, GraphBuilder
from penstock_inference.engines.conversion.operands import Operand
from penstock_inference.engines.conversion.progress import CALIBRATING, Progress
from penstock_inference.engines.conversion.smoothing import InputMaxima
from penstock_inference.engines.conversion.whole_texts import read_texts, run_text
from penstock_inference.engines.onnx_session import Session
from penstock_inference.formats import Floats, ModelWeights
from penstock_inference.tokenizer import Tokenizer

TEXTS = Path(__file__).with_name("calibration.txt")
_LINEARS_PER_LAYER = len(InputMaxima._fields)


def calibrate(weights: ModelWeights, texts: Path, progress: Progress) -> list[InputMaxima]:
    """Give the maxima of each layer over a file's paragraphs.

    What is run is the model in 8 bits, not smoothed yet. It lies in a temporary directory meanwhile.
    """
    tokenizer = Tokenizer(weights.tokenizer_json())
    tokenizer.require_known(weights.config.vocabulary_tokens)
    token_ids = read_texts(texts, weights.config, tokenizer)
    progress(CALIBRATING, 0, len(token_ids) + 1)
    with tempfile.TemporaryDirectory() as directory:
        kernels = _RecordingKernels()
        build_llama_graph(weights, kernels, Path(directory))
        session = Session(Path(directory) / GRAPH_FILE, threads=os.cpu_count() or 1)
        seen = [np.zeros(width, np.float32) for width in kernels.widths]
        for place, ids in enumerate(token_ids, start=1):
            progress(CALIBRATING, place, len(token_ids) + 1)
            found = run_text(session, weights.config, ids, kernels.outputs)
            seen = [np.maximum(before, now) for before, now in zip(seen, found, strict=True)]
    progress(CALIBRATING, len(token_ids) + 1, len(token_ids) + 1)
    starts = range(0, len(seen), _LINEARS_PER_LAYER)
    return [InputMaxima(*seen[start : start + _LINEARS_PER_LAYER]) for start in starts]


class _RecordingKernels(BlockKernels):
    """Give the largest magnitude of each matrix's inputs as one more result of the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.widths: list[int] = []

    @property
    def outputs(self) -> list[str]:
        return [f"inputs_{place}" for place in range(len(self.widths))]

    def linear(self, graph: GraphBuilder, operand: Operand, matrix: Floats, residual: str = "") -> str:
        """Multiply each row of the operand with the matrix transposed, and add the residual, if there is one."""
        self.widths.append(matrix.shape[1])
        axes = graph.constant(np.array([0, 1]))
        maxima = graph.add("ReduceMax", graph.add("Abs", operand.compute(graph)), axes, keepdims=0)
        graph.output(self.outputs[-1], maxima, np.float32, [matrix.shape[1]])
        return super().linear(graph, operand, matrix, residual)
