"""Build TensorRT engines ahead of time, keep them, and open them.

Read `decoder.py` first: the network. `build.py` compiles it for a target, which needs no GPU; `store.py` keeps what was
built and refuses what does not fit; `execution.py` runs it on a GPU, and `..tensorrt_engine` serves it.
"""


class EngineBuildError(ValueError):
    """Say why an engine cannot be built: what TensorRT, the target or the model do not allow."""


class EngineRefusedError(ValueError):
    """Say why an engine is not loaded: none was built, it is damaged, stale, or the runtime does not take it."""
