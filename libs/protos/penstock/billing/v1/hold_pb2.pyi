import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HoldState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HOLD_STATE_UNSPECIFIED: _ClassVar[HoldState]
    HOLD_STATE_OPEN: _ClassVar[HoldState]
    HOLD_STATE_SETTLED: _ClassVar[HoldState]
    HOLD_STATE_RELEASED: _ClassVar[HoldState]
    HOLD_STATE_EXPIRED: _ClassVar[HoldState]

class AttemptOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_OUTCOME_UNSPECIFIED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_SUCCEEDED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_FAILED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_CANCELLED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_CACHE_HIT: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_REFUSED: _ClassVar[AttemptOutcome]
HOLD_STATE_UNSPECIFIED: HoldState
HOLD_STATE_OPEN: HoldState
HOLD_STATE_SETTLED: HoldState
HOLD_STATE_RELEASED: HoldState
HOLD_STATE_EXPIRED: HoldState
ATTEMPT_OUTCOME_UNSPECIFIED: AttemptOutcome
ATTEMPT_OUTCOME_SUCCEEDED: AttemptOutcome
ATTEMPT_OUTCOME_FAILED: AttemptOutcome
ATTEMPT_OUTCOME_CANCELLED: AttemptOutcome
ATTEMPT_OUTCOME_CACHE_HIT: AttemptOutcome
ATTEMPT_OUTCOME_REFUSED: AttemptOutcome

class Hold(_message.Message):
    __slots__ = ("operation_id", "organization", "amount_nanos", "state", "create_time", "expire_time")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    organization: str
    amount_nanos: int
    state: HoldState
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, operation_id: _Optional[str] = ..., organization: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., state: _Optional[_Union[HoldState, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TokenUsage(_message.Message):
    __slots__ = ("input", "cache_read", "cache_write", "output", "reasoning")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int
    def __init__(self, input: _Optional[int] = ..., cache_read: _Optional[int] = ..., cache_write: _Optional[int] = ..., output: _Optional[int] = ..., reasoning: _Optional[int] = ...) -> None: ...

class AttemptUsage(_message.Message):
    __slots__ = ("attempt", "sku", "tokens", "endpoint", "outcome", "estimated", "avoided_cost_nanos")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SKU_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    AVOIDED_COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    sku: str
    tokens: TokenUsage
    endpoint: str
    outcome: AttemptOutcome
    estimated: bool
    avoided_cost_nanos: int
    def __init__(self, attempt: _Optional[int] = ..., sku: _Optional[str] = ..., tokens: _Optional[_Union[TokenUsage, _Mapping]] = ..., endpoint: _Optional[str] = ..., outcome: _Optional[_Union[AttemptOutcome, str]] = ..., estimated: _Optional[bool] = ..., avoided_cost_nanos: _Optional[int] = ...) -> None: ...

class TokenPrices(_message.Message):
    __slots__ = ("sku", "input_nanos_per_million", "cache_read_nanos_per_million", "cache_write_nanos_per_million", "output_nanos_per_million", "reasoning_nanos_per_million", "book_version")
    SKU_FIELD_NUMBER: _ClassVar[int]
    INPUT_NANOS_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_NANOS_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_NANOS_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_NANOS_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    REASONING_NANOS_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    BOOK_VERSION_FIELD_NUMBER: _ClassVar[int]
    sku: str
    input_nanos_per_million: int
    cache_read_nanos_per_million: int
    cache_write_nanos_per_million: int
    output_nanos_per_million: int
    reasoning_nanos_per_million: int
    book_version: str
    def __init__(self, sku: _Optional[str] = ..., input_nanos_per_million: _Optional[int] = ..., cache_read_nanos_per_million: _Optional[int] = ..., cache_write_nanos_per_million: _Optional[int] = ..., output_nanos_per_million: _Optional[int] = ..., reasoning_nanos_per_million: _Optional[int] = ..., book_version: _Optional[str] = ...) -> None: ...
