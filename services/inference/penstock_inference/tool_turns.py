"""Write tools, calls and their results as plain turns, for a model whose chat template knows none."""

import json
from collections.abc import Sequence
from typing import Any

from penstock_inference.chat_template import ChatTurn
from penstock_inference.tool_calls import CLOSE, OPEN

_EXPLANATION = """\
You can call functions to answer. Each line below describes one, with the JSON Schema of its arguments:
<tools>
{tools}
</tools>
To call a function, write nothing but its name and its arguments as JSON, like this:
{open}
{{"name": "the function", "arguments": {{"an argument": "its value"}}}}
{close}
Its result comes in the next turn. When no function helps, answer in words."""


def write_tools(turns: Sequence[ChatTurn], tools: Sequence[dict[str, Any]]) -> list[ChatTurn]:
    """Give the turns with tools explained to the model, and with calls as the model would have written them."""
    written = [ChatTurn(turn.role, _content(turn)) for turn in turns]
    if not tools:
        return written
    lines = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    explanation = _EXPLANATION.format(tools=lines, open=OPEN, close=CLOSE)
    if written and written[0].role == "system":
        return [ChatTurn("system", f"{written[0].content}\n\n{explanation}"), *written[1:]]
    return [ChatTurn("system", explanation), *written]


def _content(turn: ChatTurn) -> str:
    calls = [
        f"{OPEN}\n{json.dumps(call['function'], ensure_ascii=False)}\n{CLOSE}"
        for call in turn.extras.get("tool_calls", ())
    ]
    return "\n".join(filter(None, [turn.content, *calls]))
