"""llama.cpp on the weights that it runs fastest: requantised by itself to Q4_0, which it has repacked kernels for."""

import sys
from pathlib import Path

import llama_cpp as lib
from harness.paths import CACHE

from engines.llama import main


def requantised(gguf: Path) -> Path:
    """Give the file in Q4_0, made once."""
    target = CACHE / "generation" / f"{gguf.stem}-q4_0.gguf"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        parameters = lib.llama_model_quantize_default_params()
        parameters.ftype = lib.LLAMA_FTYPE_MOSTLY_Q4_0
        parameters.allow_requantize = True
        part = target.with_suffix(".part")
        if lib.llama_model_quantize(str(gguf).encode(), str(part).encode(), parameters) != 0:
            raise RuntimeError("llama_model_quantize failed")
        part.rename(target)
    return target


if __name__ == "__main__":
    main(str(requantised(Path(sys.argv[1]))), *sys.argv[2:])
