from penstock.billing.v1 import limit_pb2 as _limit_pb2
from penstock.cache.v1 import cache_entry_pb2 as _cache_entry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CacheStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CACHE_STATUS_UNSPECIFIED: _ClassVar[CacheStatus]
    CACHE_STATUS_MISS: _ClassVar[CacheStatus]
    CACHE_STATUS_EXACT_HIT: _ClassVar[CacheStatus]
    CACHE_STATUS_SEMANTIC_HIT: _ClassVar[CacheStatus]
    CACHE_STATUS_BYPASS: _ClassVar[CacheStatus]
CACHE_STATUS_UNSPECIFIED: CacheStatus
CACHE_STATUS_MISS: CacheStatus
CACHE_STATUS_EXACT_HIT: CacheStatus
CACHE_STATUS_SEMANTIC_HIT: CacheStatus
CACHE_STATUS_BYPASS: CacheStatus

class Receipt(_message.Message):
    __slots__ = ("request_id", "trace_id", "cost_nanos", "avoided_cost_nanos", "cache", "cache_age_seconds", "endpoint", "attempts", "clamped_max_tokens", "redacted_types", "cache_similarity", "cache_entry_id", "rate_limits", "cache_tier")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    AVOIDED_COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    CACHE_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CLAMPED_MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REDACTED_TYPES_FIELD_NUMBER: _ClassVar[int]
    CACHE_SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    CACHE_ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    CACHE_TIER_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    trace_id: str
    cost_nanos: int
    avoided_cost_nanos: int
    cache: CacheStatus
    cache_age_seconds: int
    endpoint: str
    attempts: int
    clamped_max_tokens: int
    redacted_types: _containers.RepeatedScalarFieldContainer[str]
    cache_similarity: float
    cache_entry_id: str
    rate_limits: _containers.RepeatedCompositeFieldContainer[_limit_pb2.RateLimit]
    cache_tier: _cache_entry_pb2.CacheTier
    def __init__(self, request_id: _Optional[str] = ..., trace_id: _Optional[str] = ..., cost_nanos: _Optional[int] = ..., avoided_cost_nanos: _Optional[int] = ..., cache: _Optional[_Union[CacheStatus, str]] = ..., cache_age_seconds: _Optional[int] = ..., endpoint: _Optional[str] = ..., attempts: _Optional[int] = ..., clamped_max_tokens: _Optional[int] = ..., redacted_types: _Optional[_Iterable[str]] = ..., cache_similarity: _Optional[float] = ..., cache_entry_id: _Optional[str] = ..., rate_limits: _Optional[_Iterable[_Union[_limit_pb2.RateLimit, _Mapping]]] = ..., cache_tier: _Optional[_Union[_cache_entry_pb2.CacheTier, str]] = ...) -> None: ...
