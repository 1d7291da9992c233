"""The supervisor, with tiny real programs."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

from penstock_cli.stack.program import read_programs, write_programs
from penstock_cli.stack.state import Phase
from testkit.waiting import until


async def test_a_program_that_is_killed_is_started_again_and_the_others_go_on(stack):
    async with stack.running(stack.program("one"), stack.program("two")):
        await stack.until_listening("one", "two")
        before = {name: await stack.pid(name) for name in ("one", "two")}
        os.kill(before["one"], signal.SIGKILL)
        await stack.until_listening("one", times=2)
        await stack.pid("one", after=before["one"])
        after = stack.state().programs
        assert (after["one"].restarts, after["one"].exit_code) == (1, -signal.SIGKILL)
        assert (after["two"].pid, after["two"].restarts) == (before["two"], 0)


async def test_a_program_that_keeps_dying_is_started_less_and_less_often(stack):
    async with stack.running(stack.failing("sick", "raise SystemExit(7)")):
        await until(lambda: len(stack.log("sick").splitlines()) >= 4)
    events = [json.loads(line) for line in stack.log("sick").splitlines()[:4]]
    assert {(event["event"], event["exit_code"]) for event in events} == {("program_ended", 7)}
    assert [event["starts_again_in_seconds"] for event in events] == [0.1, 0.2, 0.4, 0.8]
    assert stack.state().programs["sick"].restarts >= 3


async def test_a_program_that_cannot_be_started_says_why(stack):
    program = stack.program("absent")
    absent = replace(program, command=("/no/such/program",))
    async with stack.running(absent):
        await until(lambda: "starts_again" in stack.log("absent"))
    assert "No such file or directory: '/no/such/program'" in stack.log("absent")


async def test_a_disk_that_takes_nothing_does_not_end_what_runs(stack):
    (stack.run_dir / "state.draft").mkdir()  # stands in for it: the state file cannot be written any more
    async with stack.running(stack.program("one")):
        await stack.until_listening("one")
        os.kill(int(stack.log("one").split("pid ")[1].split()[0]), signal.SIGKILL)
        await stack.until_listening("one", times=2)
    assert stack.endings() == ["SIGTERM one"]


async def test_programs_are_stopped_stage_by_stage(stack):
    programs = [stack.program("c", stop_stage=2), stack.program("a"), stack.program("b", stop_stage=1)]
    async with stack.running(*programs):
        await stack.until_listening("a", "b", "c")
    assert stack.endings() == ["SIGTERM a", "SIGTERM b", "SIGTERM c"]
    assert {program.phase for program in stack.state().programs.values()} == {Phase.STOPPED}


async def test_a_program_that_does_not_stop_in_its_time_is_killed(stack):
    async with stack.running(stack.program("stubborn", "--ignore-sigterm", drain_seconds=2)):
        await stack.until_listening("stubborn")
    assert stack.endings() == ["SIGTERM stubborn"]
    assert '"event": "program_killed"' in stack.log("stubborn")
    assert stack.state().programs["stubborn"].exit_code == -signal.SIGKILL


async def test_what_a_dead_program_left_running_ends_with_it(stack):
    code = "import os, time\nif os.fork() == 0:\n    print(os.getpid(), flush=True)\n    time.sleep(60)\nos.wait()"
    async with stack.running(stack.failing("parent", code)):
        await until(lambda: stack.log("parent"))
        grandchild = int(stack.log("parent").splitlines()[0])
        os.kill(await stack.pid("parent"), signal.SIGKILL)
        await until(lambda: not alive(grandchild))


async def test_a_second_stop_ends_everything_at_once(stack):
    async with stack.running(stack.program("stubborn", "--ignore-sigterm")) as supervisor:
        await stack.until_listening("stubborn")
        supervisor.stop()
        await until(stack.endings)
    assert stack.state().programs["stubborn"].exit_code == -signal.SIGKILL


async def test_secrets_come_from_files_and_are_written_nowhere(stack, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("psk_12345\n")
    program = stack.program("one", secrets={"FAKE_SECRET": str(secret)})
    async with stack.running(program):
        await stack.until_listening("one")
    assert "secret of 9 characters" in stack.log("one")
    write_programs(stack.run_dir, [program])
    written = [path.read_text() for path in stack.run_dir.rglob("*") if path.is_file()]
    assert not any("psk_12345" in text for text in written)


def test_programs_are_read_as_they_were_written(stack, tmp_path):
    programs = [stack.program("a"), stack.program("b", stop_stage=2, secrets={"S": "f"})]
    write_programs(tmp_path, programs)
    assert read_programs(tmp_path) == programs


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
