"""The router's pure parts."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from penstock.cache.v1 import cache_entry_pb2
from penstock.guardrail.v1 import finding_pb2
from penstock.router.v1 import chat_completion_pb2, chat_message_pb2
from penstock_router.breaker import FAILURES_MAX, OPEN_SECONDS, Breaker
from penstock_router.catalog import Catalog, CatalogError, Endpoint, Model, Target, load_catalog
from penstock_router.conversation import _NOT_CONDITIONS, asked_segments, question, redact
from penstock_router.identity import Identity, Principal
from penstock_router.providers.openai_json import _OPTIONAL
from penstock_router.providers.server_sent_events import EVENT_BYTES_MAX, EventReader, EventTooLargeError
from penstock_router.routing import Router
from penstock_router.settings import RouterSettings
from servicekit.errors import InvalidArgument, PermissionDenied

Parameters = chat_completion_pb2.ChatCompletionParameters


def asked(text: str = "hi", **more: object) -> Parameters:
    message = chat_message_pb2.ChatMessage(role=chat_message_pb2.CHAT_ROLE_USER, text=text)
    return Parameters(model="m", messages=[message], **more)  # type: ignore[arg-type]


def test_the_breaker_opens_after_failures_in_a_row_and_closes_by_one_probe() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_MAX):
        assert breaker.allows(0)
        breaker.failed(0)
    assert not breaker.allows(OPEN_SECONDS / 2)
    assert breaker.allows(OPEN_SECONDS)
    assert not breaker.allows(OPEN_SECONDS)
    breaker.succeeded()
    assert breaker.allows(OPEN_SECONDS)


def test_cooldown_deadline_extends() -> None:
    """BerriAI/litellm#40130: a failure that is reported late does not shorten the opening."""
    breaker = Breaker()
    for _ in range(FAILURES_MAX):
        breaker.failed(10)
    breaker.failed(5)
    assert not breaker.allows(10 + OPEN_SECONDS / 2)


def test_a_probe_that_hangs_up_frees_its_place() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_MAX):
        breaker.failed(0)
    assert breaker.allows(OPEN_SECONDS)
    breaker.gave_up()
    assert breaker.allows(OPEN_SECONDS)


def test_what_shapes_an_answer_shapes_the_question_and_nothing_else_does() -> None:
    def digest(parameters: Parameters) -> bytes:
        return question(parameters, cache_entry_pb2.Partition(), semantic=False).partition.conditions_digest

    assert digest(asked()) == digest(asked(user="u", metadata={"a": "b"}, priority=2))
    assert digest(asked()) != digest(asked(temperature=0.0))
    assert digest(asked()) != digest(asked(seed=1))
    assert digest(asked()) != digest(asked(max_completion_tokens=5))


def test_turns_cannot_be_shifted_into_each_other() -> None:
    def digest(*texts: str) -> bytes:
        messages = [chat_message_pb2.ChatMessage(role=chat_message_pb2.CHAT_ROLE_USER, text=t) for t in texts]
        parameters = Parameters(model="m", messages=messages)
        return question(parameters, cache_entry_pb2.Partition(), semantic=False).conversation_digest

    assert len({digest("a", "b"), digest("ab"), digest("b", "a"), digest("a", "", "b")}) == 4


def test_names_of_fields_are_fields() -> None:
    names = set(Parameters.DESCRIPTOR.fields_by_name)
    assert set(_NOT_CONDITIONS) <= names
    assert set(_OPTIONAL) <= names


def test_events_are_the_same_however_they_are_cut() -> None:
    text = b"data: one\r\n\r\n: comment\n\ndata:two\ndata: more\n\nid: 3\ndata: three\r\r"
    for first in range(len(text)):
        for second in range(first, len(text)):
            reader = EventReader()
            pieces = (text[:first], text[first:second], text[second:], b"\n")
            assert [e for piece in pieces for e in reader.feed(piece)] == [b"one", b"two\nmore", b"three"]


def test_an_endless_event_is_cut_off() -> None:
    reader = EventReader()
    with pytest.raises(EventTooLargeError):
        for _ in range(EVENT_BYTES_MAX // 65536 + 2):
            list(reader.feed(b"x" * 65536))


def test_the_shipped_catalog_is_whole() -> None:
    catalog = load_catalog(RouterSettings().catalog)
    assert "smollm2-135m-instruct" in catalog.models


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "endpoints: []\nmodels: [{id: m, capabilities: [chat], targets: [{endpoint: e, model: m, sku: s}]}]",
            "'e'",
        ),
        ("endpoints: [{name: e, kind: openai}]\nmodels: []", "base_url"),
        ("endpoints: [{name: e, kind: inference, colour: red}]\nmodels: []", "colour"),
        ("[", "catalog.yaml"),
    ],
)
def test_a_wrong_catalog_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(text)
    with pytest.raises(CatalogError, match=says):
        load_catalog(path)


