"""A whole guardrail in the test's process, and a client that reads like prose."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2
from penstock.context.v1.request_context_pb2 import RequestContext
from penstock.guardrail.v1 import (
    audit_service_pb2,
    audit_service_pb2_grpc,
    erasure_service_pb2,
    erasure_service_pb2_grpc,
    finding_pb2,
    guardrail_service_pb2,
    guardrail_service_pb2_grpc,
    policy_pb2,
    policy_service_pb2,
    policy_service_pb2_grpc,
)
from penstock_cli.audit.log import Entry, Verified, open_checkpoint, verify_entries, verify_growth
from penstock_cli.audit.note import Checkpoint, Verifier
from penstock_guardrail import policy
from penstock_guardrail.rules import Rules, make_rules
from penstock_guardrail.server import build
from penstock_guardrail.settings import GuardrailSettings
from servicekit.channel import connect
from servicekit.server import Running, running
from testkit.clock import Clock
from testkit.waiting import SECONDS_MAX, until

ACME = "organizations/acme"
LOG = f"{ACME}/auditLog"

StreamRequest = guardrail_service_pb2.InspectStreamRequest


@dataclass
class Streamed:
    """What came out of a stream of one answer."""

    responses: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(response.text for response in self.responses)

    @property
    def actions(self) -> list[int]:
        return [response.action for response in self.responses]

    @property
    def findings(self) -> list[Any]:
        return [finding for response in self.responses for finding in response.findings]


class Guardrail:
    """The guardrail, seen from the router."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.stub: Any = guardrail_service_pb2_grpc.GuardrailServiceStub(channel)

    async def redact(self, *texts: str, **who: Any) -> Any:
        (result,) = await self.inspect(item(finding_pb2.DIRECTION_INPUT, texts, **who))
        return result

    async def restore(self, text: str, session: str = "", **who: Any) -> Any:
        (result,) = await self.inspect(item(finding_pb2.DIRECTION_OUTPUT, [text], session, **who))
        return result

    async def inspect(self, *items: Any) -> Any:
        request = guardrail_service_pb2.InspectRequest(items=items)
        return (await self.stub.Inspect(request, timeout=SECONDS_MAX)).results

    async def stream(self, pieces: Sequence[str], session: str = "", choice: int = 0, **who: Any) -> Streamed:
        streamed = Streamed()
        call = self.stub.InspectStream(timeout=SECONDS_MAX)
        await call.write(opening(session, **who))
        for piece in pieces:
            await call.write(delta(piece, choice))
            streamed.responses.append(await call.read())
        await call.write(finish(choice))
        streamed.responses.append(await call.read())
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        return streamed


