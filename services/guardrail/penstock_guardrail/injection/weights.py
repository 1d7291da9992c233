"""The weights of a cast model, and the file that says what they are."""

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_guardrail.injection.features import BUCKETS
from penstock_guardrail.injection.signals import NAMES

_SCALE_MAX = 127


class UnusableModelError(ValueError):
    """The files of the model do not fit together, or not to this program."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A linear model: a weight a bucket and a signal; `slope` and `offset` make its score a probability (Platt 1999).

    `version` rises with every model cast.
    """

    version: int
    buckets: npt.NDArray[np.float32]
    signals: npt.NDArray[np.float32]
    bias: float
    slope: float
    offset: float


def shipped() -> Weights:
    """Load the model of this package.

    Raises:
        UnusableModelError: the weights are not those of the manifest, or were cast for other features.
    """
    return read(manifest(), (resources.files(__package__) / "model" / "buckets.i8").read_bytes())


def manifest() -> dict[str, Any]:
    """Load what the model of this package is and reached when it was cast."""
    content: dict[str, Any] = json.loads(
        (resources.files(__package__) / "model" / "manifest.json").read_text()
    )
    return content


def read(description: dict[str, Any], content: bytes) -> Weights:
    """Read what `write` wrote."""
    if hashlib.sha256(content).hexdigest() != description["sha256"]:
        raise UnusableModelError("the weights are not those that the manifest names")
    if len(content) != BUCKETS or tuple(description["signals"]) != tuple(NAMES):
        raise UnusableModelError("the weights were cast for other features")
    return Weights(
        version=int(description["version"]),
        buckets=np.frombuffer(content, np.int8).astype(np.float32) * np.float32(description["scale"]),
        signals=np.array([description["signals"][name] for name in NAMES], np.float32),
        bias=float(description["bias"]),
        slope=float(description["slope"]),
        offset=float(description["offset"]),
    )


def write(weights: Weights) -> tuple[dict[str, Any], bytes]:
    """Give the manifest and the content of the weights, eight bits each."""
    scale = float(np.abs(weights.buckets).max()) / _SCALE_MAX or 1.0
    content = np.rint(weights.buckets / scale).astype(np.int8).tobytes()
    description = {
        "version": weights.version,
        "sha256": hashlib.sha256(content).hexdigest(),
        "scale": scale,
        "bias": weights.bias,
        "slope": weights.slope,
        "offset": weights.offset,
        "signals": {
            name: round(float(weight), 4) for name, weight in zip(NAMES, weights.signals, strict=True)
        },
    }
    return description, content
