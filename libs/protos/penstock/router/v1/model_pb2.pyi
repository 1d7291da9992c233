from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelCapability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_CAPABILITY_UNSPECIFIED: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_CHAT: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_EMBEDDINGS: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_TOOLS: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_STRUCTURED_OUTPUT: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_IMAGES: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_LOGPROBS: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_COMPLETIONS: _ClassVar[ModelCapability]
MODEL_CAPABILITY_UNSPECIFIED: ModelCapability
MODEL_CAPABILITY_CHAT: ModelCapability
MODEL_CAPABILITY_EMBEDDINGS: ModelCapability
MODEL_CAPABILITY_TOOLS: ModelCapability
MODEL_CAPABILITY_STRUCTURED_OUTPUT: ModelCapability
MODEL_CAPABILITY_IMAGES: ModelCapability
MODEL_CAPABILITY_LOGPROBS: ModelCapability
MODEL_CAPABILITY_COMPLETIONS: ModelCapability

class Model(_message.Message):
    __slots__ = ("id", "object", "created", "owned_by", "context_tokens", "capabilities", "endpoints", "engine", "weights_kind")
    ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    OWNED_BY_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_KIND_FIELD_NUMBER: _ClassVar[int]
    id: str
    object: str
    created: int
    owned_by: str
    context_tokens: int
    capabilities: _containers.RepeatedScalarFieldContainer[ModelCapability]
    endpoints: _containers.RepeatedScalarFieldContainer[str]
    engine: str
    weights_kind: str
    def __init__(self, id: _Optional[str] = ..., object: _Optional[str] = ..., created: _Optional[int] = ..., owned_by: _Optional[str] = ..., context_tokens: _Optional[int] = ..., capabilities: _Optional[_Iterable[_Union[ModelCapability, str]]] = ..., endpoints: _Optional[_Iterable[str]] = ..., engine: _Optional[str] = ..., weights_kind: _Optional[str] = ...) -> None: ...