async def test_all_that_use_a_key_at_once_share_one_look_into_the_store() -> None:
    looks = 0

    async def find_key(_digest: bytes) -> Principal:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)
        return Principal("acme", "k1", ("admin",))

    identity = Identity(find_key, seconds_max=60)
    metadata = (("authorization", "Bearer psk_x"),)
    principals = await asyncio.gather(*(identity.authenticate(metadata) for _ in range(50)))
    assert {principal.api_key for principal in principals} == {"k1"}
    assert looks == 1


def endpoints_of(regions: list[str], *, private_only: bool = False) -> list[str]:
    places = [
        Endpoint(name="own", kind="inference", private=True, region="eu"),
        Endpoint(name="us", kind="openai", base_url="https://us.example", region="us"),
        Endpoint(name="eu", kind="openai", base_url="https://eu.example", region="eu"),
    ]
    targets = tuple(Target(endpoint=place.name, model="m", sku=f"{place.name}/m") for place in places)
    model = Model(id="m", capabilities=frozenset({"chat"}), targets=targets)
    router = Router(Catalog(places, [model]), {})
    return [target.endpoint for target in router.eligible(model, private_only=private_only, regions=regions)]


def test_texts_go_to_the_regions_and_the_privacy_that_the_guardrail_allows() -> None:
    assert endpoints_of([]) == ["own", "us", "eu"]
    assert endpoints_of(["eu"]) == ["own", "eu"]
    assert endpoints_of(["eu"], private_only=True) == ["own"]
    with pytest.raises(PermissionDenied, match="private endpoints in asia only, and m has none"):
        endpoints_of(["asia"], private_only=True)


# Names and words of an alphabet, ids, media, and what no provider is told.
UNREAD = {
    *(
        "model",
        "user",
        "metadata",
        "tool_choice",
        "cache_control",
        "reasoning_effort",
        "image_url",
        "input_audio",
        "file",
    ),
    *("tool_calls.id", "tool_call_id", "function.name", "json_schema.name"),
}


def places(descriptor: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the way to every text that a message may hold."""
    for field in descriptor.fields:
        here = (*path, field)
        name = ".".join(each.name for each in here)
        if any(f".{name}".endswith(f".{unread}") for unread in UNREAD):
            continue
        if field.type == field.TYPE_STRING:
            yield here
        elif field.type == field.TYPE_MESSAGE and not field.message_type.GetOptions().map_entry:
            yield from places(field.message_type, here)


def asking(path: tuple[Any, ...], value: str) -> Any:
    """Make a request that holds one text."""
    asked = chat_completion_pb2.ChatCompletionParameters()
    owner: Any = asked
    for field in path[:-1]:
        owner = getattr(owner, field.name)
        owner = owner.add() if field.is_repeated else owner
    if path[-1].is_repeated:
        getattr(owner, path[-1].name).append(value)
    else:
        setattr(owner, path[-1].name, value)
    for message in asked.messages:
        message.role = chat_message_pb2.CHAT_ROLE_USER
    return asked


PATTERNS = ("regex", "grammar")  # a token in brackets would make others of them
READ = list(places(chat_completion_pb2.ChatCompletionParameters.DESCRIPTOR))


@pytest.mark.parametrize("path", READ, ids=lambda path: ".".join(each.name for each in path))
def test_every_text_of_a_request_that_a_model_reads_is_screened_and_replaced_or_refused(
    path: tuple[Any, ...],
) -> None:
    asked = asking(path, "ann@example.com")
    found = [(at, each) for at, each in enumerate(asked_segments(asked)) if each.text == "ann@example.com"]
    assert [each.role for _, each in found] == ["user" if path[0].name == "messages" else "developer"]
    redactions = [finding_pb2.Redaction(segment_index=at, text="[MAIL]") for at, _ in found]
    if path[-1].name in PATTERNS:
        with pytest.raises(InvalidArgument, match="would have to be redacted"):
            redact(asked, redactions)
    else:
        assert redact(asked, redactions) == asking(path, "[MAIL]")
