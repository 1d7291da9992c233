"""Whether an engine is well, by how its last steps went. Pure."""

from servicekit.errors import Unavailable

FAULTS_MAX = 3  # steps that fail in a row before the model calls itself unhealthy
FAULT_SECONDS = 10.0  # for how long it does; then requests may try again


class EngineHealth:
    """Count the steps that failed in a row; one that gave somebody a token ends the row."""

    def __init__(self) -> None:
        self._faults = 0
        self._fault_time = 0.0

    @property
    def failing(self) -> bool:
        """Tell whether so many steps failed that who waits need not try."""
        return self._faults >= FAULTS_MAX

    def worked(self) -> None:
        """Note a step that gave somebody a token."""
        self._faults = 0

    def failed(self, now: float) -> None:
        """Note a step that gave nobody one."""
        self._faults, self._fault_time = self._faults + 1, now

    def check(self, now: float) -> None:
        """Raise Unavailable after several failed steps in a row (DEPENDENCY_UNAVAILABLE)."""
        if self.failing and now < self._fault_time + FAULT_SECONDS:
            raise Unavailable(
                "DEPENDENCY_UNAVAILABLE", "The engine fails.", metadata={"dependency": "engine"}
            )
