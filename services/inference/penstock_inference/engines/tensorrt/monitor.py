"""How far TensorRT is with a build."""

from collections.abc import Callable
from typing import Any

from penstock_inference.engines.tensorrt.library import Library

Progress = Callable[[str, int, int], None]  # a phase, how much of it is done, of how much

COMPILING = "Compiling"
_LONGEST_PHASE = (
    "Computing profile costs"  # TensorRT's name for what takes nearly all the time, profile by profile
)


def make_monitor(library: Library, progress: Progress) -> Any:
    """Make what TensorRT calls as it goes on."""

    class Monitor(library.api.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self._steps = 0

        def phase_start(self, name: str, _parent: str | None, steps: int) -> None:
            if name == _LONGEST_PHASE:
                self._steps = steps
                progress(COMPILING, 0, steps)

        def step_complete(self, name: str, step: int) -> bool:
            if name == _LONGEST_PHASE:
                progress(COMPILING, step + 1, self._steps)
            return True  # go on

        def phase_finish(self, _name: str) -> None:
            pass

    return Monitor()
