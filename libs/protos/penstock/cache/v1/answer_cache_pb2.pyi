from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class AnswerCache(_message.Message):
    __slots__ = ("name", "answers", "size_bytes", "questions", "lookups", "exact_hits", "semantic_hits", "saved_cost_nanos", "saved_generation_ms", "checked_answers", "wrong_answers", "strictness", "predicted_right", "predicted_wrong", "ahead_answers", "ahead_useful", "ahead_wasted", "wasted_cost_nanos")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    LOOKUPS_FIELD_NUMBER: _ClassVar[int]
    EXACT_HITS_FIELD_NUMBER: _ClassVar[int]
    SEMANTIC_HITS_FIELD_NUMBER: _ClassVar[int]
    SAVED_COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    SAVED_GENERATION_MS_FIELD_NUMBER: _ClassVar[int]
    CHECKED_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    WRONG_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    STRICTNESS_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_RIGHT_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_WRONG_FIELD_NUMBER: _ClassVar[int]
    AHEAD_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    AHEAD_USEFUL_FIELD_NUMBER: _ClassVar[int]
    AHEAD_WASTED_FIELD_NUMBER: _ClassVar[int]
    WASTED_COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    name: str
    answers: int
    size_bytes: int
    questions: int
    lookups: int
    exact_hits: int
    semantic_hits: int
    saved_cost_nanos: int
    saved_generation_ms: int
    checked_answers: int
    wrong_answers: int
    strictness: float
    predicted_right: int
    predicted_wrong: int
    ahead_answers: int
    ahead_useful: int
    ahead_wasted: int
    wasted_cost_nanos: int
    def __init__(self, name: _Optional[str] = ..., answers: _Optional[int] = ..., size_bytes: _Optional[int] = ..., questions: _Optional[int] = ..., lookups: _Optional[int] = ..., exact_hits: _Optional[int] = ..., semantic_hits: _Optional[int] = ..., saved_cost_nanos: _Optional[int] = ..., saved_generation_ms: _Optional[int] = ..., checked_answers: _Optional[int] = ..., wrong_answers: _Optional[int] = ..., strictness: _Optional[float] = ..., predicted_right: _Optional[int] = ..., predicted_wrong: _Optional[int] = ..., ahead_answers: _Optional[int] = ..., ahead_useful: _Optional[int] = ..., ahead_wasted: _Optional[int] = ..., wasted_cost_nanos: _Optional[int] = ...) -> None: ...

class AnswerSelector(_message.Message):
    __slots__ = ("entry_id", "tag", "model", "user", "prompt_version", "everything")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    PROMPT_VERSION_FIELD_NUMBER: _ClassVar[int]
    EVERYTHING_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    tag: str
    model: str
    user: str
    prompt_version: str
    everything: bool
    def __init__(self, entry_id: _Optional[str] = ..., tag: _Optional[str] = ..., model: _Optional[str] = ..., user: _Optional[str] = ..., prompt_version: _Optional[str] = ..., everything: _Optional[bool] = ...) -> None: ...
