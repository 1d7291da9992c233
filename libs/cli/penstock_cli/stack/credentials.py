"""The development key of a stack, and the file that tells programs how to reach the stack."""

import os
import secrets
from pathlib import Path

KEY_BYTES = 32


def bootstrap_key_file(run_dir: Path) -> Path:
    """Give the file of the first key, made when there is none: "psk_" and 43 characters, for our eyes only."""
    path = run_dir / "secrets" / "bootstrap_key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, f"psk_{secrets.token_urlsafe(KEY_BYTES)}\n")
    return path


def write_env_file(run_dir: Path, edge_port: int, key: str) -> None:
    """Write `env`: how to reach the stack, for a shell to source."""
    address = f"127.0.0.1:{edge_port}"
    known = {"PENSTOCK_URL": f"http://{address}", "PENSTOCK_GRPC": address, "PENSTOCK_API_KEY": key}
    lines = [f"{name}={value}" for name, value in known.items()]
    write_private(run_dir / "env", "\n".join([*lines, f"export {' '.join(known)}", ""]))


def read_env_file(run_dir: Path) -> dict[str, str]:
    """Read `env`; nothing when no stack was started here."""
    path = run_dir / "env"
    if not path.exists():
        return {}
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def write_private(path: Path, text: str) -> None:
    """Write a file that only we may read, in one step."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
    draft.replace(path)
