"""The audit log: what is in it, that it only grows, and that whoever changes it is found out."""

import asyncio
import resource
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc.aio
import pytest
from penstock.guardrail.v1 import finding_pb2
from penstock_cli.audit.log import open_checkpoint, verify_growth
from penstock_cli.audit.note import Verifier
from penstock_cli.audit.proof import ProofError, verify_inclusion
from penstock_guardrail.audit.journal import open_journal
from servicekit.channel import connect
from servicekit.errors import Unavailable, from_rpc_error
from servicekit.metrics import Metrics
from testkit.process import ChildProcess, free_port

MAIL = "ann@example.com"
IN = finding_pb2.DIRECTION_INPUT


async def test_every_decision_is_written_down_and_no_text_is(guardrail, audit):
    sent = await guardrail.redact(f"Write to {MAIL}", region="eu", api_key="key-1")
    await guardrail.restore("Done.", sent.redaction_session)
    await guardrail.stream(["Mail ", "bob@example.org"], sent.redaction_session)
    told = await audit.records("decision", 3)
    assert [each["direction"] for each in told] == ["input", "output", "output"]
    first = told[0]
    assert first["findings"] == {"EMAIL_ADDRESS REDACT": 1}
    assert first["recognizers"] == {"email/1": 1}
    assert (first["action"], first["classification"]) == ("REDACT", "CONFIDENTIAL")
    assert (first["user"], first["api_key"], first["roles"]) == ("ann", "key-1", ["business_user"])
    assert first["regions"] == ["eu"]
    assert first["policy_version"] == sent.policy_version
    assert told[2]["findings"] == {"EMAIL_ADDRESS REDACT": 1}
    assert not [entry for entry in await audit.entries() if b"example." in entry.record]


async def test_clauses_of_regulations_are_accounted_for_in_their_fields(guardrail, policies, audit):
    await policies.create("p", mode=2, profiles=["gdpr", "soc2"])
    await guardrail.redact(f"{MAIL} and bob@example.org")
    (told,) = await audit.records("decision")
    assert told["clauses"] == {"personal_data": 2, "personal_information": 2}
    (change,) = await audit.records("policy")
    assert (change["change"], change["revision"], change["mode"]) == ("create", 1, "ENFORCED")
    assert change["says"] == {"profiles": ["gdpr", "soc2"]}


async def test_an_answer_that_nobody_waits_for_any_more_is_written_down_too(guardrail, tools, audit):
    call = guardrail.stub.InspectStream(timeout=60)
    await call.write(tools.opening())
    await call.write(tools.delta("bob@example.org and more "))
    await call.read()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    (told,) = await audit.records("decision")
    assert told["findings"] == {"EMAIL_ADDRESS REDACT": 1}


async def test_what_failed_before_it_was_decided_is_not_written_down(guardrail, tools, audit):
    late = tools.item(IN, ["hello"])
    late.context.deadline_time.seconds = 1
    (result,) = await guardrail.inspect(late)
    assert tools.reason(result.status) == "DEADLINE_EXCEEDED"
    await guardrail.redact("hello")
    assert len(await audit.records("decision")) == 1


async def test_a_stranger_with_the_key_can_verify_the_whole_log(guardrail, audit):
    for number in range(5):
        await guardrail.inspect(*[_item(f"hello {number}") for _ in range(70)])
    await audit.records("decision", 350)
    verified = await audit.verify()
    assert (verified.entries, verified.readable) == (350, 350)
    before = await audit.checkpoint()
    await guardrail.redact(MAIL)
    await audit.records("decision", 351)
    await audit.verify_growth(before)
    entries, after = await audit.entries(), await audit.checkpoint()
    for index in (0, 255, 256, 349, 350):
        proof = await audit.inclusion(index, after.size)
        verify_inclusion(entries[index].leaf_hash, index, after.size, proof, after.root)


async def test_logs_of_organizations_are_apart(guardrail, audit):
    await guardrail.redact("hello", organization="other")
    await guardrail.redact("hello")
    (told,) = await audit.records("decision")
    assert told["organization"] == "acme"
    assert (await audit.checkpoint()).size == 1


