import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BudgetEnforcement(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUDGET_ENFORCEMENT_UNSPECIFIED: _ClassVar[BudgetEnforcement]
    BUDGET_ENFORCEMENT_SOFT: _ClassVar[BudgetEnforcement]

class BudgetPeriod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUDGET_PERIOD_UNSPECIFIED: _ClassVar[BudgetPeriod]
    BUDGET_PERIOD_DAY: _ClassVar[BudgetPeriod]
    BUDGET_PERIOD_MONTH: _ClassVar[BudgetPeriod]
    BUDGET_PERIOD_WEEK: _ClassVar[BudgetPeriod]
    BUDGET_PERIOD_YEAR: _ClassVar[BudgetPeriod]
    BUDGET_PERIOD_ROLLING_DAY: _ClassVar[BudgetPeriod]
    BUDGET_PERIOD_ROLLING_WEEK: _ClassVar[BudgetPeriod]
    BUDGET_PERIOD_ROLLING_MONTH: _ClassVar[BudgetPeriod]
BUDGET_ENFORCEMENT_UNSPECIFIED: BudgetEnforcement
BUDGET_ENFORCEMENT_SOFT: BudgetEnforcement
BUDGET_PERIOD_UNSPECIFIED: BudgetPeriod
BUDGET_PERIOD_DAY: BudgetPeriod
BUDGET_PERIOD_MONTH: BudgetPeriod
BUDGET_PERIOD_WEEK: BudgetPeriod
BUDGET_PERIOD_YEAR: BudgetPeriod
BUDGET_PERIOD_ROLLING_DAY: BudgetPeriod
BUDGET_PERIOD_ROLLING_WEEK: BudgetPeriod
BUDGET_PERIOD_ROLLING_MONTH: BudgetPeriod

class Budget(_message.Message):
    __slots__ = ("name", "display_name", "team", "user", "api_key", "amount_nanos", "period", "spent_nanos", "held_nanos", "create_time", "period_start_time", "enforcement")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    SPENT_NANOS_FIELD_NUMBER: _ClassVar[int]
    HELD_NANOS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_TIME_FIELD_NUMBER: _ClassVar[int]
    ENFORCEMENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    team: str
    user: str
    api_key: str
    amount_nanos: int
    period: BudgetPeriod
    spent_nanos: int
    held_nanos: int
    create_time: _timestamp_pb2.Timestamp
    period_start_time: _timestamp_pb2.Timestamp
    enforcement: BudgetEnforcement
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., team: _Optional[str] = ..., user: _Optional[str] = ..., api_key: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., period: _Optional[_Union[BudgetPeriod, str]] = ..., spent_nanos: _Optional[int] = ..., held_nanos: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., period_start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., enforcement: _Optional[_Union[BudgetEnforcement, str]] = ...) -> None: ...
