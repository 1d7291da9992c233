from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from penstock.router.v1 import chat_completion_pb2 as _chat_completion_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateChatCompletionRequest(_message.Message):
    __slots__ = ("parameters",)
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    parameters: _chat_completion_pb2.ChatCompletionParameters
    def __init__(self, parameters: _Optional[_Union[_chat_completion_pb2.ChatCompletionParameters, _Mapping]] = ...) -> None: ...

class CreateChatCompletionResponse(_message.Message):
    __slots__ = ("chat_completion",)
    CHAT_COMPLETION_FIELD_NUMBER: _ClassVar[int]
    chat_completion: _chat_completion_pb2.ChatCompletion
    def __init__(self, chat_completion: _Optional[_Union[_chat_completion_pb2.ChatCompletion, _Mapping]] = ...) -> None: ...

class StreamChatCompletionRequest(_message.Message):
    __slots__ = ("parameters",)
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    parameters: _chat_completion_pb2.ChatCompletionParameters
    def __init__(self, parameters: _Optional[_Union[_chat_completion_pb2.ChatCompletionParameters, _Mapping]] = ...) -> None: ...

class StreamChatCompletionResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: _chat_completion_pb2.ChatCompletionChunk
    def __init__(self, chunk: _Optional[_Union[_chat_completion_pb2.ChatCompletionChunk, _Mapping]] = ...) -> None: ...
