"""The policy: what is done with what was found, how sensitive that makes a text, and who may do what with it."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

_VERSION_HEX_DIGITS = 16
# How much a recognizer of an organization is believed that does not say.
CONFIDENCE = 0.85


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


class Replacement(IntEnum):
    """What stands in for what is redacted. A higher value tells less."""

    TOKEN = 1
    HASH = 2
    MASK = 3


_EnumT = TypeVar("_EnumT", Action, Classification, Replacement)


def _by_name(enum: type[_EnumT]) -> BeforeValidator:
    names = {member.name.lower(): member for member in enum}

    def read(name: object) -> _EnumT:
        if isinstance(name, enum):
            return name
        if not isinstance(name, str) or name not in names:
            raise ValueError(f"{name!r} is none of {', '.join(names)}")
        return names[name]

    return BeforeValidator(read)


def _as_name(member: IntEnum) -> str:
    return member.name.lower()


_by_its_name = PlainSerializer(_as_name, when_used="json")
ActionName = Annotated[Action, _by_name(Action), _by_its_name]
ClassificationName = Annotated[Classification, _by_name(Classification), _by_its_name]
ReplacementName = Annotated[Replacement, _by_name(Replacement), _by_its_name]
Operation = Literal["chat", "embed", "restore"]


class Model(BaseModel):
    """A part of a policy, as files and tables hold it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(Model):
    """What one type leads to."""

    action: ActionName
    classification: ClassificationName
    replacement: ReplacementName = Replacement.TOKEN
    # What is believed less is reported and let pass; the policy's own when not set.
    confidence_min: float | None = Field(default=None, ge=0, le=1)

    def and_also(self, other: "Rule") -> "Rule":
        """Give the rule that keeps both."""
        return Rule.model_construct(
            action=max(self.action, other.action),
            classification=max(self.classification, other.classification),
            replacement=max(self.replacement, other.replacement),
            confidence_min=self.confidence_min if other.confidence_min is None else other.confidence_min,
        )

    def __str__(self) -> str:
        words = f"{_as_name(self.action)} {_as_name(self.replacement)} {_as_name(self.classification)}"
        return words if self.confidence_min is None else f"{words} from {self.confidence_min:g}"


class Grant(Model):
    """An operation that a role may do with texts, up to a classification."""

    role: str
    operation: Operation
    classification_max: ClassificationName


class Residency(Model):
    """Where texts of a classification, or of a higher one, may go."""

    classification: ClassificationName
    regions: tuple[str, ...] = Field(min_length=1)


class Recognizer(Model):
    """A pattern of an organization: what it finds, and the words beside it that it is believed with."""

    name: str = Field(pattern="^[a-z][a-z0-9-]{0,39}$")
    type: str = Field(pattern="^[A-Z][A-Z0-9_]{0,39}$")
    pattern: str = Field(min_length=1, max_length=512)
    ignore_case: bool = False
    context: tuple[str, ...] = Field(default=(), max_length=32)
    confidence: float = Field(default=CONFIDENCE, gt=0, le=1)


class Topic(Model):
    """What an organization does not talk about, by its terms. What is found has the type `TOPIC_` and the name."""

    name: str = Field(pattern="^[a-z][a-z0-9-]{0,31}$")
    terms: tuple[str, ...] = Field(min_length=1, max_length=256)

    @property
    def type(self) -> str:
        """Name what is found."""
        return f"TOPIC_{self.name.upper().replace('-', '_')}"


class Policy(Model):
    """All that is decided by. What no grant allows is refused."""

    confidence_min: float = Field(ge=0, le=1)
    nothing_found: ClassificationName
    types: dict[str, Rule]
    other_types: Rule
    grants: tuple[Grant, ...]
    residencies: tuple[Residency, ...] = ()
    retention_days: int = Field(default=365, ge=1, le=3660)
    recognizers: tuple[Recognizer, ...] = Field(default=(), max_length=64)
    topics: tuple[Topic, ...] = Field(default=(), max_length=16)

    def rule(self, found_type: str) -> Rule:
        """Give the rule of a type."""
        return self.types.get(found_type, self.other_types)

    def minds(self, found_types: Iterable[str]) -> bool:
        """Tell whether finding any of some types changes what is decided; else nobody need look for them."""
        rules = map(self.rule, found_types)
        return any(
            rule.action is not Action.ALLOW or rule.classification > self.nothing_found for rule in rules
        )

    def action(self, found_type: str, confidence: float) -> Action:
        """Decide on one finding."""
        rule = self.rule(found_type)
        least = self.confidence_min if rule.confidence_min is None else rule.confidence_min
        return rule.action if confidence >= least else Action.ALLOW

    def ceiling(self, roles: Iterable[str], operation: str) -> int:
        """Give the highest classification that any of the roles may do it with; 0 when none may."""
        return max(
            (
                grant.classification_max
                for grant in self.grants
                if grant.operation == operation and grant.role in roles
            ),
            default=0,
        )

    def regions(self, classification: Classification) -> frozenset[str] | None:
        """Give where texts of a classification may go; None when anywhere."""
        allowed = [set(each.regions) for each in self.residencies if each.classification <= classification]
        return frozenset.intersection(*map(frozenset, allowed)) if allowed else None

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
