"""The supervisor: a daemon that runs the programs of a run directory until SIGTERM, then drains them in order.

`python -m penstock_cli.stack.supervisor <run directory>`
"""

import asyncio
import os
import signal
import sys
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from penstock_cli.stack.child import Child
from penstock_cli.stack.log_files import log_file, rotate
from penstock_cli.stack.program import Program, read_programs
from penstock_cli.stack.state import StackState, supervisor_lock, write_state

ROTATE_INTERVAL_SECONDS = 5.0
LOCKED_EXIT_CODE = 3


class Supervisor:
    """Runs programs side by side; each is restarted on its own.

    Args:
        programs: what to run.
        run_dir: where logs and the state file go.
    """

    def __init__(self, programs: list[Program], run_dir: Path) -> None:
        self._run_dir = run_dir
        self._state = StackState(os.getpid(), time.time())
        self._children = [
            Child(program, log_file(run_dir, program.name), self._write) for program in programs
        ]
        self._state.programs = {child.program.name: child.state for child in self._children}
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Drain and end; asked a second time, end at once."""
        if self._stop.is_set():
            for child in self._children:
                child.kill()
        self._stop.set()

    async def run(self) -> None:
        """Run everything until `stop`."""
        self._write()
        async with asyncio.TaskGroup() as group:
            for child in self._children:
                group.create_task(child.run())
            rotation = group.create_task(self._rotate_logs())
            await self._stop.wait()
            await self._drain()
            rotation.cancel()

    async def _drain(self) -> None:
        """Stop stage after stage, so that nobody loses a peer that it still needs to finish its work."""
        stages: dict[int, list[Child]] = defaultdict(list)
        for child in self._children:
            stages[child.program.stop_stage].append(child)
        for stage in sorted(stages):
            await asyncio.gather(*(child.stop() for child in stages[stage]))

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(ROTATE_INTERVAL_SECONDS)
            for child in self._children:
                await asyncio.to_thread(rotate, log_file(self._run_dir, child.program.name))

    def _write(self) -> None:
        # A full disk must not end what runs; the next change is written when there is room again.
        with suppress(OSError):
            write_state(self._run_dir, self._state)


async def _supervise(run_dir: Path) -> None:
    supervisor = Supervisor(read_programs(run_dir), run_dir)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
    await supervisor.run()


def main() -> None:
    """Supervise the run directory that the first argument names."""
    run_dir = Path(sys.argv[1])
    if os.environ.get("PENSTOCK_SCHED_BATCH", "true").lower() not in {"0", "false", "no", "off"}:
        # Inherited by every program: fewer wake-up preemptions, longer lists, less CPU per request.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        with supervisor_lock(run_dir):
            asyncio.run(_supervise(run_dir))
    except BlockingIOError:
        print("another supervisor runs here", file=sys.stderr)  # noqa: T201
        sys.exit(LOCKED_EXIT_CODE)


if __name__ == "__main__":
    main()
