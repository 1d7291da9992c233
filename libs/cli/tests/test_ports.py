import os
import socket
import threading

import pytest
from penstock_cli.stack.ports import Port, PortInUseError, check_free
from testkit.process import free_port


def test_a_free_port_is_fine():
    check_free([Port(free_port(), "the edge", "nothing")])


def test_a_port_in_use_is_named_with_who_holds_it_and_what_to_set():
    with socket.create_server(("127.0.0.1", free_port())) as server:
        number = server.getsockname()[1]
        wanted = [
            Port(number, "the edge", "PENSTOCK_EDGE_PORT to another port"),
            Port(free_port(), "billing", "x"),
        ]
        with pytest.raises(PortInUseError) as clash:
            check_free(wanted)
    holder = f"(pid {os.getpid()})"
    assert f"port {number} (the edge) is in use by" in str(clash.value)
    assert holder in str(clash.value)
    assert "set PENSTOCK_EDGE_PORT" in str(clash.value)
    assert "billing" not in str(clash.value)


def test_a_port_whose_last_connection_is_still_closing_is_free():
    with socket.create_server(("127.0.0.1", free_port())) as server:
        number = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", number)) as client:
            accepted, _ = server.accept()
            accepted.close()  # the server's side closes first and goes to TIME_WAIT
            client.recv(1)
    check_free([Port(number, "the edge", "nothing")])


def test_a_port_that_an_outgoing_connection_has_for_a_moment_is_waited_for():
    with socket.create_server(("127.0.0.1", free_port())) as server:
        client = socket.create_connection(server.getsockname())
        number = client.getsockname()[1]
        accepted, _ = server.accept()
        closing = threading.Timer(0.1, lambda: [accepted.close(), client.close()])
        closing.start()
        check_free([Port(number, "the edge", "nothing")])
        closing.join()


def test_a_port_that_an_outgoing_connection_keeps_is_named():
    with (
        socket.create_server(("127.0.0.1", free_port())) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        number = client.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"\(pid {os.getpid()}\) for a connection"):
            check_free([Port(number, "the edge", "nothing")])
