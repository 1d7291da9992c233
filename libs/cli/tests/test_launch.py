"""The daemon: started, seen to serve, stopped, and what is left when it is killed."""

import os
import signal
import subprocess
import sys

import pytest
from penstock_cli.failure import Failure
from penstock_cli.stack.launch import end_orphans, start_supervisor, stop_supervisor
from penstock_cli.stack.starting import wait_until_serving
from penstock_cli.stack.state import ProgramState, is_supervised, supervisor_lock
from testkit.waiting import SECONDS_MAX, until


@pytest.fixture
def launched(stack):
    """Start daemons, and leave none behind."""
    yield lambda *programs: start_supervisor(stack.run_dir, list(programs))
    stop_supervisor(stack.run_dir)


def ignore(_progress):
    pass


async def test_a_stack_is_started_serves_and_is_stopped(stack, launched):
    programs = [stack.program("one"), stack.program("two")]
    assert not is_supervised(stack.run_dir)
    launched(*programs)
    shown = []
    await wait_until_serving(
        stack.run_dir, programs, lambda progress: shown.append(dict(progress)), SECONDS_MAX
    )
    assert is_supervised(stack.run_dir)
    assert all(each.ready_after_seconds is not None for each in shown[-1].values())
    assert stop_supervisor(stack.run_dir)
    assert not is_supervised(stack.run_dir)
    assert sorted(stack.endings()) == ["SIGTERM one", "SIGTERM two"]
    assert not stop_supervisor(stack.run_dir)


async def test_a_program_that_keeps_dying_is_named_with_the_last_lines_of_its_log(stack, launched):
    sick = stack.failing("sick", "print('no model found'); raise SystemExit(1)")
    launched(sick)
    with pytest.raises(Failure, match=r"sick keeps ending \(exit code 1\)") as failed:
        await wait_until_serving(stack.run_dir, [sick], ignore, SECONDS_MAX)
    assert "no model found" in failed.value.hint


async def test_a_program_that_dies_once_is_waited_for(stack, launched):
    flaky = stack.program("flaky", "--die-first")
    launched(flaky)
    await wait_until_serving(stack.run_dir, [flaky], ignore, SECONDS_MAX)
    assert stack.state().programs["flaky"].restarts == 1


async def test_a_program_that_takes_too_long_is_named(stack, launched):
    slow = stack.failing("slow", "print('still loading', flush=True); import time; time.sleep(60)")
    launched(slow)
    await until(lambda: stack.log("slow"))
    with pytest.raises(Failure, match=r"slow does not serve after 0\.5 s") as failed:
        await wait_until_serving(stack.run_dir, [slow], ignore, 0.5)
    assert "still loading" in failed.value.hint


async def test_what_a_killed_supervisor_leaves_behind_is_ended_before_the_next_start(stack, launched):
    program = stack.program("one")
    launched(program)
    await wait_until_serving(stack.run_dir, [program], ignore, SECONDS_MAX)
    os.kill(stack.state().pid, signal.SIGKILL)
    await until(lambda: not is_supervised(stack.run_dir))
    assert stack.state().programs["one"].process() is not None
    launched(program)
    assert stack.endings() == ["SIGTERM one"]
    await wait_until_serving(stack.run_dir, [program], ignore, SECONDS_MAX)


async def test_each_start_has_logs_of_its_own_and_keeps_those_of_the_last(stack, launched):
    for exit_code in (1, 2):
        launched(stack.failing("sick", f"print('run {exit_code}'); raise SystemExit({exit_code})"))
        await until(lambda: "program_ended" in stack.log("sick"))
        stop_supervisor(stack.run_dir)
    assert "run 1" not in stack.log("sick")
    assert "run 1" in (stack.run_dir / "logs" / "sick.log.1").read_text()


def test_another_process_with_a_remembered_pid_is_left_alone(stack):
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        state = stack.state()
        state.programs["one"] = ProgramState(pid=stranger.pid, create_time=1.0)
        stack.write_state(state)
        assert end_orphans(stack.run_dir) == 0
        assert stranger.poll() is None
        stranger.communicate(b"\n")
        assert stranger.returncode == 0


def test_there_is_one_supervisor_at_a_time(stack):
    program = [sys.executable, "-m", "penstock_cli.stack.supervisor", str(stack.run_dir)]
    with supervisor_lock(stack.run_dir):
        second = subprocess.run(program, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert second.returncode == 3
    assert "another supervisor runs here" in second.stderr
