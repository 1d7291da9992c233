"""What a stack keeps in its run directory."""

import re
import stat
import subprocess

import pytest
from penstock_cli.failure import Failure
from penstock_cli.place import find_place, find_root
from penstock_cli.stack.composition import ports
from penstock_cli.stack.credentials import bootstrap_key_file, read_env_file, write_env_file
from penstock_cli.stack.log_files import last_lines, rotate


def test_the_bootstrap_key_is_made_once_for_our_eyes_only(tmp_path):
    path = bootstrap_key_file(tmp_path)
    key = path.read_text()
    assert re.fullmatch(r"psk_[\w-]{43}\n", key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bootstrap_key_file(tmp_path).read_text() == key


def test_the_env_file_tells_how_to_reach_the_stack(tmp_path):
    write_env_file(tmp_path, 8081, "psk_a=b")
    assert read_env_file(tmp_path) == {
        "PENSTOCK_URL": "http://127.0.0.1:8081",
        "PENSTOCK_GRPC": "127.0.0.1:8081",
        "PENSTOCK_API_KEY": "psk_a=b",
    }
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600


def test_a_shell_that_sources_the_env_file_passes_it_on(tmp_path):
    write_env_file(tmp_path, 8081, "psk_a=b")
    script = "source $1/env && env"
    shown = subprocess.run(
        ["bash", "-c", script, "-", tmp_path], capture_output=True, text=True, timeout=60, check=True
    )
    assert "PENSTOCK_API_KEY=psk_a=b" in shown.stdout.splitlines()


def test_a_full_log_is_moved_aside_while_its_writer_goes_on(tmp_path):
    path = tmp_path / "one.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 10)
        rotate(path, bytes_max=39)
        writer.write(b"new\n")
    assert path.read_text() == "new\n"
    assert (tmp_path / "one.log.1").read_text() == "old\n" * 10


def test_a_log_with_room_is_left_alone(tmp_path):
    path = tmp_path / "one.log"
    path.write_text("line\n")
    rotate(path, bytes_max=5)
    rotate(tmp_path / "absent.log")
    assert [each.name for each in tmp_path.iterdir()] == ["one.log"]


def test_the_last_lines_of_a_log(tmp_path):
    path = tmp_path / "one.log"
    path.write_bytes(b"1\n2\n\xff3\n4")
    assert last_lines(path, 2) == ["\ufffd3", "4"]
    assert last_lines(path, 2, end=4) == ["1", "2"]
    assert last_lines(path, 0) == []
    assert last_lines(tmp_path / "absent.log", 2) == []


def test_a_second_stack_has_ports_and_files_of_its_own(tmp_path):
    one = find_place({})
    two = find_place({"PENSTOCK_RUN_DIR": str(tmp_path), "PENSTOCK_PORT_OFFSET": "1000"})
    numbers = [port.number for place in (one, two) for port in ports(place)]
    assert len(set(numbers)) == len(numbers)
    assert (one.edge_port, two.edge_port) == (8080, 9080)
    assert (one.data_dir, two.data_dir) == (find_root() / ".run/data", tmp_path / "data")
    assert one.model_cache_dir == two.model_cache_dir == find_root() / ".cache/models"


@pytest.mark.parametrize("value", ["x", "-1", "15001", "1.5"])
def test_a_bad_setting_is_named(value):
    with pytest.raises(Failure, match=f"bad setting PENSTOCK_PORT_OFFSET='{value}'"):
        find_place({"PENSTOCK_PORT_OFFSET": value})
