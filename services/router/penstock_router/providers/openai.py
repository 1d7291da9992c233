"""Any HTTP API of OpenAI's form as a provider."""

import os
from collections.abc import AsyncGenerator, Mapping

import aiohttp
from servicekit import context as request_context
from servicekit.errors import InvalidArgument, ServiceError

from penstock_router.catalog import Endpoint
from penstock_router.conversation import text_bytes
from penstock_router.providers import Event, GenerationCall, ProviderFailedError, UsageReported
from penstock_router.providers.openai_json import (
    ChunkReader,
    MalformedAnswerError,
    read_answer,
    write_request,
)
from penstock_router.providers.server_sent_events import EventReader, EventTooLargeError

ANSWER_BYTES_MAX = 32 * 1024 * 1024
ERROR_CHARACTERS_MAX = 200
TEMPLATE_TOKENS_A_MESSAGE = 8
_DONE = b"[DONE]"

# The request is at fault; every endpoint would say the same.
_REJECTED = frozenset({400, 413, 415, 422})


class OpenAiProvider:
    """Generates at an OpenAI-compatible endpoint. Retries belong to the pipeline: here every call is one request."""

    def __init__(self, endpoint: Endpoint, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._url = f"{endpoint.base_url.rstrip('/')}/chat/completions"
        self._headers = {"content-type": "application/json"}
        secret = os.environ.get(endpoint.api_key_variable, "") if endpoint.api_key_variable else ""
        if secret:
            self._headers["authorization"] = f"Bearer {secret}"

    async def generate(self, call: GenerationCall) -> AsyncGenerator[Event]:
        """Answer with one HTTP request."""
        if call.prompts:
            raise ProviderFailedError("no prompts", _no_prompts(call))
        context = request_context.current()
        timeout = aiohttp.ClientTimeout(total=max(0.001, min(context.remaining_seconds(), 3600)))
        headers = {**self._headers, "traceparent": request_context.child_traceparent(context.traceparent)}
        try:
            async with self._session.post(
                self._url, data=write_request(call), headers=headers, timeout=timeout
            ) as response:
                if response.status != 200:  # noqa: PLR2004 - HTTP's own number
                    raise await _refusal(response)
                if call.streaming:
                    async for event in _read_stream(response):
                        yield event
                else:
                    for event in read_answer(await _read_whole(response)):
                        yield event
        except (aiohttp.ClientError, TimeoutError, MalformedAnswerError, EventTooLargeError) as error:
            raise ProviderFailedError(f"{type(error).__name__}: {error}") from error

    async def count(self, call: GenerationCall) -> tuple[int, int]:
        """Bound the prompt's tokens from above: no tokenizer makes more tokens than bytes."""
        messages = call.parameters.messages
        return text_bytes(messages) + TEMPLATE_TOKENS_A_MESSAGE * len(messages), 0

    async def usage(self, _call: GenerationCall) -> UsageReported | None:
        """Say nothing: the API does not tell what a broken stream produced."""
        return None


def _no_prompts(call: GenerationCall) -> InvalidArgument:
    return InvalidArgument(
        "UNSUPPORTED_FEATURE",
        "The endpoint answers conversations only.",
        metadata={"field": "model", "model": call.parameters.model},
    )


async def _read_whole(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while piece := await response.content.readany():
        body += piece
        if len(body) > ANSWER_BYTES_MAX:
            raise MalformedAnswerError("the answer is too large")
    return bytes(body)


async def _read_stream(response: aiohttp.ClientResponse) -> AsyncGenerator[Event]:
    events, chunks = EventReader(), ChunkReader()
    async for piece in response.content.iter_any():
        for data in events.feed(piece):
            if data == _DONE:
                return
            for event in chunks.read(data):
                yield event
    raise MalformedAnswerError("the stream ended before [DONE]")


async def _refusal(response: aiohttp.ClientResponse) -> "ServiceError | ProviderFailedError":
    if response.status not in _REJECTED:
        return ProviderFailedError(f"HTTP {response.status}")
    text = (await response.content.read(ERROR_CHARACTERS_MAX * 4)).decode(errors="replace")
    metadata: Mapping[str, str] = {"status": str(response.status), "message": text[:ERROR_CHARACTERS_MAX]}
    return InvalidArgument("PROVIDER_REJECTED", "The provider refused the request.", metadata=metadata)
