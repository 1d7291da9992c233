"""Tools that services bring, run by the command as processes of their own."""

import pytest
from penstock_cli.failure import Failure
from penstock_cli.tool import run_tool, run_with_bars

PHASES = """
import json, sys
for done in range(3):
    print(json.dumps({"progress": ["Reading", done, 2]}))
print(json.dumps({"result": {"arguments": sys.argv[1:]}}))
"""


@pytest.fixture
def write_tool(tmp_path, monkeypatch):
    """Write a tool; it can be run as the module `tool_of_a_test`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return (tmp_path / "tool_of_a_test.py").write_text


def run(*arguments, on_progress=lambda *_: None):
    return run_tool("tool_of_a_test", arguments, on_progress)


def test_a_tool_says_how_far_it_is_and_what_came_of_it(write_tool):
    write_tool(PHASES)
    phases = []

    result = run("build", "--slots", "8", on_progress=lambda *phase: phases.append(phase))

    assert result == {"arguments": ["build", "--slots", "8"]}
    assert phases == [("Reading", 0, 2), ("Reading", 1, 2), ("Reading", 2, 2)]


def test_where_nobody_looks_no_bars_are_drawn(write_tool, capsys):
    write_tool(PHASES)

    assert run_with_bars("tool_of_a_test", []) == {"arguments": []}
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("tool", "message", "hint"),
    [
        ('print(\'{"failure": "no such model"}\')', "no such model", ""),
        ("import os; os.kill(os.getpid(), 9)", "tool_of_a_test was killed", "out of memory"),
        ("raise OSError('disk full')", "ended with 1 and no result", "OSError: disk full"),
        ("", "ended with 0 and no result", ""),
    ],
)
def test_a_tool_without_a_result_is_a_failure_with_what_it_said(write_tool, tool, message, hint):
    write_tool(tool)

    with pytest.raises(Failure, match=message) as failed:
        run()

    assert hint in failed.value.hint


def test_a_tool_that_is_not_installed_is_named_with_what_installs_it():
    with pytest.raises(Failure, match="penstock_nowhere is not installed here") as failed:
        run_tool("penstock_nowhere.tool", [], lambda *_: None)

    assert failed.value.hint == "pip install penstock-nowhere"
