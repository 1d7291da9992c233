"""The usage journal's lines: what they say, and how a torn one is told from a whole one."""

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(slots=True, eq=False)
class Attempt:
    """What one attempt at an operation has used so far."""

    operation_id: str
    number: int
    model: str
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    completion_tokens: int = 0
    ended: bool = False
    key: int = 0  # names it in the journal's lines
    segment: Path | None = None  # the file with its last record
    record_time_ns: int = 0  # when that was written, since 1970


def encode_record(time_ns: int, attempts: Iterable[Attempt], introduced: Iterable[Attempt]) -> bytes:
    """Write one line: a checksum and a JSON object. Counts are totals, so a later line replaces an earlier one.

    Every step writes a line, so its JSON is put together by hand, in a third of the time.
    """
    counts = ",".join(
        f"[{a.key},{a.prompt_tokens},{a.cached_prompt_tokens},{a.completion_tokens},{a.ended:d}]"
        for a in attempts
    )
    names = [[a.key, a.operation_id, a.number, a.model] for a in introduced]
    text = (
        f'{{"time":{time_ns},"attempts":{json.dumps(names) if names else "[]"},"usage":[{counts}]}}'.encode()
    )
    return b"%08x %s\n" % (zlib.crc32(text), text)


def read_segment(path: Path) -> list[Attempt]:
    """Give what a segment says last of each attempt. Lines that are torn or damaged are left out."""
    attempts: dict[int, Attempt] = {}
    last: dict[int, tuple[list[int], int]] = {}  # counts and their time, by key
    with path.open("rb") as lines:
        for record in filter(None, map(_decode, lines)):
            for key, operation_id, number, model in record.get("attempts", ()):
                attempts[key] = Attempt(operation_id, number, model, key=key, segment=path)
            for key, *counts in record.get("usage", ()):
                last[key] = counts, record["time"]
    for key, attempt in attempts.items():
        counts, attempt.record_time_ns = last[key]
        attempt.prompt_tokens, attempt.cached_prompt_tokens, attempt.completion_tokens = counts[:3]
        attempt.ended = bool(counts[3])
    return list(attempts.values())


def _decode(line: bytes) -> dict[str, Any] | None:
    checksum, _, text = line.removesuffix(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    record: dict[str, Any] = json.loads(text)
    return record
