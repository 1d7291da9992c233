import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RequestContext(_message.Message):
    __slots__ = ("request_id", "traceparent", "deadline_time", "organization", "user", "team", "api_key", "priority", "roles", "tier", "region")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_TIME_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    traceparent: str
    deadline_time: _timestamp_pb2.Timestamp
    organization: str
    user: str
    team: str
    api_key: str
    priority: int
    roles: _containers.RepeatedScalarFieldContainer[str]
    tier: str
    region: str
    def __init__(self, request_id: _Optional[str] = ..., traceparent: _Optional[str] = ..., deadline_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., organization: _Optional[str] = ..., user: _Optional[str] = ..., team: _Optional[str] = ..., api_key: _Optional[str] = ..., priority: _Optional[int] = ..., roles: _Optional[_Iterable[str]] = ..., tier: _Optional[str] = ..., region: _Optional[str] = ...) -> None: ...
