"""Answer failures: what is expected with its reason, what is not with a fixed text and a logged stack."""

import asyncio
from typing import Any

import grpc
import grpc.aio

from servicekit.context import RequestContext
from servicekit.errors import ServiceError, Unimplemented, abort, from_rpc_error, status_of
from servicekit.interceptors.context import response_metadata
from servicekit.logging import get_logger

log = get_logger(__name__)


def code_of(error: BaseException, call: "grpc.aio.ServicerContext[Any, Any]") -> grpc.StatusCode:
    """Tell which code the caller of a failed RPC gets."""
    if isinstance(error, ServiceError):
        return error.code
    if isinstance(error, grpc.aio.AioRpcError):
        return from_rpc_error(error).code
    if isinstance(error, asyncio.CancelledError):
        return grpc.StatusCode.CANCELLED
    if isinstance(error, grpc.aio.AbortError) or _is_unserved(error, call):
        code = call.code()
        return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN
    return grpc.StatusCode.INTERNAL


async def answer(
    error: BaseException, call: "grpc.aio.ServicerContext[Any, Any]", context: RequestContext, method: str
) -> None:
    """End a failed RPC. Cancellation and an abort of the servicer's own pass as they are."""
    if isinstance(error, grpc.aio.AbortError) or not isinstance(error, Exception):
        return
    if _is_unserved(error, call):
        error = Unimplemented("METHOD_NOT_FOUND", "This method is not served.", metadata={"path": method})
    if not isinstance(error, ServiceError | grpc.aio.AioRpcError):
        log.error("rpc_failed", method=method, exc_info=error)
    await abort(call, status_of(error), response_metadata(context))


def _is_unserved(error: BaseException, call: "grpc.aio.ServicerContext[Any, Any]") -> bool:
    """Tell whether a method stands in its contract only: so says the servicer's generated base."""
    return isinstance(error, NotImplementedError) and call.code() is grpc.StatusCode.UNIMPLEMENTED
