import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from penstock.billing.v1 import hold_pb2 as _hold_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UsageDimension(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    USAGE_DIMENSION_UNSPECIFIED: _ClassVar[UsageDimension]
    USAGE_DIMENSION_MODEL: _ClassVar[UsageDimension]
    USAGE_DIMENSION_USER: _ClassVar[UsageDimension]
    USAGE_DIMENSION_TEAM: _ClassVar[UsageDimension]
    USAGE_DIMENSION_API_KEY: _ClassVar[UsageDimension]
    USAGE_DIMENSION_ENDPOINT: _ClassVar[UsageDimension]
    USAGE_DIMENSION_OUTCOME: _ClassVar[UsageDimension]
    USAGE_DIMENSION_HOUR: _ClassVar[UsageDimension]
    USAGE_DIMENSION_DAY: _ClassVar[UsageDimension]
    USAGE_DIMENSION_TAG: _ClassVar[UsageDimension]
USAGE_DIMENSION_UNSPECIFIED: UsageDimension
USAGE_DIMENSION_MODEL: UsageDimension
USAGE_DIMENSION_USER: UsageDimension
USAGE_DIMENSION_TEAM: UsageDimension
USAGE_DIMENSION_API_KEY: UsageDimension
USAGE_DIMENSION_ENDPOINT: UsageDimension
USAGE_DIMENSION_OUTCOME: UsageDimension
USAGE_DIMENSION_HOUR: UsageDimension
USAGE_DIMENSION_DAY: UsageDimension
USAGE_DIMENSION_TAG: UsageDimension

class UsageRecord(_message.Message):
    __slots__ = ("operation_id", "attempt", "organization", "user", "team", "api_key", "model", "sku", "endpoint", "operation", "tokens", "cost_nanos", "avoided_cost_nanos", "outcome", "estimated", "late", "end_time", "book_version", "metadata", "correction", "reversal")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SKU_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    AVOIDED_COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    BOOK_VERSION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CORRECTION_FIELD_NUMBER: _ClassVar[int]
    REVERSAL_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    attempt: int
    organization: str
    user: str
    team: str
    api_key: str
    model: str
    sku: str
    endpoint: str
    operation: str
    tokens: _hold_pb2.TokenUsage
    cost_nanos: int
    avoided_cost_nanos: int
    outcome: _hold_pb2.AttemptOutcome
    estimated: bool
    late: bool
    end_time: _timestamp_pb2.Timestamp
    book_version: str
    metadata: _containers.ScalarMap[str, str]
    correction: int
    reversal: bool
    def __init__(self, operation_id: _Optional[str] = ..., attempt: _Optional[int] = ..., organization: _Optional[str] = ..., user: _Optional[str] = ..., team: _Optional[str] = ..., api_key: _Optional[str] = ..., model: _Optional[str] = ..., sku: _Optional[str] = ..., endpoint: _Optional[str] = ..., operation: _Optional[str] = ..., tokens: _Optional[_Union[_hold_pb2.TokenUsage, _Mapping]] = ..., cost_nanos: _Optional[int] = ..., avoided_cost_nanos: _Optional[int] = ..., outcome: _Optional[_Union[_hold_pb2.AttemptOutcome, str]] = ..., estimated: _Optional[bool] = ..., late: _Optional[bool] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., book_version: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., correction: _Optional[int] = ..., reversal: _Optional[bool] = ...) -> None: ...

class UsageRow(_message.Message):
    __slots__ = ("group", "operations", "attempts", "tokens", "cost_nanos", "avoided_cost_nanos")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    AVOIDED_COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    group: _containers.RepeatedScalarFieldContainer[str]
    operations: int
    attempts: int
    tokens: TokenTotals
    cost_nanos: int
    avoided_cost_nanos: int
    def __init__(self, group: _Optional[_Iterable[str]] = ..., operations: _Optional[int] = ..., attempts: _Optional[int] = ..., tokens: _Optional[_Union[TokenTotals, _Mapping]] = ..., cost_nanos: _Optional[int] = ..., avoided_cost_nanos: _Optional[int] = ...) -> None: ...

class TokenTotals(_message.Message):
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