class Policies:
    """The policies of the organization acme, by their ids."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = policy_service_pb2_grpc.PolicyServiceStub(channel)

    async def create(self, policy_id: str, **says: Any) -> Any:
        request = policy_service_pb2.CreatePolicyRequest(
            parent=ACME, policy_id=policy_id, policy=policy_pb2.Policy(**says)
        )
        return (await self._stub.CreatePolicy(request, timeout=SECONDS_MAX)).policy

    async def update(self, policy_id: str, **says: Any) -> Any:
        policy = policy_pb2.Policy(name=_policy(policy_id), **says)
        request = policy_service_pb2.UpdatePolicyRequest(policy=policy)
        return (await self._stub.UpdatePolicy(request, timeout=SECONDS_MAX)).policy

    async def get(self, policy_id: str, revision: int = 0) -> Any:
        request = policy_service_pb2.GetPolicyRequest(name=_policy(policy_id), revision=revision)
        return (await self._stub.GetPolicy(request, timeout=SECONDS_MAX)).policy

    async def page(self, **page: Any) -> Any:
        request = policy_service_pb2.ListPoliciesRequest(parent=ACME, **page)
        return await self._stub.ListPolicies(request, timeout=SECONDS_MAX)

    async def list(self) -> Any:
        return (await self.page()).policies

    async def delete(self, policy_id: str) -> None:
        await self._stub.DeletePolicy(
            policy_service_pb2.DeletePolicyRequest(name=_policy(policy_id)), timeout=SECONDS_MAX
        )

    async def diff(self, policy_id: str) -> Any:
        request = policy_service_pb2.DiffPolicyRequest(name=_policy(policy_id))
        return (await self._stub.DiffPolicy(request, timeout=SECONDS_MAX)).differences

    async def replay(self, policy_id: str, entries: int = 1000) -> Any:
        request = policy_service_pb2.DiffPolicyRequest(name=_policy(policy_id), replay_entries=entries)
        return (await self._stub.DiffPolicy(request, timeout=SECONDS_MAX)).replay


class Audit:
    """The audit log of the organization acme, as a verifier sees it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = audit_service_pb2_grpc.AuditServiceStub(channel)
        self._erasures: Any = erasure_service_pb2_grpc.ErasureServiceStub(channel)

    async def log(self) -> Any:
        request = audit_service_pb2.GetAuditLogRequest(name=LOG)
        return (await self._stub.GetAuditLog(request, timeout=SECONDS_MAX)).audit_log

    async def cosign(self, witness_key: object, checkpoint: str) -> Any:
        request = audit_service_pb2.CosignAuditLogRequest(
            name=LOG, witness_key=str(witness_key), checkpoint=checkpoint
        )
        return (await self._stub.CosignAuditLog(request, timeout=SECONDS_MAX)).cosigned_checkpoint

    async def checkpoint(self) -> Checkpoint:
        log = await self.log()
        return open_checkpoint(log.checkpoint, [Verifier.parse(log.verifier_key)])

    async def entries(self) -> Sequence[Entry]:
        return [
            Entry(each.index, each.leaf_hash, each.record, each.salt, each.damaged)
            for each in await self.listed()
        ]

    async def listed(self) -> Sequence[Any]:
        found: list[Any] = []
        while True:
            request = audit_service_pb2.ListAuditEntriesRequest(
                parent=LOG, start_index=len(found), page_size=1000
            )
            page = (await self._stub.ListAuditEntries(request, timeout=SECONDS_MAX)).entries
            found += page
            if not page:
                return found

    async def verify(self) -> Verified:
        """Verify the whole log, as it is now."""
        return verify_entries(await self.checkpoint(), await self.entries())

    async def records(self, kind: str, least: int = 1) -> list[Any]:
        """Wait until so many records of a kind are in the log, and give all of the kind."""
        found: list[Any] = []

        async def there() -> bool:
            contents = [json.loads(entry.record) for entry in await self.entries() if entry.record]
            found[:] = [content for content in contents if content["kind"] == kind]
            return len(found) >= least

        await until(there)
        return found

    async def growth(self, first: int, second: int) -> Sequence[bytes]:
        request = audit_service_pb2.GetConsistencyProofRequest(name=LOG, first_size=first, second_size=second)
        return (await self._stub.GetConsistencyProof(request, timeout=SECONDS_MAX)).hashes

    async def verify_growth(self, before: Checkpoint) -> None:
        after = await self.checkpoint()
        proof = await self.growth(before.size, after.size)
        verify_growth(before, after, lambda _first, _second: proof)

    async def inclusion(self, index: int, size: int) -> Sequence[bytes]:
        request = audit_service_pb2.GetInclusionProofRequest(parent=LOG, index=index, tree_size=size)
        return (await self._stub.GetInclusionProof(request, timeout=SECONDS_MAX)).hashes

    async def erase(self, user: str) -> Any:
        request = erasure_service_pb2.ErasePersonRequest(parent=ACME, user=user)
        return (await self._erasures.ErasePerson(request, timeout=SECONDS_MAX)).receipt


