"""Find a model's files from the reference that an operator writes."""

import hashlib
import importlib.util
from pathlib import Path

from penstock_inference.formats import UnsupportedModelError

_PACKAGE_PREFIX = "package:"


def resolve_reference(reference: str) -> Path:
    """Turn a path, or "package:<name>" for a Python package that carries a model, into a file or directory.

    A package is data to us: it is found, and none of its code runs. Raises UnsupportedModelError.
    """
    if reference.startswith(_PACKAGE_PREFIX):
        return _find_in_package(reference.removeprefix(_PACKAGE_PREFIX))
    path = Path(reference).expanduser()
    if path.is_dir() or path.suffix == ".gguf":
        if path.exists():
            return path
        raise UnsupportedModelError(f"there is no model at {path}")
    raise UnsupportedModelError(
        f"{reference!r} is neither a .gguf file, a model directory nor package:<name>"
    )


def fingerprint(path: Path) -> str:
    """Digest a model's files (SHA-256, hex): the same on every machine, whatever their paths and dates."""
    digest = hashlib.sha256()
    for file in _model_files(path):
        with file.open("rb") as opened:
            digest.update(f"{file.name}\0".encode())
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _find_in_package(name: str) -> Path:
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UnsupportedModelError(f"the package {name!r} is not installed")
    for location in map(Path, spec.submodule_search_locations):
        for file in sorted([*location.rglob("*.gguf"), *location.rglob("model.safetensors")]):
            return file if file.suffix == ".gguf" else file.parent
    raise UnsupportedModelError(f"the package {name!r} carries no model")


def _model_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(file for pattern in ("*.json", "*.jinja", "*.safetensors") for file in path.glob(pattern))
