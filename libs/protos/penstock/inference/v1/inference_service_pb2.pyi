import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from penstock.context.v1 import request_context_pb2 as _request_context_pb2
from penstock.inference.v1 import generation_pb2 as _generation_pb2
from penstock.router.v1 import embedding_pb2 as _embedding_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GenerateRequest(_message.Message):
    __slots__ = ("context", "model", "input", "sampling", "n", "operation_id", "attempt", "constraint")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINT_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    model: str
    input: _generation_pb2.GenerationInput
    sampling: _generation_pb2.SamplingParameters
    n: int
    operation_id: str
    attempt: int
    constraint: _generation_pb2.OutputConstraint
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., model: _Optional[str] = ..., input: _Optional[_Union[_generation_pb2.GenerationInput, _Mapping]] = ..., sampling: _Optional[_Union[_generation_pb2.SamplingParameters, _Mapping]] = ..., n: _Optional[int] = ..., operation_id: _Optional[str] = ..., attempt: _Optional[int] = ..., constraint: _Optional[_Union[_generation_pb2.OutputConstraint, _Mapping]] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("started", "delta", "finished")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    started: _generation_pb2.GenerationStarted
    delta: _generation_pb2.GenerationDelta
    finished: _generation_pb2.GenerationFinished
    def __init__(self, started: _Optional[_Union[_generation_pb2.GenerationStarted, _Mapping]] = ..., delta: _Optional[_Union[_generation_pb2.GenerationDelta, _Mapping]] = ..., finished: _Optional[_Union[_generation_pb2.GenerationFinished, _Mapping]] = ...) -> None: ...

class EmbedRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[EmbedItem]
    def __init__(self, items: _Optional[_Iterable[_Union[EmbedItem, _Mapping]]] = ...) -> None: ...

class EmbedItem(_message.Message):
    __slots__ = ("context", "model", "text")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    model: str
    text: str
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., model: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[EmbedResult]
    def __init__(self, results: _Optional[_Iterable[_Union[EmbedResult, _Mapping]]] = ...) -> None: ...

class EmbedResult(_message.Message):
    __slots__ = ("status", "vector", "prompt_tokens")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    vector: bytes
    prompt_tokens: int
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., vector: _Optional[bytes] = ..., prompt_tokens: _Optional[int] = ...) -> None: ...

class CountTokensRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[CountTokensItem]
    def __init__(self, items: _Optional[_Iterable[_Union[CountTokensItem, _Mapping]]] = ...) -> None: ...

class CountTokensItem(_message.Message):
    __slots__ = ("context", "model", "input")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    model: str
    input: _generation_pb2.GenerationInput
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., model: _Optional[str] = ..., input: _Optional[_Union[_generation_pb2.GenerationInput, _Mapping]] = ...) -> None: ...

class CountTokensResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CountTokensResult]
    def __init__(self, results: _Optional[_Iterable[_Union[CountTokensResult, _Mapping]]] = ...) -> None: ...

class CountTokensResult(_message.Message):
    __slots__ = ("status", "prompt_tokens", "context_tokens")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    prompt_tokens: int
    context_tokens: int
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., prompt_tokens: _Optional[int] = ..., context_tokens: _Optional[int] = ...) -> None: ...

class DecodeTokensRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[DecodeTokensItem]
    def __init__(self, items: _Optional[_Iterable[_Union[DecodeTokensItem, _Mapping]]] = ...) -> None: ...

class DecodeTokensItem(_message.Message):
    __slots__ = ("context", "model", "tokens")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    context: _request_context_pb2.RequestContext
    model: str
    tokens: _embedding_pb2.TokenIds
    def __init__(self, context: _Optional[_Union[_request_context_pb2.RequestContext, _Mapping]] = ..., model: _Optional[str] = ..., tokens: _Optional[_Union[_embedding_pb2.TokenIds, _Mapping]] = ...) -> None: ...

class DecodeTokensResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[DecodeTokensResult]
    def __init__(self, results: _Optional[_Iterable[_Union[DecodeTokensResult, _Mapping]]] = ...) -> None: ...

class DecodeTokensResult(_message.Message):
    __slots__ = ("status", "text")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    text: str
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., text: _Optional[str] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[GetUsageItem]
    def __init__(self, items: _Optional[_Iterable[_Union[GetUsageItem, _Mapping]]] = ...) -> None: ...

class GetUsageItem(_message.Message):
    __slots__ = ("operation_id",)
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    def __init__(self, operation_id: _Optional[str] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[GetUsageResult]
    def __init__(self, results: _Optional[_Iterable[_Union[GetUsageResult, _Mapping]]] = ...) -> None: ...

class GetUsageResult(_message.Message):
    __slots__ = ("status", "attempts")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    attempts: _containers.RepeatedCompositeFieldContainer[AttemptUsage]
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., attempts: _Optional[_Iterable[_Union[AttemptUsage, _Mapping]]] = ...) -> None: ...

class AttemptUsage(_message.Message):
    __slots__ = ("attempt", "model", "prompt_tokens", "cached_prompt_tokens", "completion_tokens", "ended", "record_time")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    model: str
    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int
    ended: bool
    record_time: _timestamp_pb2.Timestamp
    def __init__(self, attempt: _Optional[int] = ..., model: _Optional[str] = ..., prompt_tokens: _Optional[int] = ..., cached_prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., ended: _Optional[bool] = ..., record_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[LoadedModel]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[LoadedModel, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class LoadModelRequest(_message.Message):
    __slots__ = ("model", "adapter")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    model: str
    adapter: AdapterSource
    def __init__(self, model: _Optional[str] = ..., adapter: _Optional[_Union[AdapterSource, _Mapping]] = ...) -> None: ...

class AdapterSource(_message.Message):
    __slots__ = ("base", "directory")
    BASE_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    base: str
    directory: str
    def __init__(self, base: _Optional[str] = ..., directory: _Optional[str] = ...) -> None: ...

class LoadModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: LoadedModel
    def __init__(self, model: _Optional[_Union[LoadedModel, _Mapping]] = ...) -> None: ...

class UnloadModelRequest(_message.Message):
    __slots__ = ("model", "drain_seconds")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DRAIN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    model: str
    drain_seconds: int
    def __init__(self, model: _Optional[str] = ..., drain_seconds: _Optional[int] = ...) -> None: ...

class UnloadModelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LoadedModel(_message.Message):
    __slots__ = ("id", "engine", "weights_kind", "context_tokens", "slots", "dimensions", "fingerprint", "base")
    ID_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_KIND_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    id: str
    engine: str
    weights_kind: str
    context_tokens: int
    slots: int
    dimensions: int
    fingerprint: str
    base: str
    def __init__(self, id: _Optional[str] = ..., engine: _Optional[str] = ..., weights_kind: _Optional[str] = ..., context_tokens: _Optional[int] = ..., slots: _Optional[int] = ..., dimensions: _Optional[int] = ..., fingerprint: _Optional[str] = ..., base: _Optional[str] = ...) -> None: ...
