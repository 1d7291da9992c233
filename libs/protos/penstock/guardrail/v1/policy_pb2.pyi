import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from penstock.guardrail.v1 import finding_pb2 as _finding_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PolicyMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLICY_MODE_UNSPECIFIED: _ClassVar[PolicyMode]
    POLICY_MODE_SHADOW: _ClassVar[PolicyMode]
    POLICY_MODE_ENFORCED: _ClassVar[PolicyMode]
POLICY_MODE_UNSPECIFIED: PolicyMode
POLICY_MODE_SHADOW: PolicyMode
POLICY_MODE_ENFORCED: PolicyMode

class Policy(_message.Message):
    __slots__ = ("name", "display_name", "mode", "profiles", "rules", "grants", "residencies", "confidence_min", "nothing_found", "retention_days", "revision", "create_time", "update_time", "recognizers", "topics")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    RESIDENCIES_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_MIN_FIELD_NUMBER: _ClassVar[int]
    NOTHING_FOUND_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    RECOGNIZERS_FIELD_NUMBER: _ClassVar[int]
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    mode: PolicyMode
    profiles: _containers.RepeatedScalarFieldContainer[str]
    rules: _containers.RepeatedCompositeFieldContainer[PolicyRule]
    grants: _containers.RepeatedCompositeFieldContainer[PolicyGrant]
    residencies: _containers.RepeatedCompositeFieldContainer[PolicyResidency]
    confidence_min: float
    nothing_found: _finding_pb2.Classification
    retention_days: int
    revision: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    recognizers: _containers.RepeatedCompositeFieldContainer[PolicyRecognizer]
    topics: _containers.RepeatedCompositeFieldContainer[PolicyTopic]
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., mode: _Optional[_Union[PolicyMode, str]] = ..., profiles: _Optional[_Iterable[str]] = ..., rules: _Optional[_Iterable[_Union[PolicyRule, _Mapping]]] = ..., grants: _Optional[_Iterable[_Union[PolicyGrant, _Mapping]]] = ..., residencies: _Optional[_Iterable[_Union[PolicyResidency, _Mapping]]] = ..., confidence_min: _Optional[float] = ..., nothing_found: _Optional[_Union[_finding_pb2.Classification, str]] = ..., retention_days: _Optional[int] = ..., revision: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recognizers: _Optional[_Iterable[_Union[PolicyRecognizer, _Mapping]]] = ..., topics: _Optional[_Iterable[_Union[PolicyTopic, _Mapping]]] = ...) -> None: ...

class PolicyRule(_message.Message):
    __slots__ = ("type", "action", "replacement", "classification", "confidence_min")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REPLACEMENT_FIELD_NUMBER: _ClassVar[int]
    CLASSIFICATION_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_MIN_FIELD_NUMBER: _ClassVar[int]
    type: str
    action: _finding_pb2.Action
    replacement: _finding_pb2.Replacement
    classification: _finding_pb2.Classification
    confidence_min: float
    def __init__(self, type: _Optional[str] = ..., action: _Optional[_Union[_finding_pb2.Action, str]] = ..., replacement: _Optional[_Union[_finding_pb2.Replacement, str]] = ..., classification: _Optional[_Union[_finding_pb2.Classification, str]] = ..., confidence_min: _Optional[float] = ...) -> None: ...

class PolicyRecognizer(_message.Message):
    __slots__ = ("name", "type", "pattern", "ignore_case", "context", "confidence")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CASE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    pattern: str
    ignore_case: bool
    context: _containers.RepeatedScalarFieldContainer[str]
    confidence: float
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., pattern: _Optional[str] = ..., ignore_case: _Optional[bool] = ..., context: _Optional[_Iterable[str]] = ..., confidence: _Optional[float] = ...) -> None: ...

class PolicyTopic(_message.Message):
    __slots__ = ("name", "terms")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    name: str
    terms: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., terms: _Optional[_Iterable[str]] = ...) -> None: ...

class PolicyGrant(_message.Message):
    __slots__ = ("role", "operation", "classification_max")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    CLASSIFICATION_MAX_FIELD_NUMBER: _ClassVar[int]
    role: str
    operation: str
    classification_max: _finding_pb2.Classification
    def __init__(self, role: _Optional[str] = ..., operation: _Optional[str] = ..., classification_max: _Optional[_Union[_finding_pb2.Classification, str]] = ...) -> None: ...

class PolicyResidency(_message.Message):
    __slots__ = ("classification", "regions")
    CLASSIFICATION_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    classification: _finding_pb2.Classification
    regions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, classification: _Optional[_Union[_finding_pb2.Classification, str]] = ..., regions: _Optional[_Iterable[str]] = ...) -> None: ...

class PolicyDifference(_message.Message):
    __slots__ = ("subject", "before", "after")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    subject: str
    before: str
    after: str
    def __init__(self, subject: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class PolicyReplay(_message.Message):
    __slots__ = ("decisions", "changed_decisions", "unreadable_entries", "first_index", "first_time", "changes", "blind_subjects")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_DECISIONS_FIELD_NUMBER: _ClassVar[int]
    UNREADABLE_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    BLIND_SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    decisions: int
    changed_decisions: int
    unreadable_entries: int
    first_index: int
    first_time: _timestamp_pb2.Timestamp
    changes: _containers.RepeatedCompositeFieldContainer[PolicyReplayChange]
    blind_subjects: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, decisions: _Optional[int] = ..., changed_decisions: _Optional[int] = ..., unreadable_entries: _Optional[int] = ..., first_index: _Optional[int] = ..., first_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[PolicyReplayChange, _Mapping]]] = ..., blind_subjects: _Optional[_Iterable[str]] = ...) -> None: ...

class PolicyReplayChange(_message.Message):
    __slots__ = ("subject", "before", "after", "decisions", "examples")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    subject: str
    before: str
    after: str
    decisions: int
    examples: _containers.RepeatedCompositeFieldContainer[PolicyReplayExample]
    def __init__(self, subject: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., decisions: _Optional[int] = ..., examples: _Optional[_Iterable[_Union[PolicyReplayExample, _Mapping]]] = ...) -> None: ...

class PolicyReplayExample(_message.Message):
    __slots__ = ("index", "id")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    index: int
    id: str
    def __init__(self, index: _Optional[int] = ..., id: _Optional[str] = ...) -> None: ...
