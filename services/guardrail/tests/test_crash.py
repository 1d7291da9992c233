"""kill -9 in the middle of an erasure or of a rotation of the root key: whole or not begun, and it can go on."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from penstock_guardrail import root_key
from penstock_guardrail.sealing import key_id, new_key
from penstock_guardrail.server import MIGRATIONS
from penstock_guardrail.store import VaultStore
from servicekit.database import open_database
from testkit.waiting import until

MAIL = "ann@example.com"
PROGRAM = Path(__file__).with_name("crash_points.py")


@pytest.fixture
def lives(settings, tmp_path):
    """Have a deed begun on copies of the data, and ended by kill -9 `step` awaits later each; give what they left."""

    async def lived(deed, step, **asked):
        left = tmp_path / "lives"
        asked |= {"deed": deed, "step": step, "data": settings.service_dir, "lives": left}
        running = await asyncio.create_subprocess_exec(
            sys.executable, PROGRAM, json.dumps(asked, default=str)
        )
        assert await running.wait() == 0
        return sorted(left.iterdir())

    return lived


async def redacted(guardrail, tools, **who):
    """Redact a value; give its token, and how to ask for it."""
    sent = await guardrail.redact(MAIL, **who)
    return tools.text_of(sent, ""), {"session": sent.redaction_session, **who}


async def restored(guardrail, tools, token, asked):
    return tools.text_of(await guardrail.restore(token, **asked), token)


async def wrapping(settings):
    """Name the root keys that wrap something."""
    async with open_database(settings, MIGRATIONS) as database:
        return await VaultStore(database).root_key_ids()


async def readable(audit):
    return [bool(entry.record) for entry in await audit.entries()]


async def test_a_rotation_killed_at_any_step_goes_on_and_loses_nothing(
    start, tools, settings, tmp_path, lives
):
    old, new = (tmp_path / name for name in ("old.key", "new.key"))
    for path in (old, new):
        path.write_text(new_key().hex())
    async with start(root_key_file=old) as (guardrail, _):
        deposits = [await redacted(guardrail, tools, organization=name) for name in ("acme", "beta", "gamma")]
    left = await lives("rotate", 6, root_key=old, new_root_key=new)
    changed = {"root_key_file": new, "former_root_key_file": old, "sweep_seconds": 0.05}
    rotated, wrapped = {key_id(root_key.read(new))}, []
    for data_dir in left:
        copy = settings.model_copy(update={"data_dir": data_dir})
        wrapped.append(await wrapping(copy))
        async with start(data_dir=data_dir, **changed) as (guardrail, _):
            for token, asked in deposits:
                assert await restored(guardrail, tools, token, asked) == MAIL
            await until(lambda copy=copy: _is(wrapping(copy), rotated))
    assert max(map(len, wrapped)) == 2, "some died between two organizations"
    assert wrapped[-1] == rotated, "the last one lived"


async def test_an_erasure_killed_at_any_step_is_whole_or_not_begun_and_can_be_done_again(
    start, audit_of, tools, settings, clock, lives
):
    async with start() as (guardrail, _):
        ann, bob = [await redacted(guardrail, tools, user=user) for user in ("ann", "bob")]
        await audit_of(guardrail).records("decision", 2)
        before = await audit_of(guardrail).checkpoint()
    key = settings.service_dir / "root.key"
    left = await lives("erase", 7, root_key=key, now=clock.advance(seconds=1).isoformat())
    were_erased = []
    for data_dir in left:
        async with start(data_dir=data_dir) as (guardrail, _):
            audit = audit_of(guardrail)
            told = await readable(audit)
            assert told in ([True, True], [False, True, True])
            were_erased.append(told[0] is False)
            assert await restored(guardrail, tools, *bob) == MAIL
            assert (await restored(guardrail, tools, *ann) != MAIL) is were_erased[-1]
            assert (await audit.erase("ann")).sessions == (0 if were_erased[-1] else 1)
            assert (await readable(audit))[0] is False
            await audit.verify_growth(before)
            await audit.verify()
    assert (were_erased[0], were_erased[-1]) == (False, True)


async def _is(found, expected):
    return await found == expected
