"""Write a conversation as the model was trained to read it, with the Jinja template from its own files."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from jinja2 import TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from servicekit.errors import InvalidArgument

# Stands where what a user wrote would otherwise be read as a special token. It is a noncharacter, which is not meant
# for interchange (Unicode, section 23.7); one that comes from a user is dropped with ours.
BREAK = "\ufdd0"
_STEPS_MAX = 200_000  # half a second at most; a conversation takes a few for each of its turns


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """One message of a conversation."""

    role: str
    content: str
    # What a template may know beside: "name", "tool_calls", "tool_call_id".
    extras: dict[str, Any] = field(default_factory=dict)


class ChatTemplate:
    """A model's template, run in a sandbox: it comes with the weights, from whoever made them."""

    def __init__(self, source: str, variables: dict[str, str], special_tokens: Iterable[str]) -> None:
        """Compile the source. `variables` are texts that it may use, such as bos_token."""
        environment = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        del environment.globals["lipsum"]  # as many words as it is told
        self._environment = environment
        self._template = environment.from_string(source)
        self._variables = variables
        self._guard = TokenGuard(special_tokens)
        self.knows_tools = "tools" in meta.find_undeclared_variables(environment.parse(source))

    def render(self, turns: Sequence[ChatTurn], tools: Sequence[dict[str, Any]] = ()) -> str:
        """Write the turns and the beginning of the answer. `BREAK` marks what is not to be read as special.

        Raises:
            InvalidArgument: the template refuses the conversation, for example because roles do not alternate.
        """
        self._environment.begin()
        messages = [
            {"role": turn.role, "content": self._guard(turn.content), **self._guard_all(turn.extras)}
            for turn in turns
        ]
        try:
            return self._template.render(
                messages=messages,
                tools=self._guard_all(list(tools)) or None,
                add_generation_prompt=True,
                **self._variables,
            )
        except Exception as error:  # a template is foreign code, and may raise anything
            raise InvalidArgument(
                "INVALID_ARGUMENT",
                f"The model's chat template refuses the messages: {error}",
                metadata={"field": "input.chat.messages"},
            ) from error

    def _guard_all(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._guard(value)
        if isinstance(value, dict):
            return {self._guard_all(key): self._guard_all(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._guard_all(item) for item in value]
        return value


class _Sandbox(ImmutableSandboxedEnvironment):
    """Bound the passes through loops and the calls of macros, of which one nested in another takes for ever."""

    def begin(self) -> None:
        self._steps = 0

    @property
    def step(self) -> None:  # templates read it: a call costs thirty times as much in a sandbox
        self._steps += 1
        if self._steps > _STEPS_MAX:
            raise TemplateError(f"it takes more than {_STEPS_MAX} steps")

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Let each pass and each call begin with a step, under a name that no template can give to something else."""
        parsed = super()._parse(source, name, filename)
        parts: list[nodes.For | nodes.Macro] = [*parsed.find_all(nodes.For), *parsed.find_all(nodes.Macro)]
        for part in parts:
            part.body.insert(0, nodes.ExprStmt(nodes.EnvironmentAttribute("step"), lineno=part.lineno))
        return parsed


class TokenGuard:
    """Break special tokens in a user's text, also those that only the text before or after it would make whole."""

    def __init__(self, special_tokens: Iterable[str]) -> None:
        tokens = list(special_tokens)
        ends = "|".join(_beginning(token[i:]) for token in tokens for i in range(1, len(token)))
        whole = "|".join(f"{re.escape(token[0])}(?={_beginning(token[1:])})" for token in tokens)
        self._end_of_token = re.compile(rf"\A(?:{ends})") if ends else None
        self._token = re.compile(whole) if whole else None

    def __call__(self, text: str) -> str:
        """Give the text with `BREAK` in each token."""
        if self._token is None:
            return text
        broken = self._token.sub(lambda first: first[0] + BREAK, text)
        return BREAK + broken if self._end_of_token and self._end_of_token.match(text) else broken


def _beginning(token: str) -> str:
    """Match a token, or as much of it as there is before the text ends."""
    pattern = ""
    for character in reversed(token):
        pattern = rf"(?:\Z|{re.escape(character)}{pattern})"
    return pattern


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)
