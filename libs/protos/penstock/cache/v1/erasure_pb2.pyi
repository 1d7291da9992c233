import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from penstock.cache.v1 import cache_entry_pb2 as _cache_entry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ForgottenReceipt(_message.Message):
    __slots__ = ("sequence", "erase_time", "selector_digest", "counts", "previous_digest", "public_key", "signature")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ERASE_TIME_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_DIGEST_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    erase_time: _timestamp_pb2.Timestamp
    selector_digest: bytes
    counts: _containers.RepeatedCompositeFieldContainer[TierCount]
    previous_digest: bytes
    public_key: bytes
    signature: bytes
    def __init__(self, sequence: _Optional[int] = ..., erase_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., selector_digest: _Optional[bytes] = ..., counts: _Optional[_Iterable[_Union[TierCount, _Mapping]]] = ..., previous_digest: _Optional[bytes] = ..., public_key: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class TierCount(_message.Message):
    __slots__ = ("tier", "entries")
    TIER_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    tier: _cache_entry_pb2.CacheTier
    entries: int
    def __init__(self, tier: _Optional[_Union[_cache_entry_pb2.CacheTier, str]] = ..., entries: _Optional[int] = ...) -> None: ...
