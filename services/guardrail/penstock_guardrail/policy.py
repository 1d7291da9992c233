"""The policy: what is done with what was found, and how sensitive that makes a text."""

import hashlib
import json
from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_VERSION_HEX_DIGITS = 16


class Action(IntEnum):
    """What is done with text. A higher value overrides a lower one."""

    ALLOW = 1
    REDACT = 2
    RESTRICT_TO_PRIVATE = 3
    REFUSE = 4


class Classification(IntEnum):
    """How sensitive text is. A higher value includes the lower ones."""

    PUBLIC = 1
    INTERNAL = 2
    CONFIDENTIAL = 3
    RESTRICTED = 4


_EnumT = TypeVar("_EnumT", Action, Classification)


def _by_name(enum: type[_EnumT]) -> BeforeValidator:
    names = {member.name.lower(): member for member in enum}

    def read(name: object) -> _EnumT:
        if not isinstance(name, str) or name not in names:
            raise ValueError(f"{name!r} is none of {', '.join(names)}")
        return names[name]

    return BeforeValidator(read)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(_Model):
    """What one type leads to."""

    action: Annotated[Action, _by_name(Action)]
    classification: Annotated[Classification, _by_name(Classification)]


class Policy(_Model):
    """The rules for all types."""

    confidence_min: float = Field(ge=0, le=1)
    nothing_found: Annotated[Classification, _by_name(Classification)]
    types: dict[str, Rule]
    other_types: Rule

    def rule(self, found_type: str) -> Rule:
        """Give the rule of a type."""
        return self.types.get(found_type, self.other_types)

    def action(self, found_type: str, confidence: float) -> Action:
        """Decide on one finding."""
        return self.rule(found_type).action if confidence >= self.confidence_min else Action.ALLOW

    def version(self, recognizers: Sequence[str]) -> str:
        """Name the policy by its content and by the recognizers it decides on: equal versions decide equally."""
        content = json.dumps([self.model_dump(mode="json"), sorted(recognizers)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:_VERSION_HEX_DIGITS]


def parse(text: str) -> Policy:
    """Read a policy from YAML.

    Raises:
        ValueError: it is not one; the message says where.
        yaml.YAMLError: it is not YAML.
    """
    content: Any = yaml.safe_load(text)
    return Policy.model_validate(content)