async def test_a_checkpoint_of_another_key_is_not_believed(guardrail, audit):
    log = await audit.log()
    own = Verifier.parse(log.verifier_key)
    open_checkpoint(log.checkpoint, [own])
    for wrong in (replace(own, public_key=bytes(31) + b"\1"), replace(own, name="penstock.audit/other")):
        with pytest.raises(ProofError):
            open_checkpoint(log.checkpoint, [wrong])
    with pytest.raises(ProofError):
        open_checkpoint(log.checkpoint.replace("\n0\n", "\n1\n"), [own])


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        ("UPDATE audit_entries SET leaf_hash = zeroblob(32) WHERE entry_index = 3", "entry 3 was changed"),
        ("DELETE FROM audit_entries WHERE entry_index = 3", "entry 3 is missing"),
        ("DELETE FROM audit_entries WHERE entry_index = 9", "the log ends after 9 of 10 entries"),
        (
            "UPDATE audit_entries SET sealed = NULL, leaf_hash = zeroblob(32) WHERE entry_index = 3",
            "the entries are not those of the checkpoint",
        ),
    ],
)
async def test_truncated_log_is_detected(guardrail, audit, settings, tampering, found):
    """And a gap, a rewrite, an entry put in the place of another."""
    await guardrail.inspect(*[_item("hello")] * 10)
    await audit.records("decision", 10)
    with _database(settings) as connection:
        connection.execute(tampering)
    with pytest.raises(ProofError, match=found):
        await audit.verify()


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit_entries SET sealed = zeroblob(80) WHERE entry_index = 1",
        (
            "UPDATE audit_entries SET sealed = other.sealed FROM audit_entries AS other"
            " WHERE audit_entries.entry_index = 1 AND other.entry_index = 0"
        ),
        (
            "UPDATE subject_keys SET wrapped_key = zeroblob(60) FROM audit_entries AS entry"
            " WHERE subject_keys.subject = entry.subject AND entry.entry_index = 1"
        ),
    ],
    ids=["a content", "another's content", "a key"],
)
async def test_a_content_that_was_tampered_with_is_told_and_hides_no_other_entry(
    start, audit_of, settings, tampering
):
    async with start() as (guardrail, _):
        for user in ("ann", "bob", "cyd"):
            await guardrail.redact("hello", user=user)
            await audit_of(guardrail).records("decision", ["ann", "bob", "cyd"].index(user) + 1)
    with _database(settings) as connection:
        connection.execute(tampering)
        connection.commit()
    async with start() as (guardrail, _):
        audit = audit_of(guardrail)
        listed = await audit.listed()
        assert [each.damaged for each in listed] == [False, True, False]
        assert [bool(each.record) for each in listed] == [True, False, True]
        with pytest.raises(ProofError, match="content of entry 1 was changed in the store"):
            await audit.verify()


async def test_a_log_that_was_rewritten_whole_does_not_continue_the_old_one(guardrail, audit, settings):
    await guardrail.inspect(*[_item("hello")] * 5)
    await audit.records("decision", 5)
    before = await audit.checkpoint()
    with _database(settings) as connection:
        connection.execute("DELETE FROM audit_entries")
        connection.execute("DELETE FROM audit_logs")
    await guardrail.inspect(*[_item("other")] * 9)
    await audit.records("decision", 9)
    assert (await audit.verify()).entries == 9
    with pytest.raises(ProofError, match="not in it any more"):
        await audit.verify_growth(before)
    with pytest.raises(ProofError, match="shorter than it was"):
        verify_growth(await audit.checkpoint(), before, lambda _first, _second: [])


@pytest.mark.parametrize("ask", [(5, 9), (9, 5)])
async def test_proofs_of_what_the_log_has_not_are_refused(audit, ask):
    for proof in (audit.growth(*ask), audit.inclusion(*ask)):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await proof
        assert from_rpc_error(failed.value).reason == "INVALID_ARGUMENT"


async def test_replicas_that_append_at_once_make_one_log(start, audit_of, postgres_url):
    async with start(database_url=postgres_url) as (one, _), start(database_url=postgres_url) as (two, _):
        await asyncio.gather(
            *(each.redact(f"hello {n}", request_id=f"r{n}") for n in range(60) for each in (one, two))
        )
        told = await audit_of(one).records("decision", 120)
        assert len({each["id"] for each in told}) == 120
        assert (await audit_of(two).verify()).entries == 120


@pytest.mark.parametrize("seed", range(2))
async def test_no_decision_that_was_told_is_lost_when_the_process_is_killed(
    tmp_path, start, audit_of, tools, seed
):
    told: list[str] = []
    checkpoint = None
    for life in range(2):
        port = free_port()
        with _guardrail(tmp_path, port) as process:
            await asyncio.to_thread(process.wait_for_port, port)
            async with connect(f"127.0.0.1:{port}") as channel:
                await channel.channel_ready()
                asking = [asyncio.create_task(_ask(channel, f"{life}-{worker}", told)) for worker in range(8)]
                await tools.until(partial(_at_least, told, 60 * (life + 1) + seed * 17), 120)
                process.kill()
                await asyncio.gather(*asking)
        async with start() as (guardrail, _server):
            audit = audit_of(guardrail)
            found = [each["request_id"] for each in await audit.records("decision", len(told))]
            assert set(told) <= set(found)
            assert len(set(found)) == len(found)
            assert (await audit.verify()).entries == len(found)
            if checkpoint is not None:
                await audit.verify_growth(checkpoint)
            checkpoint = await audit.checkpoint()


