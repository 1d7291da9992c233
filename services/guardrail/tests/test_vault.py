"""The vault: who gets values back, what lies on the disk, and what happens when the store fails."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import grpc.aio
import pytest
from penstock.guardrail.v1 import finding_pb2
from penstock_guardrail import root_key
from penstock_guardrail.root_key import RootKeyError
from penstock_guardrail.sealing import SealBrokenError, new_key, seal, unseal
from servicekit.errors import from_rpc_error
from testkit.proxy import FaultProxy

PROMPT = "Write to ann@example.com"


async def _token(guardrail, tools, **who) -> tuple[str, str]:
    sent = await guardrail.redact("ann@example.com", **who)
    return tools.text_of(sent, ""), sent.redaction_session


async def test_only_the_same_user_of_the_same_organization_gets_a_value_back(guardrail, tools):
    token, session = await _token(guardrail, tools)
    for who in ({"organization": "other"}, {"user": "bob"}, {"user": ""}):
        assert tools.text_of(await guardrail.restore(token, session, **who), token) == token
        assert (await guardrail.stream([token], session, **who)).text == token
    assert tools.text_of(await guardrail.restore(token, session), token) == "ann@example.com"


async def test_what_a_key_without_a_user_redacted_any_user_of_the_organization_gets_back(guardrail, tools):
    token, session = await _token(guardrail, tools, user="")
    assert tools.text_of(await guardrail.restore(token, session, user="bob"), token) == "ann@example.com"
    assert tools.text_of(await guardrail.restore(token, session, organization="other"), token) == token


async def test_a_token_of_another_session_stays(guardrail, tools):
    token, _session = await _token(guardrail, tools)
    other = (await guardrail.redact("bob@example.com")).redaction_session
    assert tools.text_of(await guardrail.restore(token, other), token) == token
    assert tools.text_of(await guardrail.restore(token), token) == token


async def test_a_session_is_gone_when_its_time_is_over(start, tools, clock, settings):
    async with start(session_seconds=600, sweep_seconds=0.05) as (guardrail, _server):
        token, session = await _token(guardrail, tools)
        clock.advance(seconds=599)
        assert tools.text_of(await guardrail.restore(token, session), token) == "ann@example.com"
        clock.advance(seconds=2)
        assert tools.text_of(await guardrail.restore(token, session), token) == token
        await tools.until(lambda: _rows(settings, "redaction_sessions") == 0)
        assert _rows(settings, "redacted_values") == 0
        assert _rows(settings, "organization_keys") == 1


async def test_values_outlive_a_restart(start, tools):
    async with start() as (guardrail, _server):
        token, session = await _token(guardrail, tools)
    async with start() as (guardrail, _server):
        assert tools.text_of(await guardrail.restore(token, session), token) == "ann@example.com"
        assert tools.text_of(await guardrail.redact("ann@example.com"), "") == token


async def test_no_value_and_no_key_lies_on_the_disk_in_the_clear(start, settings):
    async with start() as (guardrail, _server):
        await guardrail.redact("ann@example.com", "card 4111 1111 1111 1111")
    root = bytes.fromhex((settings.service_dir / "root.key").read_text())
    for path in filter(Path.is_file, settings.service_dir.rglob("*")):
        content = path.read_bytes()
        assert not [value for value in (b"ann@", b"4111", root) if value in content], path


async def test_a_value_moved_or_changed_on_the_disk_does_not_open(start, tools, settings):
    async with start() as (guardrail, _server):
        token, session = await _token(guardrail, tools)
        other, other_session = await _token(guardrail, tools, user="bob")
        with _database(settings) as connection:
            connection.execute(
                "UPDATE redacted_values SET session = ?, token = ? WHERE session = ?",
                (session, other, other_session),
            )
        assert tools.text_of(await guardrail.restore(f"{token} {other}", session), "") == ""
        with _database(settings) as connection:
            connection.execute("DELETE FROM redacted_values WHERE token = ?", (other,))
        assert tools.text_of(await guardrail.restore(token, session), "") == "ann@example.com"
        with _database(settings) as connection:
            connection.execute("UPDATE redacted_values SET sealed_value = zeroblob(40)")
        assert tools.text_of(await guardrail.restore(token, session), token) == token


def test_a_seal_opens_with_its_key_and_for_its_place_only():
    key = new_key()
    sealed = seal(key, b"value", "acme|rs_1|[A_1:aaaa]")
    assert unseal(key, sealed, "acme|rs_1|[A_1:aaaa]") == b"value"
    for wrong_key, wrong, place in (
        (new_key(), sealed, "acme|rs_1|[A_1:aaaa]"),
        (key, sealed, "acme|rs_2|[A_1:aaaa]"),
        (key, sealed[:-1] + bytes([sealed[-1] ^ 1]), "acme|rs_1|[A_1:aaaa]"),
        (key, b"", "acme|rs_1|[A_1:aaaa]"),
    ):
        with pytest.raises(SealBrokenError):
            unseal(wrong_key, wrong, place)


async def test_the_root_key_is_made_once_for_its_owner_only(start, settings):
    async with start():
        path = settings.service_dir / "root.key"
        assert path.stat().st_mode & 0o777 == 0o600
        key = path.read_text()
    async with start():
        assert path.read_text() == key


async def test_another_root_key_ends_the_start_and_says_why(start, tmp_path):
    async with start() as (guardrail, _server):
        await guardrail.redact("ann@example.com")
    other = tmp_path / "other.key"
    other.write_text(new_key().hex())
    with pytest.raises(RootKeyError, match="PENSTOCK_GUARDRAIL_ROOT_KEY_FILE"):
        async with start(root_key_file=other):
            pass


def test_a_root_key_that_is_none_is_refused(tmp_path):
    for content in ("", "zz", "00" * 31):
        path = tmp_path / "root.key"
        path.write_text(content)
        with pytest.raises(RootKeyError):
            root_key.read(path)
    with pytest.raises(RootKeyError):
        root_key.read(tmp_path / "absent.key")


async def test_no_fail_open_path_when_the_disk_is_full(start, tools, settings):
    """What must be redacted fails, what is clean passes, and all is well again without a hand."""
    into = finding_pb2.DIRECTION_INPUT
    async with start() as (guardrail, _server):
        with _no_file_grows_beyond(settings.service_dir / "guardrail.db-wal"):
            results = await guardrail.inspect(
                tools.item(into, [PROMPT]), tools.item(into, ["hello"]), tools.item(into, [PROMPT])
            )
        assert [tools.reason(results[position].status) for position in (0, 2)] == ["STORAGE_UNAVAILABLE"] * 2
        assert not results[0].redactions
        assert results[1].action == finding_pb2.ACTION_ALLOW
        assert (await guardrail.redact(PROMPT)).action == finding_pb2.ACTION_REDACT


async def test_a_postgresql_that_breaks_off_and_comes_back(start, tools, postgres_url):
    address = urlsplit(postgres_url)
    assert address.port
    async with FaultProxy(address.port) as proxy:
        url = address._replace(netloc=f"{address.username}@{proxy.address}").geturl()
        async with start(database_url=url) as (guardrail, server):
            token, session = await _token(guardrail, tools)
            assert tools.text_of(await guardrail.restore(token, session), token) == "ann@example.com"
            proxy.faults.refusing = True
            proxy.reset()
            await tools.until(lambda: not server.health.serving)
            assert tools.reason((await guardrail.redact(PROMPT)).status) == "STORAGE_UNAVAILABLE"
            assert tools.reason((await guardrail.restore(token, session)).status) == "STORAGE_UNAVAILABLE"
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await guardrail.stream([token], session)
            assert from_rpc_error(failed.value).reason == "STORAGE_UNAVAILABLE"
            assert (await guardrail.redact("hello")).action == finding_pb2.ACTION_ALLOW
            assert (await guardrail.restore("bob@example.org")).action == finding_pb2.ACTION_REDACT
            proxy.faults.refusing = False
            await tools.until(lambda: server.health.serving)
            assert tools.text_of(await guardrail.restore(token, session), token) == "ann@example.com"


async def test_replicas_share_one_vault(start, tools, postgres_url):
    async with (
        start(database_url=postgres_url) as (first, _),
        start(database_url=postgres_url) as (second, _),
    ):
        sent = [await replica.redact("ann@example.com", organization="new") for replica in (first, second)]
        assert len({tools.text_of(each, "") for each in sent}) == 1
        for replica, each in ((second, sent[0]), (first, sent[1])):
            answered = await replica.restore(
                tools.text_of(each, ""), each.redaction_session, organization="new"
            )
            assert tools.text_of(answered, "") == "ann@example.com"


@contextmanager
def _database(settings) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(settings.service_dir / "guardrail.db")
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def _rows(settings, table: str) -> int:
    with _database(settings) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@contextmanager
def _no_file_grows_beyond(path: Path) -> Iterator[None]:
    """Let writes that make any file larger than this one fail with EFBIG, as they do with ENOSPC on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
