"""The root key is rotated while the guardrail works, and whoever dies midway leaves nothing half."""

import pytest
from penstock_guardrail import root_key
from penstock_guardrail.root_key import RootKeyError, RootKeys
from penstock_guardrail.rotation import Rotation
from penstock_guardrail.sealing import key_id, new_key
from penstock_guardrail.server import MIGRATIONS
from penstock_guardrail.store import VaultStore
from servicekit.database import open_database

ORGANIZATIONS = ("acme", "beta", "gamma")


@pytest.fixture
def key_files(tmp_path):
    """Two root keys: the one to begin with, and the one to go to."""
    paths = [tmp_path / name for name in ("old.key", "new.key")]
    for path in paths:
        path.write_text(new_key().hex())
    return paths


async def deposited(guardrail, tools):
    """Redact a value for each organization; give tokens and sessions."""
    sent = {name: await guardrail.redact("ann@example.com", organization=name) for name in ORGANIZATIONS}
    return {name: (tools.text_of(each, ""), each.redaction_session) for name, each in sent.items()}


async def restored(guardrail, tools, deposits):
    return {
        tools.text_of(await guardrail.restore(token, session, organization=name), token)
        for name, (token, session) in deposits.items()
    }


async def wrapping(settings):
    """Name the root keys that wrap something."""
    async with open_database(settings, MIGRATIONS) as database:
        return await VaultStore(database).root_key_ids()


async def until_rotated_to(path, tools, settings):
    async def rotated():
        return await wrapping(settings) == {key_id(root_key.read(path))}

    await tools.until(rotated)


async def test_values_come_back_and_the_log_verifies_by_the_same_key_after_a_rotation(
    start, tools, settings, audit_of, key_files
):
    old, new = key_files
    async with start(root_key_file=old) as (guardrail, _):
        deposits = await deposited(guardrail, tools)
        await audit_of(guardrail).records("decision")
        verifier = (await audit_of(guardrail).log()).verifier_key
        before = await audit_of(guardrail).checkpoint()
    async with start(root_key_file=new, former_root_key_file=old, sweep_seconds=0.05) as (guardrail, _):
        assert await restored(guardrail, tools, deposits) == {"ann@example.com"}
        await until_rotated_to(new, tools, settings)
    async with start(root_key_file=new) as (guardrail, _):
        assert await restored(guardrail, tools, deposits) == {"ann@example.com"}
        audit = audit_of(guardrail)
        assert (await audit.log()).verifier_key == verifier
        await audit.verify_growth(before)
        assert (await audit.verify()).readable >= 1


async def test_a_rotation_that_died_midway_goes_on(start, tools, settings, key_files):
    old, new = key_files
    async with start(root_key_file=old) as (guardrail, _):
        deposits = await deposited(guardrail, tools)
    roots = RootKeys(root_key.read(new), former=root_key.read(old))
    async with open_database(settings, MIGRATIONS) as database:
        assert await Rotation(VaultStore(database), roots).advance(most=1) == 1
    assert await wrapping(settings) == roots.ids
    for path in key_files:
        with pytest.raises(RootKeyError, match="FORMER_ROOT_KEY_FILE"):
            async with start(root_key_file=path):
                pass
    async with start(root_key_file=new, former_root_key_file=old) as (guardrail, _):
        assert await restored(guardrail, tools, deposits) == {"ann@example.com"}
        await until_rotated_to(new, tools, settings)


async def test_replicas_with_the_old_and_the_new_root_key_serve_at_once(
    start, tools, key_files, postgres_url
):
    old, new = key_files
    async with start(database_url=postgres_url, root_key_file=old, coming_root_key_file=new) as (first, _):
        deposits = await deposited(first, tools)
        changed = {"root_key_file": new, "former_root_key_file": old, "sweep_seconds": 0.05}
        async with start(database_url=postgres_url, **changed) as (second, _):
            assert await restored(second, tools, deposits) == {"ann@example.com"}
            for one, other, name in ((second, first, "late"), (first, second, "later")):
                sent = await one.redact("bob@example.com", organization=name)
                deposit = {name: (tools.text_of(sent, ""), sent.redaction_session)}
                assert await restored(other, tools, deposit) == {"bob@example.com"}
