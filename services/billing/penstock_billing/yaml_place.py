"""Where in a YAML file a value stands."""

from collections.abc import Sequence

import yaml


def line_of(node: yaml.Node | None, place: Sequence[int | str]) -> int:
    """Give the line, from 1, of what a path of keys and indices leads to, or of the last thing on it that is there."""
    line = 0
    for step in (None, *place):
        if step is not None:
            node = _child(node, step)
        if node is None:
            break
        line = node.start_mark.line + 1
    return line


def _child(node: yaml.Node | None, step: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        items: list[yaml.Node] = node.value
        return items[step] if step < len(items) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None
