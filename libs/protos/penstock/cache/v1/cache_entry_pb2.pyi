from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SharingScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHARING_SCOPE_UNSPECIFIED: _ClassVar[SharingScope]
    SHARING_SCOPE_USER: _ClassVar[SharingScope]
    SHARING_SCOPE_TEAM: _ClassVar[SharingScope]
    SHARING_SCOPE_ORGANIZATION: _ClassVar[SharingScope]

class CacheTier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CACHE_TIER_UNSPECIFIED: _ClassVar[CacheTier]
    CACHE_TIER_L1: _ClassVar[CacheTier]
    CACHE_TIER_L2: _ClassVar[CacheTier]
    CACHE_TIER_L3: _ClassVar[CacheTier]
    CACHE_TIER_L4: _ClassVar[CacheTier]
SHARING_SCOPE_UNSPECIFIED: SharingScope
SHARING_SCOPE_USER: SharingScope
SHARING_SCOPE_TEAM: SharingScope
SHARING_SCOPE_ORGANIZATION: SharingScope
CACHE_TIER_UNSPECIFIED: CacheTier
CACHE_TIER_L1: CacheTier
CACHE_TIER_L2: CacheTier
CACHE_TIER_L3: CacheTier
CACHE_TIER_L4: CacheTier

class Partition(_message.Message):
    __slots__ = ("organization", "scope", "scope_id", "operation", "model", "conditions_digest", "instructions_digest", "locale", "policy_version", "prompt_version")
    ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTIONS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LOCALE_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROMPT_VERSION_FIELD_NUMBER: _ClassVar[int]
    organization: str
    scope: SharingScope
    scope_id: str
    operation: str
    model: str
    conditions_digest: bytes
    instructions_digest: bytes
    locale: str
    policy_version: str
    prompt_version: str
    def __init__(self, organization: _Optional[str] = ..., scope: _Optional[_Union[SharingScope, str]] = ..., scope_id: _Optional[str] = ..., operation: _Optional[str] = ..., model: _Optional[str] = ..., conditions_digest: _Optional[bytes] = ..., instructions_digest: _Optional[bytes] = ..., locale: _Optional[str] = ..., policy_version: _Optional[str] = ..., prompt_version: _Optional[str] = ...) -> None: ...

class CachedAnswer(_message.Message):
    __slots__ = ("body", "cost_nanos", "generation_ms")
    BODY_FIELD_NUMBER: _ClassVar[int]
    COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_MS_FIELD_NUMBER: _ClassVar[int]
    body: bytes
    cost_nanos: int
    generation_ms: int
    def __init__(self, body: _Optional[bytes] = ..., cost_nanos: _Optional[int] = ..., generation_ms: _Optional[int] = ...) -> None: ...
