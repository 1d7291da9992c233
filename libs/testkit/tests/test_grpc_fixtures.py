import grpc.aio
import pytest
from penstock.billing.v1 import hold_service_pb2 as pb
from penstock.billing.v1 import hold_service_pb2_grpc as rpc
from servicekit.context import outgoing
from servicekit.server import Running


class Holds(rpc.HoldServiceServicer):
    async def Authorize(self, request, context):
        return pb.AuthorizeResponse(results=[pb.AuthorizeResult() for _ in request.items])


@pytest.fixture
def grpc_servicer():
    return Holds()


@pytest.fixture
def grpc_add_to_server():
    return rpc.add_HoldServiceServicer_to_server


@pytest.fixture
def grpc_stub_cls():
    return rpc.HoldServiceStub


async def test_a_stub_talks_to_the_servicer_through_a_real_server(grpc_stub, grpc_server: Running) -> None:
    assert grpc_server.grpc_port > 0
    item = pb.AuthorizeItem(operation_id="o", skus=["s"])
    item.context.request_id = item.context.organization = "x"
    response = await grpc_stub.Authorize(pb.AuthorizeRequest(items=[item]), **outgoing(5))
    assert len(response.results) == 1


async def test_the_interceptors_are_there(grpc_stub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await grpc_stub.Authorize(pb.AuthorizeRequest(), **outgoing(5))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
