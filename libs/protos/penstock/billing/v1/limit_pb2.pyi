import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LimitUnit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIMIT_UNIT_UNSPECIFIED: _ClassVar[LimitUnit]
    LIMIT_UNIT_REQUESTS: _ClassVar[LimitUnit]
    LIMIT_UNIT_TOKENS: _ClassVar[LimitUnit]
    LIMIT_UNIT_IN_FLIGHT: _ClassVar[LimitUnit]

class LimitWindow(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIMIT_WINDOW_UNSPECIFIED: _ClassVar[LimitWindow]
    LIMIT_WINDOW_SECOND: _ClassVar[LimitWindow]
    LIMIT_WINDOW_MINUTE: _ClassVar[LimitWindow]
    LIMIT_WINDOW_HOUR: _ClassVar[LimitWindow]
    LIMIT_WINDOW_DAY: _ClassVar[LimitWindow]

class LimitScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIMIT_SCOPE_UNSPECIFIED: _ClassVar[LimitScope]
    LIMIT_SCOPE_TEAM: _ClassVar[LimitScope]
    LIMIT_SCOPE_USER: _ClassVar[LimitScope]
    LIMIT_SCOPE_API_KEY: _ClassVar[LimitScope]
LIMIT_UNIT_UNSPECIFIED: LimitUnit
LIMIT_UNIT_REQUESTS: LimitUnit
LIMIT_UNIT_TOKENS: LimitUnit
LIMIT_UNIT_IN_FLIGHT: LimitUnit
LIMIT_WINDOW_UNSPECIFIED: LimitWindow
LIMIT_WINDOW_SECOND: LimitWindow
LIMIT_WINDOW_MINUTE: LimitWindow
LIMIT_WINDOW_HOUR: LimitWindow
LIMIT_WINDOW_DAY: LimitWindow
LIMIT_SCOPE_UNSPECIFIED: LimitScope
LIMIT_SCOPE_TEAM: LimitScope
LIMIT_SCOPE_USER: LimitScope
LIMIT_SCOPE_API_KEY: LimitScope

class Limit(_message.Message):
    __slots__ = ("name", "display_name", "unit", "window", "value", "scope", "subject", "model", "tier", "create_time", "remaining", "tightest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    TIGHTEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    unit: LimitUnit
    window: LimitWindow
    value: int
    scope: LimitScope
    subject: str
    model: str
    tier: str
    create_time: _timestamp_pb2.Timestamp
    remaining: int
    tightest: str
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., unit: _Optional[_Union[LimitUnit, str]] = ..., window: _Optional[_Union[LimitWindow, str]] = ..., value: _Optional[int] = ..., scope: _Optional[_Union[LimitScope, str]] = ..., subject: _Optional[str] = ..., model: _Optional[str] = ..., tier: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., remaining: _Optional[int] = ..., tightest: _Optional[str] = ...) -> None: ...

class RateLimit(_message.Message):
    __slots__ = ("unit", "value", "remaining", "reset_after")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    RESET_AFTER_FIELD_NUMBER: _ClassVar[int]
    unit: LimitUnit
    value: int
    remaining: int
    reset_after: _duration_pb2.Duration
    def __init__(self, unit: _Optional[_Union[LimitUnit, str]] = ..., value: _Optional[int] = ..., remaining: _Optional[int] = ..., reset_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
