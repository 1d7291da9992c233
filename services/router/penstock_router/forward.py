"""Public RPCs of other services at the front door: the caller is checked here, the call is forwarded as it is."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from servicekit.context import outgoing

from penstock_router.identity import Identity, Principal
from penstock_router.peers import unavailable

_WRITES_NEED = "admin"


def forwarded(
    service: ServiceDescriptor, channel: grpc.aio.Channel, identity: Identity, dependency: str
) -> Callable[[Any, Any], None]:
    """Make the `add_to_server` function of a service whose unary methods another process answers.

    Methods without side effects need a key of the organization they name; the others its role "admin" too.
    """
    handlers = {
        method.name: _handler(service, method, channel, identity, dependency) for method in service.methods
    }

    def add(_servicer: object, server: Any) -> None:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

    return add


def _handler(
    service: ServiceDescriptor,
    method: MethodDescriptor,
    channel: grpc.aio.Channel,
    identity: Identity,
    dependency: str,
) -> "grpc.RpcMethodHandler[Any, Any]":
    request_class = message_factory.GetMessageClass(method.input_type)
    call: Callable[..., Awaitable[bytes]] = channel.unary_unary(
        f"/{service.full_name}/{method.name}", request_serializer=request_class.SerializeToString
    )
    reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS

    async def serve(request: Message, context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
        principal = await identity.authenticate(tuple(context.invocation_metadata() or ()))
        _check(principal, request, method.name, reads=reads)
        try:
            return await call(request, **outgoing())
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, dependency) from error

    return grpc.unary_unary_rpc_method_handler(serve, request_class.FromString, bytes)


def _check(principal: Principal, request: Message, operation: str, *, reads: bool) -> None:
    organization = _organization(request)
    if organization is not None:
        principal.require_organization(organization)
    if not reads:
        principal.require_role(_WRITES_NEED, operation)


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
