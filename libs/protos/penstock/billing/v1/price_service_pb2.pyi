import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from penstock.billing.v1 import hold_pb2 as _hold_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListPricesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "as_of_time")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    as_of_time: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., as_of_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListPricesResponse(_message.Message):
    __slots__ = ("prices", "next_page_token")
    PRICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    prices: _containers.RepeatedCompositeFieldContainer[_hold_pb2.TokenPrices]
    next_page_token: str
    def __init__(self, prices: _Optional[_Iterable[_Union[_hold_pb2.TokenPrices, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PriceBook(_message.Message):
    __slots__ = ("version", "create_time", "activate_time", "in_force", "rows", "content")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACTIVATE_TIME_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    version: str
    create_time: _timestamp_pb2.Timestamp
    activate_time: _timestamp_pb2.Timestamp
    in_force: bool
    rows: int
    content: str
    def __init__(self, version: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., activate_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., in_force: _Optional[bool] = ..., rows: _Optional[int] = ..., content: _Optional[str] = ...) -> None: ...

class ImportPriceBookRequest(_message.Message):
    __slots__ = ("parent", "content", "validate_only")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    parent: str
    content: str
    validate_only: bool
    def __init__(self, parent: _Optional[str] = ..., content: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class ImportPriceBookResponse(_message.Message):
    __slots__ = ("price_book",)
    PRICE_BOOK_FIELD_NUMBER: _ClassVar[int]
    price_book: PriceBook
    def __init__(self, price_book: _Optional[_Union[PriceBook, _Mapping]] = ...) -> None: ...

class ListPriceBooksRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPriceBooksResponse(_message.Message):
    __slots__ = ("price_books", "next_page_token")
    PRICE_BOOKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    price_books: _containers.RepeatedCompositeFieldContainer[PriceBook]
    next_page_token: str
    def __init__(self, price_books: _Optional[_Iterable[_Union[PriceBook, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetPriceBookRequest(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: str
    def __init__(self, version: _Optional[str] = ...) -> None: ...

class GetPriceBookResponse(_message.Message):
    __slots__ = ("price_book",)
    PRICE_BOOK_FIELD_NUMBER: _ClassVar[int]
    price_book: PriceBook
    def __init__(self, price_book: _Optional[_Union[PriceBook, _Mapping]] = ...) -> None: ...
