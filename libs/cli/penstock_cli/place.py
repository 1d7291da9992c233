"""Where a stack lives: its checkout, its run directory, its ports. Read from the environment once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock_cli.failure import Failure

PORT_MAX = 65535
OFFSET_MAX = 15_000


@dataclass(frozen=True, slots=True)
class Place:
    """One stack among those of a machine.

    Args:
        root: the checkout.
        run_dir: logs, state, secrets and, by default, data.
        data_dir: what the services keep.
        model_cache_dir: prepared models, shared by the stacks of a checkout.
        port_offset: moves every default port.
        edge_port: REST and gRPC for callers.
        edge_admin_port: Envoy's own pages.
    """

    root: Path
    run_dir: Path
    data_dir: Path
    model_cache_dir: Path
    port_offset: int
    edge_port: int
    edge_admin_port: int

    def port(self, default: int) -> int:
        """Move a default port."""
        return default + self.port_offset

    @property
    def url(self) -> str:
        """Give the address of the edge."""
        return f"http://127.0.0.1:{self.edge_port}"


def find_place(environ: Mapping[str, str]) -> Place:
    """Read PENSTOCK_RUN_DIR, _DATA_DIR, _INFERENCE_CACHE_DIR, _PORT_OFFSET, _EDGE_PORT and _EDGE_ADMIN_PORT."""
    root = find_root()
    run_dir = _path(environ, "PENSTOCK_RUN_DIR", root / ".run")
    offset = _integer(environ, "PENSTOCK_PORT_OFFSET", 0, OFFSET_MAX)
    return Place(
        root=root,
        run_dir=run_dir,
        data_dir=_path(environ, "PENSTOCK_DATA_DIR", run_dir / "data"),
        model_cache_dir=_path(environ, "PENSTOCK_INFERENCE_CACHE_DIR", root / ".cache" / "models"),
        port_offset=offset,
        edge_port=_integer(environ, "PENSTOCK_EDGE_PORT", 8080 + offset, PORT_MAX),
        edge_admin_port=_integer(environ, "PENSTOCK_EDGE_ADMIN_PORT", 9901 + offset, PORT_MAX),
    )


def find_root() -> Path:
    """Give the checkout that this package is installed from."""
    return Path(__file__).resolve().parents[3]


def _path(environ: Mapping[str, str], name: str, default: Path) -> Path:
    return Path(environ.get(name) or default).absolute()


def _integer(environ: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or int(text) > most:
        raise Failure(f"bad setting {name}={text!r}", hint=f"It must be a whole number from 0 to {most}.")
    return int(text)
