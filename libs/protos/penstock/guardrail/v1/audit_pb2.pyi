from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuditLog(_message.Message):
    __slots__ = ("name", "size", "verifier_key", "checkpoint", "cosigned_checkpoints")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_KEY_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    COSIGNED_CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    size: int
    verifier_key: str
    checkpoint: str
    cosigned_checkpoints: _containers.RepeatedCompositeFieldContainer[CosignedCheckpoint]
    def __init__(self, name: _Optional[str] = ..., size: _Optional[int] = ..., verifier_key: _Optional[str] = ..., checkpoint: _Optional[str] = ..., cosigned_checkpoints: _Optional[_Iterable[_Union[CosignedCheckpoint, _Mapping]]] = ...) -> None: ...

class CosignedCheckpoint(_message.Message):
    __slots__ = ("witness_key", "size", "checkpoint")
    WITNESS_KEY_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    witness_key: str
    size: int
    checkpoint: str
    def __init__(self, witness_key: _Optional[str] = ..., size: _Optional[int] = ..., checkpoint: _Optional[str] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("index", "leaf_hash", "record", "salt", "damaged")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LEAF_HASH_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    index: int
    leaf_hash: bytes
    record: bytes
    salt: bytes
    damaged: bool
    def __init__(self, index: _Optional[int] = ..., leaf_hash: _Optional[bytes] = ..., record: _Optional[bytes] = ..., salt: _Optional[bytes] = ..., damaged: _Optional[bool] = ...) -> None: ...
