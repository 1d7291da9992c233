"""P11: a person's data is erased everywhere, with proof, and the log stays verifiable. What is over goes by itself."""

import json
import sqlite3

import pytest
from penstock_cli.audit.log import Entry, verify_receipt
from penstock_cli.audit.note import Verifier
from penstock_cli.audit.proof import ProofError, verify_inclusion

MAIL = "ann@example.com"


async def test_an_erased_persons_data_is_gone_and_every_proof_still_holds(guardrail, audit, tools):
    sent = await guardrail.redact(MAIL)
    token, session = tools.text_of(sent, ""), sent.redaction_session
    bobs = await guardrail.redact(MAIL, user="bob")
    await audit.records("decision", 2)
    before, entries = await audit.checkpoint(), await audit.entries()
    proofs = [await audit.inclusion(index, before.size) for index in range(before.size)]

    receipt = await audit.erase("ann")

    assert (receipt.sessions, receipt.entries) == (1, 1)
    assert tools.text_of(await guardrail.restore(token, session), token) == token
    bob = tools.text_of(bobs, "")
    assert tools.text_of(await guardrail.restore(bob, bobs.redaction_session, user="bob"), bob) == MAIL
    after = await audit.entries()
    assert [bool(entry.record) for entry in after[:3]] == [False, True, True]
    assert [entry.leaf_hash for entry in after[:2]] == [entry.leaf_hash for entry in entries]
    for index, proof in enumerate(proofs):
        verify_inclusion(after[index].leaf_hash, index, before.size, proof, before.root)
        assert await audit.inclusion(index, before.size) == proof
    await audit.verify_growth(before)
    assert (await audit.verify()).entries == after[-1].index + 1


async def test_a_receipt_proves_the_erasure_and_names_nobody(guardrail, audit):
    await guardrail.redact(MAIL)
    receipt = await audit.erase("ann")
    key = Verifier.parse((await audit.log()).verifier_key)
    entry = Entry(receipt.entry.index, receipt.entry.leaf_hash, receipt.entry.record, receipt.entry.salt)
    said = json.loads(entry.record)
    assert (said["kind"], said["sessions"]) == ("erasure", 1)
    assert b"ann" not in entry.record
    wire = _json(receipt)
    assert verify_receipt(wire, key).size == entry.index + 1
    wire["entry"]["record"] = wire["entry"]["salt"]
    with pytest.raises(ProofError):
        verify_receipt(wire, key)


async def test_decisions_on_their_way_to_the_log_lose_their_content_too(guardrail, audit):
    await guardrail.redact(MAIL)
    await audit.erase("ann")
    await guardrail.redact("hello", user="bob")
    await audit.records("decision")
    assert not [entry for entry in await audit.entries() if b'"user":"ann"' in entry.record]
    assert (await audit.verify()).entries == 3


async def test_who_was_erased_may_come_back_and_is_somebody_new(guardrail, audit, tools, clock):
    old = await guardrail.redact(MAIL)
    await audit.erase("ann")
    clock.advance(seconds=1)
    new = await guardrail.redact(MAIL)
    assert tools.text_of(new, "") != tools.text_of(old, "")
    assert tools.text_of(await guardrail.restore(tools.text_of(new, ""), new.redaction_session), "") == MAIL
    (told,) = [each for each in await audit.records("decision") if each["direction"] == "input"]
    assert told["user"] == "ann"


async def test_erasing_again_is_harmless(guardrail, audit):
    await guardrail.redact(MAIL)
    await audit.erase("ann")
    again = await audit.erase("ann")
    assert again.sessions == 0
    assert (await audit.erase("nobody")).sessions == 0


async def test_nothing_of_an_erased_person_is_in_the_database(start, settings, audit_of):
    async with start() as (guardrail, _server):
        await guardrail.redact(MAIL, user="ann-42")
        await audit_of(guardrail).records("decision")
        await audit_of(guardrail).erase("ann-42")
    connection = sqlite3.connect(settings.service_dir / "guardrail.db")
    keys = connection.execute("SELECT wrapped_key FROM subject_keys WHERE erase_us > 0").fetchall()
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert keys == [(None,)]
    assert b"ann-42" not in (settings.service_dir / "guardrail.db").read_bytes()


async def test_an_erasure_binds_on_every_replica(start, audit_of, tools, clock, postgres_url):
    async with start(database_url=postgres_url) as (one, _), start(database_url=postgres_url) as (two, _):
        first = tools.text_of(await one.redact(MAIL), "")
        assert tools.text_of(await two.redact(MAIL), "") == first
        await audit_of(one).erase("ann")
        clock.advance(seconds=1)

        async def forgotten():
            return tools.text_of(await two.redact(MAIL), "") != first

        async def logged():
            return (await audit_of(two).verify()).entries >= 3

        await tools.until(forgotten)
        assert tools.text_of(await two.redact(MAIL), "") == tools.text_of(await one.redact(MAIL), "")
        await tools.until(logged)


async def test_what_is_over_is_deleted_and_the_log_says_so(start, audit_of, clock):
    async with start(sweep_seconds=0.05) as (guardrail, _server):
        audit = audit_of(guardrail)
        await guardrail.redact(MAIL)
        await guardrail.redact("hello", user="bob")
        await audit.records("decision", 2)
        before = await audit.checkpoint()
        clock.advance(days=364)
        await guardrail.redact("hello")
        await audit.records("decision", 3)
        clock.advance(days=2)
        (said,) = await audit.records("retention")
        assert said["entries"] == 2
        assert len(await audit.records("decision")) == 1
        await audit.verify_growth(before)
        assert (await audit.verify()).readable == 2


async def test_a_regulation_that_asks_for_longer_is_kept(start, audit_of, policies_of, clock):
    async with start(sweep_seconds=0.05) as (guardrail, _server):
        audit = audit_of(guardrail)
        await policies_of(guardrail).create("p", mode=2, profiles=["hipaa"], retention_days=1)
        await guardrail.redact(MAIL)
        await guardrail.redact(MAIL, organization="other")
        await audit.records("decision")
        clock.advance(days=2189)
        await guardrail.redact("hello")
        assert len(await audit.records("decision", 2)) == 2
        clock.advance(days=2)
        assert (await audit.records("retention"))[0]["entries"] == 1


def _json(receipt):
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(receipt, preserving_proto_field_name=True)
