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
    """Write one line: a checksum and a JSON object. Counts are totals, so a later line replaces an earlier one."""
    counts = [
        [a.key, a.prompt_tokens, a.cached_prompt_tokens, a.completion_tokens, int(a.ended)] for a in attempts
    ]
    record: dict[str, Any] = {"time": time_ns, "usage": counts}
    names = [[a.key, a.operation_id, a.number, a.model] for a in introduced]
    if names:
        record["attempts"] = names
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def read_segment(path: Path) -> list[Attempt]:
    """Give what a segment says last of each attempt. Lines that are torn or damaged are left out."""
    attempts: dict[int, Attempt] = {}
    with path.open("rb") as lines:
        for record in map(_decode, lines):
            for key, operation_id, number, model in record.get("attempts", ()):
                attempts[key] = Attempt(operation_id, number, model, key=key, segment=path)
            for key, *counts, ended in record.get("usage", ()):
                if key in attempts:
                    _update(attempts[key], counts, ended=bool(ended), time_ns=record["time"])
    return list(attempts.values())


def _decode(line: bytes) -> dict[str, Any]:
    checksum, _, text = line.removesuffix(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return {}
    record: dict[str, Any] = json.loads(text)
    return record


def _update(attempt: Attempt, counts: list[int], *, ended: bool, time_ns: int) -> None:
    attempt.prompt_tokens, attempt.cached_prompt_tokens, attempt.completion_tokens = counts
    attempt.ended = ended
    attempt.record_time_ns = time_ns
