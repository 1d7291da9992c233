"""A program: erase a person, or rotate the root key, and die by SIGKILL at one await or statement after another.

Each life is a process of its own, on data of its own, forked from one that has imported everything. The last one lives.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from datetime import datetime
from pathlib import Path

from penstock_guardrail import root_key
from penstock_guardrail.audit.log import AuditLog
from penstock_guardrail.erasure import Eraser
from penstock_guardrail.keyring import Keyring
from penstock_guardrail.root_key import RootKeys
from penstock_guardrail.rotation import Rotation
from penstock_guardrail.settings import GuardrailSettings
from penstock_guardrail.store import MIGRATIONS, VaultStore
from servicekit.database import open_database
from sqlalchemy import Engine, event


def die_after(steps: int) -> None:
    """Kill the process when so many callbacks of the event loop and statements have begun from now on."""
    run, left = asyncio.Handle._run, steps

    def step(*_: object) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(handle: asyncio.Handle) -> None:
        step()
        run(handle)

    asyncio.Handle._run = counted
    for moment in ("before_cursor_execute", "commit"):
        event.listen(Engine, moment, step)


async def live(data_dir: Path, awaits: int, asked: dict[str, str]) -> None:
    """Open the store and do what was asked."""
    async with open_database(GuardrailSettings(data_dir=data_dir), MIGRATIONS) as database:
        store = VaultStore(database)
        old = root_key.read(Path(asked["root_key"]))
        die_after(awaits)
        if asked["deed"] == "erase":
            await erase(store, RootKeys(old), datetime.fromisoformat(asked["now"]))
        else:
            await rotate(store, RootKeys(root_key.read(Path(asked["new_root_key"])), former=old))


async def erase(store: VaultStore, roots: RootKeys, now: datetime) -> None:
    keyring = Keyring(store, roots, lambda: now)
    await Eraser(store, keyring, AuditLog(store, keyring), lambda: now).erase("acme", "ann")


async def rotate(store: VaultStore, roots: RootKeys) -> None:
    while await Rotation(store, roots).advance(most=1):
        pass


def main() -> None:
    """Live once for each point, until one lies behind the last await."""
    asked = json.loads(sys.argv[1])
    step, lives = asked["step"], Path(asked["lives"])
    for awaits in range(step, 1000 * step, step):
        data_dir = lives / f"{awaits:04}"
        shutil.copytree(asked["data"], data_dir / "guardrail")
        child = os.fork()
        if not child:
            asyncio.run(live(data_dir, awaits, asked))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        assert status == signal.SIGKILL, status


if __name__ == "__main__":
    main()
