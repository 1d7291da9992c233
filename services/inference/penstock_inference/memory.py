"""One memory budget for all models of a process: what does not fit is refused before it is loaded."""

import threading

from servicekit.errors import ResourceExhausted


class MemoryBudget:
    """Hold what each model may come to use: its weights, and KV memory with every slot full. Thread-safe."""

    def __init__(self, bytes_max: int) -> None:
        """Limit the sum; 0 means no limit."""
        self._bytes_max = bytes_max
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()

    def hold(self, model_id: str, size_bytes: int) -> None:
        """Hold memory for a model, instead of what was held for it before.

        Raises:
            ResourceExhausted: others have too much of it (OVERLOADED).
        """
        with self._lock:
            others = sum(held for other, held in self._held.items() if other != model_id)
            free = self._bytes_max - others
            if self._bytes_max and size_bytes > free:
                raise ResourceExhausted(
                    "OVERLOADED",
                    f"The model {model_id} needs {size_bytes} bytes of memory; {free} are free.",
                    metadata={"queue": "memory", "limit": str(self._bytes_max)},
                )
            self._held[model_id] = size_bytes

    def release(self, model_id: str) -> None:
        """Give back what is held for a model, if anything is."""
        with self._lock:
            self._held.pop(model_id, None)
