from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from penstock.router.v1 import embedding_pb2 as _embedding_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateEmbeddingRequest(_message.Message):
    __slots__ = ("parameters",)
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    parameters: _embedding_pb2.EmbeddingParameters
    def __init__(self, parameters: _Optional[_Union[_embedding_pb2.EmbeddingParameters, _Mapping]] = ...) -> None: ...

class CreateEmbeddingResponse(_message.Message):
    __slots__ = ("embeddings",)
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    embeddings: _embedding_pb2.EmbeddingList
    def __init__(self, embeddings: _Optional[_Union[_embedding_pb2.EmbeddingList, _Mapping]] = ...) -> None: ...
