"""Profiles: what regulations ask for, clause by clause, as data files."""

from collections.abc import Mapping
from functools import reduce
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import Field

from penstock_guardrail.policy import (
    ActionName,
    ClassificationName,
    Model,
    Replacement,
    ReplacementName,
    Rule,
)


class Clause(Model):
    """One clause: what it is about, what is done, and for how long the log keeps that it was done."""

    clause: str
    asks: str
    types: tuple[str, ...] = Field(min_length=1)
    action: ActionName
    replacement: ReplacementName = Replacement.TOKEN
    classification: ClassificationName
    retention_days: int = Field(ge=1, le=3660)
    audit_field: str = Field(pattern="^[a-z][a-z0-9_]{0,39}$")

    @property
    def rule(self) -> Rule:
        """Give what it asks for as a rule."""
        return Rule(action=self.action, classification=self.classification, replacement=self.replacement)


class Profile(Model):
    """One regulation."""

    name: str
    title: str
    clauses: tuple[Clause, ...] = Field(min_length=1)

    @property
    def rules(self) -> Mapping[str, Rule]:
        """Give the rules of all its clauses by type; where clauses meet, what keeps both."""
        by_type: dict[str, list[Rule]] = {}
        for clause in self.clauses:
            for found_type in clause.types:
                by_type.setdefault(found_type, []).append(clause.rule)
        return {found_type: reduce(Rule.and_also, rules) for found_type, rules in by_type.items()}

    @property
    def retention_days(self) -> int:
        """Give how long the log must be kept for it."""
        return max(clause.retention_days for clause in self.clauses)


def load_profiles() -> Mapping[str, Profile]:
    """Read the profiles of the package, by name."""
    folder = resources.files("penstock_guardrail.policies") / "profiles"
    files = [file for file in folder.iterdir() if file.name.endswith(".yaml")]
    contents: list[Any] = [yaml.safe_load(file.read_text()) for file in files]
    profiles = [Profile.model_validate(content) for content in contents]
    return MappingProxyType({profile.name: profile for profile in profiles})
