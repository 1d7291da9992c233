"""Witnesses: what they signed stands beside the log for all who read it, and nothing else does."""

import grpc
import grpc.aio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from penstock_cli.audit.log import open_checkpoint
from penstock_cli.audit.note import Verifier, cosigned, witness
from penstock_guardrail.audit.witnesses import WITNESSES_MAX

NAME = "example.org/witness"


@pytest.fixture
def key():
    return Ed25519PrivateKey.generate()


async def logged(guardrail, audit, entries):
    """Let the log have so many entries, and give it."""
    while (size := (await audit.log()).size) < entries:
        await guardrail.redact("hello")
        await audit.records("decision", size + 1)
    return await audit.log()


async def refused(audit, witness_key, checkpoint):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await audit.cosign(witness_key, checkpoint)
    return failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_a_witness_signed_is_kept_beside_the_log_and_only_the_newest(guardrail, audit, key):
    seen = witness(NAME, key)
    older = (await logged(guardrail, audit, 1)).checkpoint
    newer = (await logged(guardrail, audit, 2)).checkpoint
    for time, checkpoint in enumerate((newer, older)):
        kept = await audit.cosign(seen, cosigned(checkpoint, NAME, key, 1_700_000_000 + time))
        assert (kept.witness_key, kept.size) == (str(seen), 2)
    log = await audit.log()
    (kept,) = log.cosigned_checkpoints
    assert open_checkpoint(kept.checkpoint, [Verifier.parse(log.verifier_key), seen]).size == 2


async def test_an_old_checkpoint_of_the_log_may_be_cosigned_late(guardrail, audit, key):
    older = (await logged(guardrail, audit, 1)).checkpoint
    await logged(guardrail, audit, 3)
    assert (await audit.cosign(witness(NAME, key), cosigned(older, NAME, key, 1))).size == 1


async def test_what_is_no_checkpoint_of_the_log_or_not_signed_by_the_witness_is_refused(
    guardrail, audit, key
):
    seen, checkpoint = witness(NAME, key), (await logged(guardrail, audit, 1)).checkpoint
    signed = cosigned(checkpoint, NAME, key, 1)
    other = Ed25519PrivateKey.generate()
    line = signed.removeprefix(checkpoint)
    for wrong in (
        checkpoint,
        signed + line,
        signed.replace("\n1\n", "\n2\n"),
        signed.replace("acme", "beta"),
        cosigned(checkpoint, NAME, other, 1),
        cosigned(checkpoint, "example.org/other", key, 1),
        checkpoint + line[:-9] + "AAAA" + line[-5:],
        "nothing",
        "a\n99999999999999\nb\n\n",
    ):
        assert await refused(audit, seen, wrong), wrong
    for wrong_key in (
        "x",
        str(seen)[:-4],
        str(seen).replace("witness", "witnesS"),
        (await audit.log()).verifier_key,
    ):
        assert await refused(audit, wrong_key, signed), wrong_key
    assert not (await audit.log()).cosigned_checkpoints


async def test_no_more_than_so_many_witnesses_are_kept(guardrail, audit):
    checkpoint = (await logged(guardrail, audit, 1)).checkpoint
    for number in range(WITNESSES_MAX + 1):
        own = Ed25519PrivateKey.generate()
        name = f"example.org/{number}"
        signed = cosigned(checkpoint, name, own, 1)
        if number < WITNESSES_MAX:
            await audit.cosign(witness(name, own), signed)
        else:
            assert await refused(audit, witness(name, own), signed)
