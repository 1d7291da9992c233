import resource
from collections import Counter
from pathlib import Path

import pytest
from servicekit.segments import Segments, read_records

SEGMENT_BYTES = 1000


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("[0-9]*.spool"))


def left(directory: Path) -> list[bytes]:
    segments = Segments(directory, SEGMENT_BYTES)
    records = [record for _, records in segments.replay() for record in records]
    segments.close()
    return records


def test_records_come_back_in_order_after_a_restart(tmp_path: Path) -> None:
    segments = Segments(tmp_path, SEGMENT_BYTES)
    segments.append([b"one", b"two"])
    segments.append([b"three"])
    segments.close()
    assert left(tmp_path) == [b"one", b"two", b"three"]


def test_a_long_segment_is_followed_by_a_new_one(tmp_path: Path) -> None:
    segments = Segments(tmp_path, SEGMENT_BYTES)
    for _ in range(5):
        segments.append([b"x" * 600])
    assert len(files(tmp_path)) == 3
    segments.close()


def test_a_segment_is_deleted_when_all_its_records_are_delivered_and_not_before(tmp_path: Path) -> None:
    segments = Segments(tmp_path, SEGMENT_BYTES)
    segment = segments.append([b"x" * 600, b"y" * 600])
    segments.finish(Counter({segment: 1}))
    assert files(tmp_path) == [segment.path]
    segments.finish(Counter({segment: 1}))
    assert files(tmp_path) == []
    segments.close()


def test_the_current_segment_is_kept_while_it_is_appended_to(tmp_path: Path) -> None:
    segments = Segments(tmp_path, SEGMENT_BYTES)
    segment = segments.append([b"x"])
    segments.finish(Counter({segment: 1}))
    assert segments.append([b"y"]) is segment
    segments.close()
    assert left(tmp_path) == [b"x", b"y"]


def test_what_is_delivered_leaves_no_file_after_a_close(tmp_path: Path) -> None:
    segments = Segments(tmp_path, SEGMENT_BYTES)
    segments.finish(Counter({segments.append([b"x"]): 1}))
    segments.close()
    assert files(tmp_path) == []


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_tail_torn_anywhere_costs_only_the_record_it_is_in(tmp_path: Path, cut: int) -> None:
    segments = Segments(tmp_path, SEGMENT_BYTES)
    path = segments.append([b"first", b"second"]).path
    segments.close()
    path.write_bytes(path.read_bytes()[:-cut])
    assert left(tmp_path) == [b"first"]


@pytest.mark.parametrize("tail", [b"\x00" * 64, b"\xff" * 64, b"\x05\x00\x00\x00junkjunkj"])
def test_a_tail_of_junk_is_not_taken_for_records(tmp_path: Path, tail: bytes) -> None:
    segments = Segments(tmp_path, SEGMENT_BYTES)
    path = segments.append([b"first"]).path
    segments.close()
    path.write_bytes(path.read_bytes() + tail)
    assert left(tmp_path) == [b"first"]


def test_a_directory_is_of_one_process_at_a_time(tmp_path: Path) -> None:
    segments = Segments(tmp_path, SEGMENT_BYTES)
    with pytest.raises(RuntimeError, match="another process"):
        Segments(tmp_path, SEGMENT_BYTES)
    segments.close()
    Segments(tmp_path, SEGMENT_BYTES).close()


def test_what_nobody_takes_is_kept_for_a_person(tmp_path: Path) -> None:
    segments = Segments(tmp_path, SEGMENT_BYTES)
    segments.set_aside([b"bad"])
    segments.set_aside([b"worse"])
    segments.close()
    assert list(read_records(tmp_path / "dead.spool")) == [b"bad", b"worse"]
    assert left(tmp_path) == []


def test_a_full_disk_takes_nothing_corrupts_nothing_and_recovers(tmp_path: Path) -> None:
    segments = Segments(tmp_path, SEGMENT_BYTES)
    segments.append([b"kept"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            segments.append([b"x" * 200])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    segments.append([b"after"])
    segments.close()
    assert left(tmp_path) == [b"kept", b"after"]
