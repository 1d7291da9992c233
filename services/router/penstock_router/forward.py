"""Public RPCs of other services at the front door: the caller is checked here, the call is forwarded as it is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from penstock.billing.v1 import (
    budget_service_pb2,
    invoice_service_pb2,
    limit_service_pb2,
    price_service_pb2,
    usage_correction_service_pb2,
    usage_service_pb2,
    webhook_service_pb2,
)
from penstock.cache.v1 import answer_cache_service_pb2, answer_feedback_service_pb2
from penstock.guardrail.v1 import audit_service_pb2, erasure_service_pb2, policy_service_pb2
from servicekit.context import CALLER_HEADER, outgoing

from penstock_router.identity import Identity, Principal
from penstock_router.peers import unavailable

BILLING = (
    usage_service_pb2.DESCRIPTOR.services_by_name["UsageService"],
    usage_correction_service_pb2.DESCRIPTOR.services_by_name["UsageCorrectionService"],
    budget_service_pb2.DESCRIPTOR.services_by_name["BudgetService"],
    limit_service_pb2.DESCRIPTOR.services_by_name["LimitService"],
    price_service_pb2.DESCRIPTOR.services_by_name["PriceService"],
    invoice_service_pb2.DESCRIPTOR.services_by_name["InvoiceService"],
    webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"],
)
GUARDRAIL = (
    policy_service_pb2.DESCRIPTOR.services_by_name["PolicyService"],
    audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"],
    erasure_service_pb2.DESCRIPTOR.services_by_name["ErasureService"],
)

CACHE = (answer_cache_service_pb2.DESCRIPTOR.services_by_name["AnswerCacheService"],)
CACHE_FEEDBACK = (answer_feedback_service_pb2.DESCRIPTOR.services_by_name["AnswerFeedbackService"],)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who answers.

    Args:
        name: of the service, for errors.
        channel: to it.
        reads_need: the role that methods without side effects need; empty: none.
        writes_need: the role that the others need.
    """

    name: str
    channel: grpc.aio.Channel
    reads_need: str = ""
    writes_need: str = "admin"


def forwarded(service: ServiceDescriptor, owner: Owner, identity: Identity) -> Callable[[Any, Any], None]:
    """Make the `add_to_server` function of a service whose unary methods another process answers.

    Every method needs a key of the organization that it names, and the role that its owner asks for.
    """
    handlers = {method.name: _handler(service, method, owner, identity) for method in service.methods}

    def add(_servicer: object, server: Any) -> None:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

    return add


def _handler(
    service: ServiceDescriptor, method: MethodDescriptor, owner: Owner, identity: Identity
) -> "grpc.RpcMethodHandler[Any, Any]":
    request_class = message_factory.GetMessageClass(method.input_type)
    call: Callable[..., Awaitable[bytes]] = owner.channel.unary_unary(
        f"/{service.full_name}/{method.name}", request_serializer=request_class.SerializeToString
    )
    reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    role = owner.reads_need if reads else owner.writes_need

    async def serve(request: Message, context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
        principal = await identity.authenticate(tuple(context.invocation_metadata() or ()))
        _check(principal, request, method.name, role)
        options = outgoing()
        options["metadata"] += ((CALLER_HEADER, principal.api_key),)
        try:
            return await call(request, **options)
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, owner.name) from error

    return grpc.unary_unary_rpc_method_handler(serve, request_class.FromString, bytes)


def _check(principal: Principal, request: Message, operation: str, role: str) -> None:
    organization = _organization(request)
    if organization is not None:
        principal.require_organization(organization)
    if role:
        principal.require_role(role, operation)


def _organization(request: Message) -> str | None:
    """Read the organization that a request names: in `parent`, in `name`, or in the name of the resource it carries."""
    for field in request.DESCRIPTOR.fields:
        value = getattr(request, field.name)
        if field.name in ("parent", "name"):
            return _second(value)
        if field.message_type is not None and "name" in field.message_type.fields_by_name:
            return _second(value.name)
    return None


def _second(name: str) -> str:
    """Give `{organization}` of `organizations/{organization}/...`; the contract's rules have checked the form."""
    _, _, rest = name.partition("/")
    return rest.partition("/")[0]