def _policy(policy_id: str) -> str:
    return f"{ACME}/policies/{policy_id}"


def context(organization: str = "acme", user: str = "ann", **more: Any) -> RequestContext:
    fields = {"request_id": "r", "roles": ("business_user",), **more}
    return RequestContext(organization=organization, user=user, **fields)


def item(direction: Any, texts: Sequence[str], session: str = "", **who: Any) -> Any:
    return guardrail_service_pb2.InspectItem(
        context=context(**who),
        direction=direction,
        segments=[finding_pb2.Segment(text=text, role="user") for text in texts],
        redaction_session=session,
    )


def opening(session: str = "", direction: Any = finding_pb2.DIRECTION_OUTPUT, **who: Any) -> StreamRequest:
    request = StreamRequest()
    request.open.context.CopyFrom(context(**who))
    request.open.direction = direction
    request.open.redaction_session = session
    return request


def delta(text: str, choice: int = 0) -> StreamRequest:
    request = StreamRequest()
    request.delta.text = text
    request.delta.choice_index = choice
    return request


def finish(choice: int = 0) -> StreamRequest:
    request = StreamRequest()
    request.finish.choice_index = choice
    return request


def text_of(result: Any, original: str, segment: int = 0) -> str:
    """Give a segment as it leaves: replaced, or as it was."""
    assert not result.status.code, result.status
    replaced: dict[int, str] = {each.segment_index: each.text for each in result.redactions}
    return replaced.get(segment, original)


def reason(status: status_pb2.Status) -> str:
    assert status.code, "the item did not fail"
    found = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(found)
    return found.reason


class Tools:
    """What tests make messages with and read them by."""

    item = staticmethod(item)
    opening = staticmethod(opening)
    delta = staticmethod(delta)
    finish = staticmethod(finish)
    text_of = staticmethod(text_of)
    reason = staticmethod(reason)
    until = staticmethod(until)


@pytest.fixture
def tools() -> type[Tools]:
    return Tools


@pytest.fixture(scope="session")
def rules() -> Rules:
    """What the service screens with, unless told otherwise, and names looked for."""
    text = Path(policy.__file__).with_name("policy.yaml").read_text()
    default = policy.parse(text)
    title = policy.Rule(action=policy.Action.ALLOW, classification=policy.Classification.CONFIDENTIAL)
    return make_rules(
        default.model_copy(update={"types": {**default.types, "TITLE": title}}), characters_max=1_048_576
    )


@pytest.fixture
def settings(tmp_path: Path) -> GuardrailSettings:
    return GuardrailSettings(grpc_port=0, http_port=0, data_dir=tmp_path, drain_seconds=30)


Start = Callable[..., AbstractAsyncContextManager[tuple[Guardrail, Running]]]


@pytest.fixture
def start(settings: GuardrailSettings, clock: Clock) -> Start:
    """Start a guardrail on the test's data directory: `async with start() as (guardrail, server)`."""

    @asynccontextmanager
    async def started(**changes: Any) -> AsyncIterator[tuple[Guardrail, Running]]:
        changed = settings.model_copy(update=changes)
        async with (
            build(changed, clock) as service,
            running(service) as server,
            connect(server.address) as channel,
        ):
            yield Guardrail(channel), server

    return started


@pytest_asyncio.fixture
async def guardrail(start: Start) -> AsyncIterator[Guardrail]:
    async with start() as (client, _server):
        yield client


@pytest.fixture
def policies(guardrail: Guardrail) -> Policies:
    return Policies(guardrail.channel)


@pytest.fixture
def audit(guardrail: Guardrail) -> Audit:
    return Audit(guardrail.channel)


@pytest.fixture
def policies_of() -> Callable[[Guardrail], Policies]:
    return lambda guardrail: Policies(guardrail.channel)


@pytest.fixture
def audit_of() -> Callable[[Guardrail], Audit]:
    return lambda guardrail: Audit(guardrail.channel)
