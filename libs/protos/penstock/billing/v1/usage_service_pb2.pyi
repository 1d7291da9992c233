import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from penstock.billing.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QueryUsageRequest(_message.Message):
    __slots__ = ("parent", "start_time", "end_time", "group_by", "page_size", "page_token", "tag_key")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TAG_KEY_FIELD_NUMBER: _ClassVar[int]
    parent: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    group_by: _containers.RepeatedScalarFieldContainer[_usage_pb2.UsageDimension]
    page_size: int
    page_token: str
    tag_key: str
    def __init__(self, parent: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., group_by: _Optional[_Iterable[_Union[_usage_pb2.UsageDimension, str]]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., tag_key: _Optional[str] = ...) -> None: ...

class QueryUsageResponse(_message.Message):
    __slots__ = ("rows", "next_page_token")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[_usage_pb2.UsageRow]
    next_page_token: str
    def __init__(self, rows: _Optional[_Iterable[_Union[_usage_pb2.UsageRow, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListUsageRecordsRequest(_message.Message):
    __slots__ = ("parent", "operation_id", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    operation_id: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., operation_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListUsageRecordsResponse(_message.Message):
    __slots__ = ("usage_records", "next_page_token")
    USAGE_RECORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    usage_records: _containers.RepeatedCompositeFieldContainer[_usage_pb2.UsageRecord]
    next_page_token: str
    def __init__(self, usage_records: _Optional[_Iterable[_Union[_usage_pb2.UsageRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ForecastSpendRequest(_message.Message):
    __slots__ = ("parent", "budget_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    budget_id: str
    def __init__(self, parent: _Optional[str] = ..., budget_id: _Optional[str] = ...) -> None: ...

class ForecastSpendResponse(_message.Message):
    __slots__ = ("start_time", "end_time", "spent_nanos", "end_p10_nanos", "end_p50_nanos", "end_p90_nanos", "exhaustion_p50_hours", "exhaustion_p10_hours", "history_hours")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    SPENT_NANOS_FIELD_NUMBER: _ClassVar[int]
    END_P10_NANOS_FIELD_NUMBER: _ClassVar[int]
    END_P50_NANOS_FIELD_NUMBER: _ClassVar[int]
    END_P90_NANOS_FIELD_NUMBER: _ClassVar[int]
    EXHAUSTION_P50_HOURS_FIELD_NUMBER: _ClassVar[int]
    EXHAUSTION_P10_HOURS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_HOURS_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    spent_nanos: int
    end_p10_nanos: int
    end_p50_nanos: int
    end_p90_nanos: int
    exhaustion_p50_hours: int
    exhaustion_p10_hours: int
    history_hours: int
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., spent_nanos: _Optional[int] = ..., end_p10_nanos: _Optional[int] = ..., end_p50_nanos: _Optional[int] = ..., end_p90_nanos: _Optional[int] = ..., exhaustion_p50_hours: _Optional[int] = ..., exhaustion_p10_hours: _Optional[int] = ..., history_hours: _Optional[int] = ...) -> None: ...

class ListSpendAnomaliesRequest(_message.Message):
    __slots__ = ("parent", "start_time", "z_score_milli_min")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    Z_SCORE_MILLI_MIN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    start_time: _timestamp_pb2.Timestamp
    z_score_milli_min: int
    def __init__(self, parent: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., z_score_milli_min: _Optional[int] = ...) -> None: ...

class ListSpendAnomaliesResponse(_message.Message):
    __slots__ = ("anomalies",)
    ANOMALIES_FIELD_NUMBER: _ClassVar[int]
    anomalies: _containers.RepeatedCompositeFieldContainer[SpendAnomaly]
    def __init__(self, anomalies: _Optional[_Iterable[_Union[SpendAnomaly, _Mapping]]] = ...) -> None: ...

class SpendAnomaly(_message.Message):
    __slots__ = ("start_time", "spent_nanos", "expected_nanos", "z_score_milli")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    SPENT_NANOS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_NANOS_FIELD_NUMBER: _ClassVar[int]
    Z_SCORE_MILLI_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    spent_nanos: int
    expected_nanos: int
    z_score_milli: int
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., spent_nanos: _Optional[int] = ..., expected_nanos: _Optional[int] = ..., z_score_milli: _Optional[int] = ...) -> None: ...

class ExportFocusRequest(_message.Message):
    __slots__ = ("parent", "start_time", "end_time", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ExportFocusResponse(_message.Message):
    __slots__ = ("focus_version", "csv", "next_page_token")
    FOCUS_VERSION_FIELD_NUMBER: _ClassVar[int]
    CSV_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    focus_version: str
    csv: str
    next_page_token: str
    def __init__(self, focus_version: _Optional[str] = ..., csv: _Optional[str] = ..., next_page_token: _Optional[str] = ...) -> None: ...
