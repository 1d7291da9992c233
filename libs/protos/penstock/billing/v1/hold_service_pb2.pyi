import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from penstock.billing.v1 import hold_pb2 as _hold_pb2
from penstock.billing.v1 import limit_pb2 as _limit_pb2
from penstock.context.v1 import request_context_pb2 as _request_context_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuthorizeRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[AuthorizeItem]
    def __init__(self, items: _Optional[_Iterable[_Union[AuthorizeItem, _Mapping]]] = ...) -> None: ...

class AuthorizeItem(_message.Message):
    __slots__ = ("context", "operation_id", "skus", "prompt_tokens", "max_tokens", "n", "lease", "model", "holder")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    SKUS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    operation_id: str
    skus: _containers.RepeatedScalarFieldContainer[str]
    prompt_tokens: int
    max_tokens: int
    n: int
    lease: _duration_pb2.Duration
    model: str
    holder: str
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., operation_id: _Optional[str] = ..., skus: _Optional[_Iterable[str]] = ..., prompt_tokens: _Optional[int] = ..., max_tokens: _Optional[int] = ..., n: _Optional[int] = ..., lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., model: _Optional[str] = ..., holder: _Optional[str] = ...) -> None: ...

class AuthorizeResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[AuthorizeResult]
    def __init__(self, results: _Optional[_Iterable[_Union[AuthorizeResult, _Mapping]]] = ...) -> None: ...

class AuthorizeResult(_message.Message):
    __slots__ = ("status", "hold", "max_tokens", "clamped", "prices", "rate_limits")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CLAMPED_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    hold: _hold_pb2.Hold
    max_tokens: int
    clamped: bool
    prices: _containers.RepeatedCompositeFieldContainer[_hold_pb2.TokenPrices]
    rate_limits: _containers.RepeatedCompositeFieldContainer[_limit_pb2.RateLimit]
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., hold: _Optional[_Union[_hold_pb2.Hold, _Mapping]] = ..., max_tokens: _Optional[int] = ..., clamped: _Optional[bool] = ..., prices: _Optional[_Iterable[_Union[_hold_pb2.TokenPrices, _Mapping]]] = ..., rate_limits: _Optional[_Iterable[_Union[_limit_pb2.RateLimit, _Mapping]]] = ...) -> None: ...

class ExtendRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ExtendItem]
    def __init__(self, items: _Optional[_Iterable[_Union[ExtendItem, _Mapping]]] = ...) -> None: ...

class ExtendItem(_message.Message):
    __slots__ = ("context", "operation_id", "expire_time", "amount_nanos", "max_tokens")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    operation_id: str
    expire_time: _timestamp_pb2.Timestamp
    amount_nanos: int
    max_tokens: int
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., operation_id: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., amount_nanos: _Optional[int] = ..., max_tokens: _Optional[int] = ...) -> None: ...

class ExtendResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ExtendResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ExtendResult, _Mapping]]] = ...) -> None: ...

class ExtendResult(_message.Message):
    __slots__ = ("status", "hold", "max_tokens", "clamped")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CLAMPED_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    hold: _hold_pb2.Hold
    max_tokens: int
    clamped: bool
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., hold: _Optional[_Union[_hold_pb2.Hold, _Mapping]] = ..., max_tokens: _Optional[int] = ..., clamped: _Optional[bool] = ...) -> None: ...

class SettleRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[SettleItem]
    def __init__(self, items: _Optional[_Iterable[_Union[SettleItem, _Mapping]]] = ...) -> None: ...

class SettleItem(_message.Message):
    __slots__ = ("context", "operation_id", "attempts", "end_time", "model", "operation", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    operation_id: str
    attempts: _containers.RepeatedCompositeFieldContainer[_hold_pb2.AttemptUsage]
    end_time: _timestamp_pb2.Timestamp
    model: str
    operation: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., operation_id: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[_hold_pb2.AttemptUsage, _Mapping]]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., model: _Optional[str] = ..., operation: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SettleResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SettleResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SettleResult, _Mapping]]] = ...) -> None: ...

class SettleResult(_message.Message):
    __slots__ = ("status", "cost_nanos", "late")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    cost_nanos: int
    late: bool
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., cost_nanos: _Optional[int] = ..., late: _Optional[bool] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ReleaseItem]
    def __init__(self, items: _Optional[_Iterable[_Union[ReleaseItem, _Mapping]]] = ...) -> None: ...

class ReleaseItem(_message.Message):
    __slots__ = ("context", "operation_id")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    operation_id: str
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., operation_id: _Optional[str] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ReleaseResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ReleaseResult, _Mapping]]] = ...) -> None: ...

class ReleaseResult(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class ClaimLapsedHoldsRequest(_message.Message):
    __slots__ = ("items_max", "claim")
    ITEMS_MAX_FIELD_NUMBER: _ClassVar[int]
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    items_max: int
    claim: _duration_pb2.Duration
    def __init__(self, items_max: _Optional[int] = ..., claim: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ClaimLapsedHoldsResponse(_message.Message):
    __slots__ = ("holds",)
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    holds: _containers.RepeatedCompositeFieldContainer[LapsedHold]
    def __init__(self, holds: _Optional[_Iterable[_Union[LapsedHold, _Mapping]]] = ...) -> None: ...

class LapsedHold(_message.Message):
    __slots__ = ("context", "operation_id", "skus", "model", "holder", "create_time", "lapse_time", "expire_time")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    SKUS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAPSE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    operation_id: str
    skus: _containers.RepeatedScalarFieldContainer[str]
    model: str
    holder: str
    create_time: _timestamp_pb2.Timestamp
    lapse_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., operation_id: _Optional[str] = ..., skus: _Optional[_Iterable[str]] = ..., model: _Optional[str] = ..., holder: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lapse_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
