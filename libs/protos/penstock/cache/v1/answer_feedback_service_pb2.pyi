from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from penstock.cache.v1 import cache_service_pb2 as _cache_service_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReportAnswerRequest(_message.Message):
    __slots__ = ("name", "verdict")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    name: str
    verdict: _cache_service_pb2.Verdict
    def __init__(self, name: _Optional[str] = ..., verdict: _Optional[_Union[_cache_service_pb2.Verdict, str]] = ...) -> None: ...

class ReportAnswerResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
