from penstock.cache.v1 import erasure_pb2 as _erasure_pb2
from penstock.guardrail.v1 import erasure_pb2 as _erasure_pb2_1
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PersonErasure(_message.Message):
    __slots__ = ("guardrail", "cache", "cache_entries", "kept")
    GUARDRAIL_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    CACHE_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    guardrail: _erasure_pb2_1.ErasureReceipt
    cache: _erasure_pb2.ForgottenReceipt
    cache_entries: int
    kept: _containers.RepeatedCompositeFieldContainer[KeptRecords]
    def __init__(self, guardrail: _Optional[_Union[_erasure_pb2_1.ErasureReceipt, _Mapping]] = ..., cache: _Optional[_Union[_erasure_pb2.ForgottenReceipt, _Mapping]] = ..., cache_entries: _Optional[int] = ..., kept: _Optional[_Iterable[_Union[KeptRecords, _Mapping]]] = ...) -> None: ...

class KeptRecords(_message.Message):
    __slots__ = ("service", "records", "reason")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    service: str
    records: str
    reason: str
    def __init__(self, service: _Optional[str] = ..., records: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
