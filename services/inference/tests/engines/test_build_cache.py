import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from penstock_inference.engines.build_cache import BuildCache


class Builder:
    """Writes two files, and counts how often it was asked to."""

    def __init__(self, content: str = "weights") -> None:
        self.content = content
        self.calls = 0

    def __call__(self, directory: Path) -> None:
        self.calls += 1
        (directory / "weights.bin").write_text(self.content)
        (directory / "config.json").write_text("{}")


def test_what_was_built_once_is_found_again(tmp_path):
    builder = Builder()

    first = BuildCache(tmp_path / "new" / "cache").get("model", "1", builder)
    second = BuildCache(tmp_path / "new" / "cache").get("model", "1", builder)

    assert first == second
    assert (first / "weights.bin").read_text() == "weights"
    assert builder.calls == 1


def damage_weights(entry: Path) -> None:
    (entry / "weights.bin").write_text("weighty")


def cut_weights(entry: Path) -> None:
    (entry / "weights.bin").write_text("weigh")


def lose_weights(entry: Path) -> None:
    (entry / "weights.bin").unlink()


def add_a_file(entry: Path) -> None:
    (entry / "more.bin").touch()


def lose_the_manifest(entry: Path) -> None:
    (entry / "manifest.json").unlink()


def cut_the_manifest(entry: Path) -> None:
    (entry / "manifest.json").write_text('{"weights.bin": "')


def empty_the_manifest(entry: Path) -> None:
    (entry / "manifest.json").write_text("{}")


@pytest.mark.parametrize(
    "damage",
    [
        damage_weights,
        cut_weights,
        lose_weights,
        add_a_file,
        lose_the_manifest,
        cut_the_manifest,
        empty_the_manifest,
    ],
)
def test_an_entry_that_is_damaged_is_built_again(tmp_path, damage):
    builder = Builder()
    damage(BuildCache(tmp_path).get("model", "1", builder))

    entry = BuildCache(tmp_path).get("model", "1", builder)

    assert (entry / "weights.bin").read_text() == "weights"
    assert sorted(path.name for path in entry.iterdir()) == ["config.json", "manifest.json", "weights.bin"]
    assert builder.calls == 2


def test_a_build_that_fails_leaves_nothing_that_would_be_taken_for_whole(tmp_path):
    def fail(directory: Path) -> None:
        (directory / "weights.bin").write_text("half of them")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        BuildCache(tmp_path).get("model", "1", fail)

    entry = BuildCache(tmp_path).get("model", "1", Builder())
    assert (entry / "weights.bin").read_text() == "weights"


def test_only_the_last_version_of_a_key_is_kept(tmp_path):
    cache = BuildCache(tmp_path)
    old = cache.get("model", "1", Builder("old"))
    other = cache.get("other", "1", Builder("other"))

    new = cache.get("model", "2", Builder("new"))

    assert not old.exists()
    assert (new / "weights.bin").read_text() == "new"
    assert (other / "weights.bin").read_text() == "other"


def test_whoever_comes_second_waits_and_builds_nothing(tmp_path):
    started, go_on = threading.Event(), threading.Event()
    second = Builder()

    def build_slowly(directory: Path) -> None:
        started.set()
        assert go_on.wait(10)
        (directory / "weights.bin").write_text("first")

    with ThreadPoolExecutor(2) as pool:
        first_entry = pool.submit(BuildCache(tmp_path).get, "model", "1", build_slowly)
        assert started.wait(10)
        second_entry = pool.submit(BuildCache(tmp_path).get, "model", "1", second)
        with pytest.raises(TimeoutError):
            second_entry.result(0.2)
        go_on.set()

        assert (second_entry.result(10) / "weights.bin").read_text() == "first"
        assert first_entry.result(10) == second_entry.result(10)

    assert second.calls == 0
