from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from penstock.cache.v1 import answer_cache_pb2 as _answer_cache_pb2
from penstock.cache.v1 import erasure_pb2 as _erasure_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetAnswerCacheRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetAnswerCacheResponse(_message.Message):
    __slots__ = ("answer_cache",)
    ANSWER_CACHE_FIELD_NUMBER: _ClassVar[int]
    answer_cache: _answer_cache_pb2.AnswerCache
    def __init__(self, answer_cache: _Optional[_Union[_answer_cache_pb2.AnswerCache, _Mapping]] = ...) -> None: ...

class InvalidateAnswersRequest(_message.Message):
    __slots__ = ("name", "selector")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    selector: _answer_cache_pb2.AnswerSelector
    def __init__(self, name: _Optional[str] = ..., selector: _Optional[_Union[_answer_cache_pb2.AnswerSelector, _Mapping]] = ...) -> None: ...

class InvalidateAnswersResponse(_message.Message):
    __slots__ = ("entries", "receipt")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    entries: int
    receipt: _erasure_pb2.ForgottenReceipt
    def __init__(self, entries: _Optional[int] = ..., receipt: _Optional[_Union[_erasure_pb2.ForgottenReceipt, _Mapping]] = ...) -> None: ...

class VerifyInvalidationRequest(_message.Message):
    __slots__ = ("name", "receipt", "selector")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    receipt: _erasure_pb2.ForgottenReceipt
    selector: _answer_cache_pb2.AnswerSelector
    def __init__(self, name: _Optional[str] = ..., receipt: _Optional[_Union[_erasure_pb2.ForgottenReceipt, _Mapping]] = ..., selector: _Optional[_Union[_answer_cache_pb2.AnswerSelector, _Mapping]] = ...) -> None: ...

class VerifyInvalidationResponse(_message.Message):
    __slots__ = ("signature_holds", "chain_holds", "selector_holds")
    SIGNATURE_HOLDS_FIELD_NUMBER: _ClassVar[int]
    CHAIN_HOLDS_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_HOLDS_FIELD_NUMBER: _ClassVar[int]
    signature_holds: bool
    chain_holds: bool
    selector_holds: bool
    def __init__(self, signature_holds: _Optional[bool] = ..., chain_holds: _Optional[bool] = ..., selector_holds: _Optional[bool] = ...) -> None: ...
