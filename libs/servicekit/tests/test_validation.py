import grpc
import pytest
from google.rpc import code_pb2
from penstock.billing.v1 import hold_service_pb2 as pb
from penstock.router.v1.completion_pb2 import CompletionParameters, CompletionPrompt
from penstock.router.v1.completion_service_pb2 import CreateCompletionRequest
from servicekit.errors import InvalidArgument, Violation
from servicekit.interceptors.validation import validate, validated


def request(**item: object) -> pb.AuthorizeRequest:
    message = pb.AuthorizeRequest(items=[pb.AuthorizeItem(operation_id="o", skus=["s"], **item)])
    message.items[0].context.request_id = message.items[0].context.organization = "x"
    return message


def test_a_valid_message_passes() -> None:
    validate(request())


def test_each_field_at_fault_is_named_as_callers_write_it() -> None:
    message = request()
    message.items[0].operation_id = ""
    message.items[0].skus[0] = ""
    with pytest.raises(InvalidArgument) as caught:
        validate(message)
    assert [violation.field for violation in caught.value.violations] == [
        "items[0].operation_id",
        "items[0].skus[0]",
    ]
    assert caught.value.reason == "INVALID_ARGUMENT"
    assert caught.value.metadata == {"field": "items[0].operation_id"}
    assert (
        caught.value.to_status().code
        == code_pb2.INVALID_ARGUMENT
        == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    )


def test_a_violation_of_the_whole_message_says_what_is_wrong() -> None:
    with pytest.raises(InvalidArgument) as caught:
        validate(pb.AuthorizeRequest())
    (violation,) = caught.value.violations
    assert isinstance(violation, Violation)
    assert violation.field == "items"
    assert violation.description


def test_a_rule_between_fields_names_the_one_that_breaks_it() -> None:
    message = CompletionParameters(model="m", prompts=[CompletionPrompt(text="a")] * 65, n=2)
    with pytest.raises(InvalidArgument) as caught:
        validate(CreateCompletionRequest(parameters=message))
    assert caught.value.metadata == {"field": "parameters.n"}


async def test_every_message_of_a_stream_is_checked() -> None:
    async def stream():
        yield request()
        yield pb.AuthorizeRequest()

    messages = validated(stream())
    assert await anext(messages) == request()
    with pytest.raises(InvalidArgument):
        await anext(messages)
