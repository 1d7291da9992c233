import json

import pytest
from penstock_cli.app import main
from penstock_cli.log_line import readable


def test_a_line_of_json_becomes_words():
    line = '{"timestamp": "2026-11-21T04:44:30.872203Z", "level": "info", "event": "started", "grpc_port": 57053}'
    assert readable(line).plain == "04:44:30.872 info    started grpc_port=57053"


def test_an_exception_is_shown_with_its_innermost_frames():
    frames = [{"filename": f"f{number}.py", "lineno": number, "name": "g"} for number in range(9)]
    raised = {"exc_type": "KeyError", "exc_value": "'x'", "frames": frames}
    shown = readable(
        json.dumps({"level": "error", "event": "failed", "exception": [raised]})
    ).plain.splitlines()
    assert shown[1:3] == ["    KeyError: 'x'", "      f3.py:3 in g"]
    assert shown[-1] == "      f8.py:8 in g"


@pytest.mark.parametrize("line", ["Traceback (most recent call last):", "17", '{"broken'])
def test_any_other_line_stays_as_it_is(line):
    assert readable(line).plain == line


def test_logs_are_shown_by_service(tmp_path, monkeypatch, capsys):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "router.log").write_text("one\ntwo\n")
    (tmp_path / "logs" / "cache.log").write_text("three\n")
    monkeypatch.setenv("PENSTOCK_RUN_DIR", str(tmp_path))

    def shown(*arguments):
        with pytest.raises(SystemExit):
            main(["logs", *arguments])
        printed = capsys.readouterr()
        return printed.out or printed.err

    assert shown("router", "-n", "1") == "two\n"
    assert shown() == "cache  three\nrouter one\nrouter two\n"
    assert shown("--raw") == "three\none\ntwo\n"
    assert "no log of 'billing'" in shown("billing")
