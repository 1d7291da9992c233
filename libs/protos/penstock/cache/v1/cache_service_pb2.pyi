import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from penstock.cache.v1 import cache_entry_pb2 as _cache_entry_pb2
from penstock.cache.v1 import erasure_pb2 as _erasure_pb2
from penstock.context.v1 import request_context_pb2 as _request_context_pb2
from penstock.guardrail.v1 import finding_pb2 as _finding_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AnswerOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ANSWER_OUTCOME_UNSPECIFIED: _ClassVar[AnswerOutcome]
    ANSWER_OUTCOME_COMPLETE: _ClassVar[AnswerOutcome]
    ANSWER_OUTCOME_TRUNCATED: _ClassVar[AnswerOutcome]
    ANSWER_OUTCOME_REFUSED: _ClassVar[AnswerOutcome]
    ANSWER_OUTCOME_ERRORED: _ClassVar[AnswerOutcome]
    ANSWER_OUTCOME_UNSETTLED: _ClassVar[AnswerOutcome]

class StoreRefusal(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STORE_REFUSAL_UNSPECIFIED: _ClassVar[StoreRefusal]
    STORE_REFUSAL_OUTCOME: _ClassVar[StoreRefusal]
    STORE_REFUSAL_CLASSIFICATION: _ClassVar[StoreRefusal]
    STORE_REFUSAL_TEMPERATURE: _ClassVar[StoreRefusal]
    STORE_REFUSAL_TOOLS: _ClassVar[StoreRefusal]

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_RIGHT: _ClassVar[Verdict]
    VERDICT_WRONG: _ClassVar[Verdict]
ANSWER_OUTCOME_UNSPECIFIED: AnswerOutcome
ANSWER_OUTCOME_COMPLETE: AnswerOutcome
ANSWER_OUTCOME_TRUNCATED: AnswerOutcome
ANSWER_OUTCOME_REFUSED: AnswerOutcome
ANSWER_OUTCOME_ERRORED: AnswerOutcome
ANSWER_OUTCOME_UNSETTLED: AnswerOutcome
STORE_REFUSAL_UNSPECIFIED: StoreRefusal
STORE_REFUSAL_OUTCOME: StoreRefusal
STORE_REFUSAL_CLASSIFICATION: StoreRefusal
STORE_REFUSAL_TEMPERATURE: StoreRefusal
STORE_REFUSAL_TOOLS: StoreRefusal
VERDICT_UNSPECIFIED: Verdict
VERDICT_RIGHT: Verdict
VERDICT_WRONG: Verdict

class LookupRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[LookupItem]
    def __init__(self, items: _Optional[_Iterable[_Union[LookupItem, _Mapping]]] = ...) -> None: ...

class LookupItem(_message.Message):
    __slots__ = ("context", "partition", "conversation_digest", "query_text", "history_digest", "max_age", "flight_id", "predictions_max", "exact_only", "ahead")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    QUERY_TEXT_FIELD_NUMBER: _ClassVar[int]
    HISTORY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    FLIGHT_ID_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_MAX_FIELD_NUMBER: _ClassVar[int]
    EXACT_ONLY_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    partition: _cache_entry_pb2.Partition
    conversation_digest: bytes
    query_text: str
    history_digest: bytes
    max_age: _duration_pb2.Duration
    flight_id: str
    predictions_max: int
    exact_only: bool
    ahead: bool
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., partition: _Optional[_Union[_cache_entry_pb2.Partition, _Mapping]] = ..., conversation_digest: _Optional[bytes] = ..., query_text: _Optional[str] = ..., history_digest: _Optional[bytes] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., flight_id: _Optional[str] = ..., predictions_max: _Optional[int] = ..., exact_only: _Optional[bool] = ..., ahead: _Optional[bool] = ...) -> None: ...

class LookupResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[LookupResult]
    def __init__(self, results: _Optional[_Iterable[_Union[LookupResult, _Mapping]]] = ...) -> None: ...

