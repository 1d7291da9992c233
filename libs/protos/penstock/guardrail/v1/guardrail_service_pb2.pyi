from buf.validate import validate_pb2 as _validate_pb2
from google.rpc import status_pb2 as _status_pb2
from penstock.context.v1 import request_context_pb2 as _request_context_pb2
from penstock.guardrail.v1 import finding_pb2 as _finding_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InspectRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[InspectItem]
    def __init__(self, items: _Optional[_Iterable[_Union[InspectItem, _Mapping]]] = ...) -> None: ...

class InspectItem(_message.Message):
    __slots__ = ("context", "direction", "segments", "redaction_session", "operation")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    REDACTION_SESSION_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    direction: _finding_pb2.Direction
    segments: _containers.RepeatedCompositeFieldContainer[_finding_pb2.Segment]
    redaction_session: str
    operation: str
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., direction: _Optional[_Union[_finding_pb2.Direction, str]] = ..., segments: _Optional[_Iterable[_Union[_finding_pb2.Segment, _Mapping]]] = ..., redaction_session: _Optional[str] = ..., operation: _Optional[str] = ...) -> None: ...

class InspectResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[InspectResult]
    def __init__(self, results: _Optional[_Iterable[_Union[InspectResult, _Mapping]]] = ...) -> None: ...

class InspectResult(_message.Message):
    __slots__ = ("status", "action", "redactions", "findings", "classification", "redaction_session", "policy_version", "regions")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REDACTIONS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    CLASSIFICATION_FIELD_NUMBER: _ClassVar[int]
    REDACTION_SESSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    action: _finding_pb2.Action
    redactions: _containers.RepeatedCompositeFieldContainer[_finding_pb2.Redaction]
    findings: _containers.RepeatedCompositeFieldContainer[_finding_pb2.Finding]
    classification: _finding_pb2.Classification
    redaction_session: str
    policy_version: str
    regions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., action: _Optional[_Union[_finding_pb2.Action, str]] = ..., redactions: _Optional[_Iterable[_Union[_finding_pb2.Redaction, _Mapping]]] = ..., findings: _Optional[_Iterable[_Union[_finding_pb2.Finding, _Mapping]]] = ..., classification: _Optional[_Union[_finding_pb2.Classification, str]] = ..., redaction_session: _Optional[str] = ..., policy_version: _Optional[str] = ..., regions: _Optional[_Iterable[str]] = ...) -> None: ...

class InspectStreamRequest(_message.Message):
    __slots__ = ("open", "delta", "finish")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    open: InspectStreamOpen
    delta: InspectStreamDelta
    finish: InspectStreamFinish
    def __init__(self, open: _Optional[_Union[InspectStreamOpen, _Mapping]] = ..., delta: _Optional[_Union[InspectStreamDelta, _Mapping]] = ..., finish: _Optional[_Union[InspectStreamFinish, _Mapping]] = ...) -> None: ...

class InspectStreamOpen(_message.Message):
    __slots__ = ("context", "direction", "redaction_session")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    REDACTION_SESSION_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    direction: _finding_pb2.Direction
    redaction_session: str
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., direction: _Optional[_Union[_finding_pb2.Direction, str]] = ..., redaction_session: _Optional[str] = ...) -> None: ...

class InspectStreamDelta(_message.Message):
    __slots__ = ("choice_index", "text")
    CHOICE_INDEX_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    choice_index: int
    text: str
    def __init__(self, choice_index: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class InspectStreamFinish(_message.Message):
    __slots__ = ("choice_index",)
    CHOICE_INDEX_FIELD_NUMBER: _ClassVar[int]
    choice_index: int
    def __init__(self, choice_index: _Optional[int] = ...) -> None: ...

class InspectStreamResponse(_message.Message):
    __slots__ = ("choice_index", "text", "findings", "action", "held_characters", "finished")
    CHOICE_INDEX_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    HELD_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    choice_index: int
    text: str
    findings: _containers.RepeatedCompositeFieldContainer[_finding_pb2.Finding]
    action: _finding_pb2.Action
    held_characters: int
    finished: bool
    def __init__(self, choice_index: _Optional[int] = ..., text: _Optional[str] = ..., findings: _Optional[_Iterable[_Union[_finding_pb2.Finding, _Mapping]]] = ..., action: _Optional[_Union[_finding_pb2.Action, str]] = ..., held_characters: _Optional[int] = ..., finished: _Optional[bool] = ...) -> None: ...