async def test_what_cannot_be_written_down_is_not_decided(guardrail, tools, settings):
    with await _full_disk(guardrail, settings):
        results = await guardrail.inspect(_item("hello"), _item(MAIL))
    assert [tools.reason(result.status) for result in results] == ["STORAGE_UNAVAILABLE"] * 2
    assert (await guardrail.redact("hello")).action == finding_pb2.ACTION_ALLOW


async def test_an_answer_that_cannot_be_written_down_does_not_end_well(guardrail, settings):
    with await _full_disk(guardrail, settings), pytest.raises(grpc.aio.AioRpcError) as failed:
        await guardrail.stream(["hello"])
    assert from_rpc_error(failed.value).reason == "STORAGE_UNAVAILABLE"
    assert (await guardrail.stream(["hello"])).text == "hello"


async def test_the_disk_can_be_waited_for_before_each_answer(start, audit_of):
    async with start(audit_sync_seconds=0) as (guardrail, _server):
        await asyncio.gather(*(guardrail.redact("hello") for _ in range(20)))
        assert len(await audit_of(guardrail).records("decision", 20)) == 20


async def test_a_list_comes_to_the_log_again_and_is_in_it_once(start, audit_of, settings):
    """As after a crash between the log's commit and the end of the journal."""
    async with start() as (guardrail, _server):
        await guardrail.inspect(*[_item("hello")] * 3)
        await audit_of(guardrail).records("decision", 3)
        (file,) = (settings.service_dir / "audit" / "0").glob("*.spool")
        kept = file.read_bytes()
    file.write_bytes(kept)
    async with start() as (guardrail, _server):
        await guardrail.redact("hello")
        await audit_of(guardrail).records("decision", 4)
        assert (await audit_of(guardrail).verify()).entries == 4


async def test_decisions_wait_while_the_log_is_away_and_nobody_waits_for_them(tmp_path):
    arrived, away = [], True

    async def append(entries):
        if away:
            raise Unavailable("STORAGE_UNAVAILABLE", "away")
        arrived.extend(entry.id for entry in entries)

    record = b'{"id":"%d","organization":"acme","user":"","time_us":0,"retention_days":1}'
    async with open_journal(tmp_path, append, Metrics(), 0.05) as journal:
        for number in range(5):
            await journal.append([record % number])
        away = False
    assert sorted(arrived) == list("01234")


def _item(text: str, **who):
    from penstock.context.v1.request_context_pb2 import RequestContext
    from penstock.guardrail.v1 import guardrail_service_pb2

    context = RequestContext(**{"request_id": "r", "organization": "acme", "roles": ["admin"], **who})
    segments = [finding_pb2.Segment(text=text, role="user")]
    return guardrail_service_pb2.InspectItem(context=context, direction=IN, segments=segments)


def _at_least(told: list[str], count: int) -> bool:
    return len(told) >= count


async def _ask(channel: grpc.aio.Channel, name: str, told: list[str]) -> None:
    """Ask until the process is gone; note what it told."""
    from penstock.guardrail.v1 import guardrail_service_pb2, guardrail_service_pb2_grpc

    stub = guardrail_service_pb2_grpc.GuardrailServiceStub(channel)
    for number in range(10_000):
        items = [_item(f"hello {MAIL}", request_id=f"{name}-{number}-{part}") for part in range(2)]
        try:
            response = await stub.Inspect(guardrail_service_pb2.InspectRequest(items=items), timeout=60)
        except grpc.aio.AioRpcError:
            return
        for item, result in zip(items, response.results, strict=True):
            if not result.status.code:
                told.append(item.context.request_id)


@contextmanager
def _guardrail(data_dir, port: int) -> Iterator[ChildProcess]:
    environment = {
        "PENSTOCK_DATA_DIR": str(data_dir),
        "PENSTOCK_GUARDRAIL_GRPC_PORT": str(port),
        "PENSTOCK_GUARDRAIL_HTTP_PORT": str(free_port()),
        "PENSTOCK_SCHED_BATCH": "false",
    }
    command = [sys.executable, "-m", "penstock_guardrail"]
    with ChildProcess(command, data_dir / "guardrail.log", env=environment) as process:
        yield process


@contextmanager
def _database(settings) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(settings.service_dir / "guardrail.db")
    try:
        with connection:
            yield connection
    finally:
        connection.close()


async def _full_disk(guardrail, settings) -> AbstractContextManager[None]:
    """Let writes that make a file larger than the journal fail with EFBIG, as they do with ENOSPC on a full disk."""
    await guardrail.inspect(*[_item("hello")] * 256)
    (journal,) = (settings.service_dir / "audit" / "0").glob("*.spool")
    return _no_file_grows_beyond(journal)


@contextmanager
def _no_file_grows_beyond(path: Path) -> Iterator[None]:
    """Let writes that make any file larger than this one fail with EFBIG, as they do with ENOSPC on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
