"""PolicyService: wire to the desk and back."""

from typing import Any

from penstock.guardrail.v1 import policy_pb2, policy_service_pb2, policy_service_pb2_grpc

from penstock_guardrail.policies.book import PolicyBook
from penstock_guardrail.policies.desk import PolicyDesk
from penstock_guardrail.policies.replay_wire import write_replay
from penstock_guardrail.policies.wire import read_mode, read_name, read_spec, write_policy

_PAGE_SIZE_MAX = 100


class PolicyServicer(policy_service_pb2_grpc.PolicyServiceServicer):
    """Policies of organizations."""

    def __init__(self, desk: PolicyDesk, book: PolicyBook) -> None:
        self._desk = desk
        self._profiles = book.profiles

    async def CreatePolicy(
        self, request: policy_service_pb2.CreatePolicyRequest, _context: Any
    ) -> policy_service_pb2.CreatePolicyResponse:
        """Make a policy."""
        organization = request.parent.removeprefix("organizations/")
        spec = read_spec(request.policy, self._profiles)
        made = await self._desk.create(organization, request.policy_id, read_mode(request.policy), spec)
        return policy_service_pb2.CreatePolicyResponse(policy=write_policy(made))

    async def GetPolicy(
        self, request: policy_service_pb2.GetPolicyRequest, _context: Any
    ) -> policy_service_pb2.GetPolicyResponse:
        """Give a policy."""
        found = await self._desk.get(*read_name(request.name), request.revision)
        return policy_service_pb2.GetPolicyResponse(policy=write_policy(found))

    async def ListPolicies(
        self, request: policy_service_pb2.ListPoliciesRequest, _context: Any
    ) -> policy_service_pb2.ListPoliciesResponse:
        """Give a page of policies."""
        size = request.page_size or _PAGE_SIZE_MAX
        organization = request.parent.removeprefix("organizations/")
        found = await self._desk.list_after(organization, request.page_token, size + 1)
        response = policy_service_pb2.ListPoliciesResponse(policies=map(write_policy, found[:size]))
        if len(found) > size:
            response.next_page_token = found[size - 1].policy_id
        return response

    async def UpdatePolicy(
        self, request: policy_service_pb2.UpdatePolicyRequest, _context: Any
    ) -> policy_service_pb2.UpdatePolicyResponse:
        """Replace what a policy says."""
        spec = read_spec(request.policy, self._profiles)
        made = await self._desk.update(*read_name(request.policy.name), read_mode(request.policy), spec)
        return policy_service_pb2.UpdatePolicyResponse(policy=write_policy(made))

    async def DeletePolicy(
        self, request: policy_service_pb2.DeletePolicyRequest, _context: Any
    ) -> policy_service_pb2.DeletePolicyResponse:
        """End a policy."""
        await self._desk.delete(*read_name(request.name))
        return policy_service_pb2.DeletePolicyResponse()

    async def DiffPolicy(
        self, request: policy_service_pb2.DiffPolicyRequest, _context: Any
    ) -> policy_service_pb2.DiffPolicyResponse:
        """Tell what would change."""
        organization, policy_id = read_name(request.name)
        response = policy_service_pb2.DiffPolicyResponse(
            differences=[
                policy_pb2.PolicyDifference(subject=subject, before=before, after=after)
                for subject, before, after in await self._desk.diff(organization, policy_id)
            ]
        )
        if request.replay_entries:
            first, replay = await self._desk.replay(organization, policy_id, request.replay_entries)
            response.replay.CopyFrom(write_replay(first, replay))
        return response
