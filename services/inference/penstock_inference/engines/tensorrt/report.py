"""What TensorRT said of an engine while it built it: without a GPU there is no other way to look inside."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

_KERNEL = re.compile(r"^Name: (?P<name>.+?), LayerType: (?P<kind>\w+), ", re.MULTILINE)
_PROFILE = re.compile(r"_myl(\d+)_\d+$")  # how names end: which profile, and the kernel's place in it
_ACTIVATIONS = re.compile(r"^Total Activation Memory: (\d+) bytes", re.MULTILINE)
_WEIGHTS = re.compile(r"^Total Weights Memory: (\d+) bytes", re.MULTILINE)
_FUSED_ATTENTION = re.compile(r"mha|fmha|flash", re.IGNORECASE)
_KERNELS_BEGIN = "Layers:\n"
_KERNELS_END = "\nI/O Tensors:"


@dataclass(frozen=True, slots=True)
class Kernel:
    """One launch of a compiled engine."""

    profile: int
    name: str
    kind: str

    @property
    def is_fused_attention(self) -> bool:
        """Tell whether it computes a layer's whole attention."""
        return bool(_FUSED_ATTENTION.search(self.name))


@dataclass(frozen=True, slots=True)
class TensorReport:
    """An input or output: its length in each axis, -1 where profiles bound it."""

    name: str
    is_input: bool
    dtype: str
    shape: tuple[int, ...]
    profiles: tuple[tuple[tuple[int, ...], ...], ...] = ()  # each profile's least, usual and greatest shape


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What is inside an engine."""

    layers: Mapping[str, int]  # of the network, counted by type
    tensors: tuple[TensorReport, ...]
    kernels: tuple[Kernel, ...]  # none where the library does not tell
    weights_bytes: int
    activation_bytes: tuple[int, ...]  # scratch memory of each profile
    plan_bytes: int
    build_seconds: float

    def fused_attention(self, profile: int) -> int:
        """Count the layers whose attention is one kernel."""
        return sum(kernel.is_fused_attention for kernel in self.kernels if kernel.profile == profile)

    def to_fields(self) -> dict[str, Any]:
        """Give what JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Read what `to_fields` gave, through JSON or not."""
        return cls(
            layers=fields["layers"],
            tensors=tuple(_tensor(tensor) for tensor in fields["tensors"]),
            kernels=tuple(Kernel(**kernel) for kernel in fields["kernels"]),
            weights_bytes=fields["weights_bytes"],
            activation_bytes=tuple(fields["activation_bytes"]),
            plan_bytes=fields["plan_bytes"],
            build_seconds=fields["build_seconds"],
        )


def find_kernels(messages: Iterable[str]) -> tuple[Kernel, ...]:
    """List the kernels from what a builder logs at its most verbose."""
    for message in messages:
        if message.startswith(_KERNELS_BEGIN):
            listed = message.partition(_KERNELS_END)[0]
            return tuple(
                Kernel(_profile_of(found["name"]), found["name"], found["kind"])
                for found in _KERNEL.finditer(listed)
            )
    return ()


def find_memory(messages: Iterable[str]) -> tuple[int, tuple[int, ...]]:
    """Find the bytes of weights, and the scratch bytes of each profile."""
    text = "\n".join(messages)
    weights = _WEIGHTS.search(text)
    return int(weights[1]) if weights else 0, tuple(int(found[1]) for found in _ACTIVATIONS.finditer(text))


def _profile_of(kernel: str) -> int:
    found = _PROFILE.search(kernel)
    return int(found[1]) if found else 0


def _tensor(fields: Mapping[str, Any]) -> TensorReport:
    profiles = tuple(tuple(tuple(shape) for shape in profile) for profile in fields["profiles"])
    return TensorReport(**{**fields, "shape": tuple(fields["shape"]), "profiles": profiles})
