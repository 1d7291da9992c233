"""Turn a model's files into what the engine loads: a graph, its weights, its tokenizer, its configuration."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from penstock_inference.engines.conversion.bert_graph import build_bert_graph
from penstock_inference.engines.conversion.calibration import TEXTS, calibrate
from penstock_inference.engines.conversion.int4_rounding import round_to_4_bits
from penstock_inference.engines.conversion.kernels import BlockKernels, Fp32Kernels, Kernels
from penstock_inference.engines.conversion.llama_graph import build_llama_graph
from penstock_inference.engines.conversion.progress import Progress, say_nothing
from penstock_inference.engines.conversion.smoothing import FACTORS_FILE, SmoothedWeights
from penstock_inference.formats import ModelWeights
from penstock_inference.formats.opening import open_weights
from penstock_inference.formats.sentence_encoder import SentenceEncoderWeights

_DECODER_KERNELS: dict[str, Callable[[], Kernels]] = {
    "int8": BlockKernels,
    "int4": partial(BlockKernels, round_to_4_bits),
    "fp32": Fp32Kernels,
}
_SMOOTHED = ("int8",)  # kinds that round activations more coarsely than weights need
_ENCODER_KERNELS: dict[str, Callable[[], Kernels]] = {"int8": BlockKernels, "fp32": Fp32Kernels}


def convert_decoder(
    source: Path,
    kind: str,
    target: Path,
    texts: Path = TEXTS,
    progress: Progress = say_nothing,
) -> None:
    """Fill a directory with a decoder in one of its kinds, calibrated on a file's paragraphs where that helps."""
    weights: ModelWeights = open_weights(source)
    if kind in _SMOOTHED:
        weights = SmoothedWeights(weights, calibrate(weights, texts, progress))
        weights.save_factors(target / FACTORS_FILE)
    build_llama_graph(weights, _DECODER_KERNELS[kind](), target, progress)
    (target / "tokenizer.json").write_text(weights.tokenizer_json(), encoding="utf-8")
    (target / "config.json").write_text(weights.config.to_json(), encoding="utf-8")


def convert_encoder(source: Path, kind: str, target: Path) -> None:
    """Fill a directory with a sentence encoder in one of its kinds."""
    weights = SentenceEncoderWeights(source)
    build_bert_graph(weights, _ENCODER_KERNELS[kind](), target)
    (target / "tokenizer.json").write_text(weights.tokenizer_json(), encoding="utf-8")
    (target / "config.json").write_text(weights.config.to_json(), encoding="utf-8")


CONVERTERS = {"decoder": convert_decoder, "encoder": convert_encoder}
