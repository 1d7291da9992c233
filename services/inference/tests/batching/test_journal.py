"""The usage journal: what it still knows after a crash, a torn line, a full disk and much time."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_inference.journal import Journal
from penstock_inference.usage_record import Attempt
from penstock_inference.usage_segments import SEGMENTS
from servicekit.errors import Unavailable

MIB = 1 << 20


def attempt(operation: str = "op", number: int = 0) -> Attempt:
    return Attempt(operation, number, "model")


def counts(journal: Journal, operation: str = "op") -> list[tuple[int, int, int, bool]]:
    return [(a.number, a.prompt_tokens, a.completion_tokens, a.ended) for a in journal.usage(operation)]


def write_some(directory: Path) -> None:
    """Write as a process does that is then killed: nothing is closed."""
    journal = Journal(directory, MIB)
    first, second = attempt(), attempt("other")
    first.prompt_tokens = 7
    journal.write([first])
    for tokens in range(1, 6):
        first.completion_tokens = second.completion_tokens = tokens
        journal.write([first, second])
    second.ended = True
    journal.write([second])


def test_what_a_killed_process_wrote_is_known_and_counts_as_ended(tmp_path: Path) -> None:
    write_some(tmp_path)
    journal = Journal(tmp_path, MIB)
    assert counts(journal) == [(0, 7, 5, True)]
    assert counts(journal, "other") == [(0, 0, 5, True)]
    journal.close()


def test_a_running_attempt_is_seen_as_it_goes(tmp_path: Path) -> None:
    journal = Journal(tmp_path, MIB)
    mine = attempt()
    mine.prompt_tokens = 3
    journal.write([mine])
    assert counts(journal) == [(0, 3, 0, False)]
    assert journal.usage("nobody") == []
    journal.close()


def test_a_long_past_keeps_nobody_waiting_but_who_asks_for_it(tmp_path: Path) -> None:
    write_some(tmp_path / "before")
    (old,) = (tmp_path / "before").iterdir()
    directory = tmp_path / "journal"
    directory.mkdir()
    os.mkfifo(directory / "00000000.usage")  # whoever reads it waits
    journal = Journal(directory, MIB)
    mine = attempt(number=1)
    mine.prompt_tokens = 3
    journal.write([mine])
    with ThreadPoolExecutor(1) as asking:
        asked = asking.submit(counts, journal)
        assert not asked.done()
        (directory / "00000000.usage").write_bytes(old.read_bytes())
        assert asked.result(20) == [(0, 7, 5, True), (1, 3, 0, False)]
    journal.close()


def test_attempts_of_one_operation_stand_side_by_side(tmp_path: Path) -> None:
    journal = Journal(tmp_path, MIB)
    for number in range(3):
        tried = attempt(number=number)
        tried.completion_tokens, tried.ended = number + 1, True
        journal.write([tried])
    expected = [(0, 0, 1, True), (1, 0, 2, True), (2, 0, 3, True)]
    assert counts(journal) == expected
    journal.close()
    journal = Journal(tmp_path, MIB)
    assert counts(journal) == expected
    journal.close()


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 400), garbage=st.binary(min_size=1, max_size=20).filter(lambda tail: tail[0] != 10))
def test_a_torn_tail_costs_the_torn_line_only(tmp_path_factory, cut: int, garbage: bytes) -> None:
    directory = tmp_path_factory.mktemp("journal")
    write_some(directory)
    (segment,) = directory.iterdir()
    whole = segment.read_bytes()
    segment.write_bytes(whole[: max(0, len(whole) - cut)] + garbage)
    lines = whole[: max(0, len(whole) - cut)].count(b"\n")
    journal = Journal(directory, MIB)
    known = counts(journal)
    assert known == ([(0, 7, min(lines - 1, 5), True)] if lines else [])
    later = attempt("later")
    journal.write([later])
    assert counts(journal, "later") == [(0, 0, 0, False)]
    journal.close()


def test_a_damaged_line_in_the_middle_costs_only_itself(tmp_path: Path) -> None:
    write_some(tmp_path)
    (segment,) = tmp_path.iterdir()
    lines = segment.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"usage", b"usaqe")
    segment.write_bytes(b"".join(lines))
    journal = Journal(tmp_path, MIB)
    assert counts(journal) == [(0, 7, 5, True)]
    journal.close()


def test_files_and_memory_stay_bounded_and_the_newest_stay(tmp_path: Path) -> None:
    bytes_max = 64 * 1024
    journal = Journal(tmp_path, bytes_max)
    for place in range(3000):
        mine = attempt(f"operation-{place}")
        mine.completion_tokens, mine.ended = place, True
        journal.write([mine])
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size <= bytes_max * (SEGMENTS + 1) / SEGMENTS + 200
    assert counts(journal, "operation-2999") == [(0, 0, 2999, True)]
    assert counts(journal, "operation-0") == []
    assert len(journal._by_operation) < 1000
    journal.close()
    journal = Journal(tmp_path, bytes_max)
    assert counts(journal, "operation-2999") == [(0, 0, 2999, True)]
    journal.close()


def test_an_attempt_that_outlives_segments_is_whole_in_the_last(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 64 * 1024)
    long = attempt("long")
    for tokens in range(5000):
        long.completion_tokens = tokens
        journal.write([long])
    journal.close()
    for path in sorted(tmp_path.iterdir())[:-1]:
        path.unlink()
    journal = Journal(tmp_path, 64 * 1024)
    assert counts(journal, "long") == [(0, 0, 4999, True)]
    journal.close()


def test_many_restarts_delete_nothing_and_leave_no_empty_files(tmp_path: Path) -> None:
    write_some(tmp_path)
    for _ in range(20):
        Journal(tmp_path, MIB).close()
    assert len(list(tmp_path.iterdir())) == 1
    journal = Journal(tmp_path, MIB)
    assert counts(journal) == [(0, 7, 5, True)]
    journal.close()


async def test_a_disk_that_takes_nothing_is_an_error_and_shows_in_the_probe(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    journal = Journal(directory, MIB)
    directory.rename(tmp_path / "away")
    mine = attempt()
    with pytest.raises(Unavailable) as refused:
        journal.write([mine])
    assert refused.value.reason == "STORAGE_UNAVAILABLE"
    with pytest.raises(Unavailable):
        await journal.check()
    (tmp_path / "away").rename(directory)
    await journal.check()
    mine.completion_tokens = 2
    journal.write([mine])
    assert counts(journal) == [(0, 0, 2, False)]
    journal.close()
