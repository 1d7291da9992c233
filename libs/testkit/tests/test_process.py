import socket
import sys
from pathlib import Path

import pytest
from testkit.process import ChildProcess, claim_port, free_port, is_free

LISTEN = """
import socket, sys, time
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
while True:
    s.accept()
"""


def test_a_child_is_waited_for_until_it_listens(tmp_path) -> None:
    port = free_port()
    with ChildProcess([sys.executable, "-c", LISTEN, str(port)], tmp_path / "log") as child:
        child.wait_for_port(port)
        assert child.returncode is None
        assert "listening" in child.output()


def test_a_port_that_is_free_stays_that_of_who_asked() -> None:
    """Two test runs beside each other, and the kernel's outgoing connections, keep off it between two servers."""
    port = free_port()
    ephemeral_min = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert port < ephemeral_min
    assert not claim_port(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
    assert is_free(port)


def test_a_child_that_exits_says_why(tmp_path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no disk')"]
    with ChildProcess(command, tmp_path / "log") as child, pytest.raises(RuntimeError, match="no disk"):
        child.wait_for_port(free_port())


def test_a_killed_child_has_the_exit_code_of_its_signal(tmp_path) -> None:
    with ChildProcess([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log") as child:
        child.freeze()
        child.thaw()
        child.kill()
        assert child.returncode == -9


def test_a_child_is_gone_when_the_test_fails(tmp_path) -> None:
    with pytest.raises(ValueError, match="test"), ChildProcess(["sleep", "60"], tmp_path / "log") as child:
        raise ValueError("test")
    assert child.returncode == -9