class LookupResult(_message.Message):
    __slots__ = ("status", "hit", "shadow", "flight", "predictions")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HIT_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    FLIGHT_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    hit: CacheHit
    shadow: CacheHit
    flight: Flight
    predictions: _containers.RepeatedCompositeFieldContainer[Prediction]
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., hit: _Optional[_Union[CacheHit, _Mapping]] = ..., shadow: _Optional[_Union[CacheHit, _Mapping]] = ..., flight: _Optional[_Union[Flight, _Mapping]] = ..., predictions: _Optional[_Iterable[_Union[Prediction, _Mapping]]] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("query_text", "probability")
    QUERY_TEXT_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    query_text: str
    probability: float
    def __init__(self, query_text: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class Flight(_message.Message):
    __slots__ = ("leader_flight_id", "lease_expire_time")
    LEADER_FLIGHT_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    leader_flight_id: str
    lease_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, leader_flight_id: _Optional[str] = ..., lease_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AwaitFlightRequest(_message.Message):
    __slots__ = ("item",)
    ITEM_FIELD_NUMBER: _ClassVar[int]
    item: LookupItem
    def __init__(self, item: _Optional[_Union[LookupItem, _Mapping]] = ...) -> None: ...

class AwaitFlightResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: LookupResult
    def __init__(self, result: _Optional[_Union[LookupResult, _Mapping]] = ...) -> None: ...

class FlightReference(_message.Message):
    __slots__ = ("context", "flight_id")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FLIGHT_ID_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    flight_id: str
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., flight_id: _Optional[str] = ...) -> None: ...

class RenewFlightsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[FlightReference]
    def __init__(self, items: _Optional[_Iterable[_Union[FlightReference, _Mapping]]] = ...) -> None: ...

class RenewFlightsResponse(_message.Message):
    __slots__ = ("leads",)
    LEADS_FIELD_NUMBER: _ClassVar[int]
    leads: _containers.RepeatedScalarFieldContainer[bool]
    def __init__(self, leads: _Optional[_Iterable[bool]] = ...) -> None: ...

class EndFlightsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[FlightReference]
    def __init__(self, items: _Optional[_Iterable[_Union[FlightReference, _Mapping]]] = ...) -> None: ...

class EndFlightsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CacheHit(_message.Message):
    __slots__ = ("answer", "tier", "similarity", "store_time", "entry_id", "confidence")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    STORE_TIME_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    answer: _cache_entry_pb2.CachedAnswer
    tier: _cache_entry_pb2.CacheTier
    similarity: float
    store_time: _timestamp_pb2.Timestamp
    entry_id: str
    confidence: float
    def __init__(self, answer: _Optional[_Union[_cache_entry_pb2.CachedAnswer, _Mapping]] = ..., tier: _Optional[_Union[_cache_entry_pb2.CacheTier, str]] = ..., similarity: _Optional[float] = ..., store_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., entry_id: _Optional[str] = ..., confidence: _Optional[float] = ...) -> None: ...

class StoreRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[StoreItem]
    def __init__(self, items: _Optional[_Iterable[_Union[StoreItem, _Mapping]]] = ...) -> None: ...

class StoreItem(_message.Message):
    __slots__ = ("context", "partition", "conversation_digest", "query_text", "history_digest", "answer", "ttl", "tags", "flight_id", "outcome", "classification", "temperature", "tools_offered", "ahead")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    QUERY_TEXT_FIELD_NUMBER: _ClassVar[int]
    HISTORY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    FLIGHT_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CLASSIFICATION_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOOLS_OFFERED_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    partition: _cache_entry_pb2.Partition
    conversation_digest: bytes
    query_text: str
    history_digest: bytes
    answer: _cache_entry_pb2.CachedAnswer
    ttl: _duration_pb2.Duration
    tags: _containers.RepeatedScalarFieldContainer[str]
    flight_id: str
    outcome: AnswerOutcome
    classification: _finding_pb2.Classification
    temperature: float
    tools_offered: bool
    ahead: bool
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., partition: _Optional[_Union[_cache_entry_pb2.Partition, _Mapping]] = ..., conversation_digest: _Optional[bytes] = ..., query_text: _Optional[str] = ..., history_digest: _Optional[bytes] = ..., answer: _Optional[_Union[_cache_entry_pb2.CachedAnswer, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., tags: _Optional[_Iterable[str]] = ..., flight_id: _Optional[str] = ..., outcome: _Optional[_Union[AnswerOutcome, str]] = ..., classification: _Optional[_Union[_finding_pb2.Classification, str]] = ..., temperature: _Optional[float] = ..., tools_offered: _Optional[bool] = ..., ahead: _Optional[bool] = ...) -> None: ...

class StoreResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[StoreResult]
    def __init__(self, results: _Optional[_Iterable[_Union[StoreResult, _Mapping]]] = ...) -> None: ...

class StoreResult(_message.Message):
    __slots__ = ("status", "entry_id", "refusal")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    entry_id: str
    refusal: StoreRefusal
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., entry_id: _Optional[str] = ..., refusal: _Optional[_Union[StoreRefusal, str]] = ...) -> None: ...

class FeedbackRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[FeedbackItem]
    def __init__(self, items: _Optional[_Iterable[_Union[FeedbackItem, _Mapping]]] = ...) -> None: ...

class FeedbackItem(_message.Message):
    __slots__ = ("context", "entry_id", "verdict", "comparison")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    entry_id: str
    verdict: Verdict
    comparison: Comparison
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., entry_id: _Optional[str] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., comparison: _Optional[_Union[Comparison, _Mapping]] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("kept_text", "generated_text")
    KEPT_TEXT_FIELD_NUMBER: _ClassVar[int]
    GENERATED_TEXT_FIELD_NUMBER: _ClassVar[int]
    kept_text: str
    generated_text: str
    def __init__(self, kept_text: _Optional[str] = ..., generated_text: _Optional[str] = ...) -> None: ...

class FeedbackResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[FeedbackResult]
    def __init__(self, results: _Optional[_Iterable[_Union[FeedbackResult, _Mapping]]] = ...) -> None: ...

class FeedbackResult(_message.Message):
    __slots__ = ("status", "verdict")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    verdict: Verdict
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., verdict: _Optional[_Union[Verdict, str]] = ...) -> None: ...

class InvalidateRequest(_message.Message):
    __slots__ = ("organization", "entry_id", "tag", "model", "user", "prompt_version", "everything")
    ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    PROMPT_VERSION_FIELD_NUMBER: _ClassVar[int]
    EVERYTHING_FIELD_NUMBER: _ClassVar[int]
    organization: str
    entry_id: str
    tag: str
    model: str
    user: str
    prompt_version: str
    everything: bool
    def __init__(self, organization: _Optional[str] = ..., entry_id: _Optional[str] = ..., tag: _Optional[str] = ..., model: _Optional[str] = ..., user: _Optional[str] = ..., prompt_version: _Optional[str] = ..., everything: _Optional[bool] = ...) -> None: ...

class InvalidateResponse(_message.Message):
    __slots__ = ("entries", "receipt")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    entries: int
    receipt: _erasure_pb2.ForgottenReceipt
    def __init__(self, entries: _Optional[int] = ..., receipt: _Optional[_Union[_erasure_pb2.ForgottenReceipt, _Mapping]] = ...) -> None: ...

class VerifyErasureRequest(_message.Message):
    __slots__ = ("receipt", "erased")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    ERASED_FIELD_NUMBER: _ClassVar[int]
    receipt: _erasure_pb2.ForgottenReceipt
    erased: InvalidateRequest
    def __init__(self, receipt: _Optional[_Union[_erasure_pb2.ForgottenReceipt, _Mapping]] = ..., erased: _Optional[_Union[InvalidateRequest, _Mapping]] = ...) -> None: ...

class VerifyErasureResponse(_message.Message):
    __slots__ = ("signature_holds", "chain_holds", "selector_holds")
    SIGNATURE_HOLDS_FIELD_NUMBER: _ClassVar[int]
    CHAIN_HOLDS_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_HOLDS_FIELD_NUMBER: _ClassVar[int]
    signature_holds: bool
    chain_holds: bool
    selector_holds: bool
    def __init__(self, signature_holds: _Optional[bool] = ..., chain_holds: _Optional[bool] = ..., selector_holds: _Optional[bool] = ...) -> None: ...
