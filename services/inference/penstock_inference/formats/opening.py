"""Open a decoder's files, whatever their container."""

from pathlib import Path

from penstock_inference.formats import ModelWeights
from penstock_inference.formats.gguf import GgufWeights
from penstock_inference.formats.hugging_face import HuggingFaceWeights


def open_weights(path: Path) -> ModelWeights:
    """Open a .gguf file or a Hugging Face directory. Raises UnsupportedModelError."""
    return GgufWeights(path) if path.suffix == ".gguf" else HuggingFaceWeights(path)
