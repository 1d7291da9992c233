"""Traces of requests, in the formats of the published ones: each becomes a list of keys."""

import gzip
import json
import struct
from pathlib import Path


def read(path: Path) -> list[int]:
    """Read a trace, gzip or not: JSON Lines with `hash_ids`, a CSV, decimal numbers, or big-endian 32-bit keys.

    In a CSV without keys each row's figures are the key: two requests of equal length count as equal.
    """
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        return _binary(content)
    lines = text.split("\n")
    if lines[0].startswith("{"):
        return [key for line in lines if line for key in json.loads(line)["hash_ids"]]
    if "," in lines[0]:
        return _numbered([line.strip().split(",", 1)[1] for line in lines[1:] if line.strip()])
    if all(line.strip().lstrip("-").isdigit() or line.strip() in {"", "*"} for line in lines):
        return [int(line) for line in lines if line.strip() not in {"", "*"}]
    return _binary(content)


def _binary(content: bytes) -> list[int]:
    return list(struct.unpack(f">{len(content) // 4}i", content[: len(content) // 4 * 4]))


def _numbered(values: list[str]) -> list[int]:
    numbers: dict[str, int] = {}
    return [numbers.setdefault(value, len(numbers)) for value in values]


def write_oracle(keys: list[int], path: Path) -> None:
    """Write a trace as libcachesim reads it: time, key, size, and the time of the next request for the same key."""
    following: dict[int, int] = {}
    records = []
    for time in range(len(keys) - 1, -1, -1):
        key = keys[time]
        records.append(struct.pack("<IQIq", time, key & (2**63 - 1), 1, following.get(key, -1)))
        following[key] = time
    path.write_bytes(b"".join(reversed(records)))
