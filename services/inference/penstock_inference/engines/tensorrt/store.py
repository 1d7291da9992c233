"""Keep built engines, and refuse whatever is not exactly what was asked for."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from penstock_inference.engines.build_cache import UNFINISHED, BuildCache, is_intact
from penstock_inference.engines.tensorrt import EngineRefusedError
from penstock_inference.engines.tensorrt.library import open_library
from penstock_inference.engines.tensorrt.report import EngineReport
from penstock_inference.engines.tensorrt.spec import EngineSpec

PLAN = "engine.plan"
MODEL_CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
_RECORD = "engine.json"


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """What is kept beside a plan.

    Args:
        model: where the checkpoint was found, for people.
        checkpoint: the digest of its files.
        spec: what it was built for.
        built_by: the library, its version, and the digest of our code.
        report: what is inside.
    """

    model: str
    checkpoint: str
    spec: EngineSpec
    built_by: str
    report: EngineReport

    def to_json(self) -> str:
        """Write every field."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        spec, report = EngineSpec(**fields.pop("spec")), EngineReport.from_fields(fields.pop("report"))
        return cls(**fields, spec=spec, report=report)


@dataclass(frozen=True, slots=True)
class StoredEngine:
    """An engine in the store."""

    directory: Path
    record: EngineRecord

    @property
    def id(self) -> str:
        """Name it."""
        return self.directory.name

    def text(self, name: str) -> str:
        """Read one of its files."""
        return (self.directory / name).read_text(encoding="utf-8")

    def require_intact(self) -> None:
        """Raise EngineRefusedError if any of its files is not as it was built: cut short, changed or lost."""
        if not is_intact(self.directory):
            raise EngineRefusedError(f"the engine {self.id} is damaged: build it again")


class EngineStore:
    """Engines in a directory, each by its checkpoint, what it was built for, and by whom."""

    def __init__(self, directory: Path, built_by: str) -> None:
        """`built_by` is the library in use, and our code: an engine of any other is stale."""
        self._directory = directory
        self.built_by = built_by

    def build(self, checkpoint: str, spec: EngineSpec, build: Callable[[Path], EngineRecord]) -> StoredEngine:
        """Give the engine that `build` filled a directory with, now or before."""

        def fill(directory: Path) -> None:
            (directory / _RECORD).write_text(build(directory).to_json(), encoding="utf-8")

        version = hashlib.sha256(self.built_by.encode()).hexdigest()[:8]
        return read_engine(BuildCache(self._directory).get(_key(checkpoint, spec), version, fill))

    def open(self, checkpoint: str, spec: EngineSpec) -> StoredEngine:
        """Find an engine to run. Raises EngineRefusedError if none is as it must be."""
        found = [entry for entry in self.entries() if entry.name.startswith(f"{_key(checkpoint, spec)}@")]
        if not found:
            raise EngineRefusedError(f"no engine was built for {spec}: `penstock engine build` does")
        engine = read_engine(found[0])
        engine.require_intact()
        if self.is_stale(engine):
            raise EngineRefusedError(
                f"the engine {engine.id} was built by {engine.record.built_by}, and this is {self.built_by}: "
                "build it again"
            )
        if (engine.record.checkpoint, engine.record.spec) != (checkpoint, spec):
            raise EngineRefusedError(f"the engine {engine.id} is not what its name says: build it again")
        return engine

    def find(self, name: str) -> StoredEngine:
        """Read an engine by the beginning of its id. Raises EngineRefusedError unless exactly one has it."""
        found = [entry for entry in self.entries() if entry.name.startswith(name)]
        if len(found) != 1:
            raise EngineRefusedError(f"{len(found) or 'no'} engines have ids that begin with {name!r}")
        return read_engine(found[0])

    def entries(self) -> list[Path]:
        """List the directories of all that was built, the damaged and the stale too."""
        return sorted(path for path in self._directory.glob("*@*") if path.suffix != UNFINISHED)

    def is_stale(self, engine: StoredEngine) -> bool:
        """Tell whether something else than what is in use built it."""
        return engine.record.built_by != self.built_by


def open_store(cache_dir: Path) -> EngineStore:
    """Open the store in a service's directory of models, for the library that is installed.

    Raises EngineBuildError if none is.
    """
    return EngineStore(cache_dir / "engines", f"{open_library()}, {_code_digest()}")


def read_engine(directory: Path) -> StoredEngine:
    """Read what is kept beside a plan. Raises EngineRefusedError if it cannot be read."""
    try:
        record = EngineRecord.from_json((directory / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineRefusedError(f"the engine {directory.name} is damaged: build it again") from error
    return StoredEngine(directory, record)


@functools.cache
def _code_digest() -> str:
    """Digest the code that builds, so that no engine outlives a change of it."""
    package = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for part in ("engines/tensorrt", "formats"):
        for path in sorted((package / part).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def _key(checkpoint: str, spec: EngineSpec) -> str:
    return f"{checkpoint[:12]}-{spec}"
