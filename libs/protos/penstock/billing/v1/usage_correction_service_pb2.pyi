from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from penstock.billing.v1 import hold_pb2 as _hold_pb2
from penstock.billing.v1 import usage_correction_pb2 as _usage_correction_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateUsageCorrectionRequest(_message.Message):
    __slots__ = ("parent", "operation_id", "attempts", "reason", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    operation_id: str
    attempts: _containers.RepeatedCompositeFieldContainer[_hold_pb2.AttemptUsage]
    reason: str
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., operation_id: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[_hold_pb2.AttemptUsage, _Mapping]]] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateUsageCorrectionResponse(_message.Message):
    __slots__ = ("usage_correction",)
    USAGE_CORRECTION_FIELD_NUMBER: _ClassVar[int]
    usage_correction: _usage_correction_pb2.UsageCorrection
    def __init__(self, usage_correction: _Optional[_Union[_usage_correction_pb2.UsageCorrection, _Mapping]] = ...) -> None: ...

class ListUsageCorrectionsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListUsageCorrectionsResponse(_message.Message):
    __slots__ = ("usage_corrections", "next_page_token")
    USAGE_CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    usage_corrections: _containers.RepeatedCompositeFieldContainer[_usage_correction_pb2.UsageCorrection]
    next_page_token: str
    def __init__(self, usage_corrections: _Optional[_Iterable[_Union[_usage_correction_pb2.UsageCorrection, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
