"""The official OpenAI SDK against the edge, as a caller would use it."""

import json
from collections.abc import Iterator
from typing import Literal

import openai
import pydantic
import pytest
from openai import AsyncOpenAI, OpenAI
from stack_fixture import ENCODER, MODEL, Stack

pytestmark = pytest.mark.stack

FRANCE = [{"role": "user", "content": "What is the capital of France? Answer in one short sentence."}]


@pytest.fixture
def client(stack: Stack) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0, timeout=60) as client:
        yield client


def test_a_chat_is_answered(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=FRANCE, temperature=0, max_tokens=32)
    assert "Paris" in completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert (
        completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    )
    assert completion.object == "chat.completion"


def test_a_stream_brings_the_same_answer_in_parts_with_usage(client: OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=FRANCE, temperature=0, max_tokens=32)
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=FRANCE,
            temperature=0,
            max_tokens=32,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"cache_control": {"no_cache": True}},
        )
    )
    texts = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert "".join(texts) == whole.choices[0].message.content
    assert len(texts) > 1  # the first token comes at once, the others together as fast as they are made
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["stop"]


class City(pydantic.BaseModel):
    name: Literal["Paris", "Rome"]
    capital: bool


def test_an_answer_is_parsed_into_the_class_that_was_asked_for(client: OpenAI) -> None:
    completion = client.chat.completions.parse(
        model=MODEL, messages=FRANCE, temperature=0, max_tokens=64, response_format=City
    )
    assert isinstance(completion.choices[0].message.parsed, City)


def test_a_tool_that_must_be_called_is_called_by_its_schema_streamed_or_not(client: OpenAI) -> None:
    city = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    asked = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
        "temperature": 0,
        "max_tokens": 64,
        "parallel_tool_calls": False,
        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": city}}],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
    }
    (choice,) = client.chat.completions.create(**asked).choices
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")
    parts = [
        part
        for chunk in client.chat.completions.create(**asked, stream=True)
        for choice in chunk.choices
        for part in choice.delta.tool_calls or ()
    ]
    assert "".join(part.function.arguments or "" for part in parts) == call.function.arguments


async def test_the_async_client_works_too(stack: Stack) -> None:
    async with AsyncOpenAI(
        base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0, timeout=60
    ) as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=FRANCE, temperature=0, max_tokens=32, stream=True
        )
        text = "".join([c.delta.content or "" async for chunk in stream for c in chunk.choices])
        assert "Paris" in text
        vectors = await client.embeddings.create(model=ENCODER, input=["one"])
        assert len(vectors.data[0].embedding) == 384


def test_several_answers_stops_and_limits(client: OpenAI) -> None:
    several = client.chat.completions.create(model=MODEL, messages=FRANCE, n=3, seed=7, max_tokens=8)
    assert [choice.index for choice in several.choices] == [0, 1, 2]
    cut = client.chat.completions.create(model=MODEL, messages=FRANCE, temperature=0, max_tokens=3)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage.completion_tokens == 3
    stopped = client.chat.completions.create(model=MODEL, messages=FRANCE, temperature=0, stop=" Paris")
    assert "Paris" not in stopped.choices[0].message.content


def test_the_same_seed_gives_the_same_answer(client: OpenAI) -> None:
    def say() -> str:
        completion = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Tell me a story."}],
            seed=11,
            max_tokens=24,
            extra_body={"cache_control": {"no_cache": True, "no_store": True}},
        )
        return completion.choices[0].message.content

    assert say() == say()


def test_log_probabilities_come_with_their_tokens(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=FRANCE, temperature=0, max_tokens=5, logprobs=True, top_logprobs=2
    )
    content = completion.choices[0].logprobs.content
    assert len(content) == 5
    assert all(len(token.top_logprobs) == 2 for token in content)
    assert content[0].logprob == pytest.approx(content[0].top_logprobs[0].logprob)


def test_content_may_come_in_parts(client: OpenAI) -> None:
    texts = ["What is the capital", " of France? Answer in one short sentence."]
    parts = [{"type": "text", "text": text} for text in texts]
    completion = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": parts}], temperature=0, max_tokens=32
    )
    assert "Paris" in completion.choices[0].message.content


def test_texts_are_embedded_near_what_they_mean(client: OpenAI) -> None:
    response = client.embeddings.create(
        model=ENCODER, input=["How do I reset my password?", "I forgot my password.", "The moon is far away."]
    )
    first, near, far = (item.embedding for item in response.data)
    dot = lambda a, b: sum(x * y for x, y in zip(a, b, strict=True))  # noqa: E731
    assert dot(first, near) > dot(first, far) + 0.2
    assert dot(first, first) == pytest.approx(1, abs=1e-3)
    assert response.usage.prompt_tokens > 0
    floats = client.embeddings.create(model=ENCODER, input="one", encoding_format="float")
    assert len(floats.data[0].embedding) == 384


def test_models_are_listed_and_found(client: OpenAI) -> None:
    assert {MODEL, ENCODER} <= {model.id for model in client.models.list()}
    assert client.models.retrieve(MODEL).id == MODEL


def test_errors_are_the_sdks_own_classes(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-17", messages=FRANCE)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=MODEL, messages=FRANCE, temperature=3)
    with pytest.raises(openai.AuthenticationError) as bad_key:
        client.with_options(api_key="psk_" + "x" * 43).models.list()
    assert bad_key.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing/of/that/name")
    with pytest.raises(openai.BadRequestError) as images:
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": [picture]}])
    assert images.value.body["reason"] == "UNSUPPORTED_FEATURE"
