import json
import logging
import sys

import pytest
import structlog
from servicekit import context as request_context
from servicekit.context import RequestContext, bound
from servicekit.logging import configure_logging, get_logger


@pytest.fixture(autouse=True)
def _restored():
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:], root.level = handlers, level
    structlog.configure(**config)
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_json_object_with_its_service(capsys) -> None:
    configure_logging("billing", "info", "json")
    get_logger("x").info("settled", nanos=5)
    (line,) = lines(capsys)
    assert (line["event"], line["nanos"], line["service"], line["level"]) == ("settled", 5, "billing", "info")


def test_the_ids_of_the_request_are_in_every_line(capsys) -> None:
    configure_logging("billing", "info", "json")
    with bound(RequestContext("r-1", f"00-{'a' * 32}-{'b' * 16}-00")):
        get_logger("x").info("settled")
    (line,) = lines(capsys)
    assert (line["request_id"], line["trace_id"]) == ("r-1", "a" * 32)
    assert request_context.serving() is None


def test_below_the_level_nothing_is_written(capsys) -> None:
    configure_logging("billing", "warning", "json")
    get_logger("x").info("quiet")
    assert lines(capsys) == []


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_stack_is_logged_without_the_values_of_variables(capsys, log_format) -> None:
    configure_logging("billing", "info", log_format)
    prompt = "my card is 4111"
    try:
        _ = {}[len(prompt)]
    except KeyError:
        get_logger("x").exception("failed")
    written = capsys.readouterr().err
    assert "KeyError" in written
    assert "4111" not in written


def test_what_libraries_log_is_json_too_whatever_it_contains(capsys) -> None:
    configure_logging("billing", "info", "json")
    logging.getLogger("library").warning('a "quoted"\nthing')
    logging.getLogger("library").info("quiet")
    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["service"]) == ('a "quoted"\nthing', "warning", "billing")
    assert sys.stderr is not None
