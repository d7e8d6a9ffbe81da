"""Writes values as the Python of a config, in lines of 88 characters."""

from __future__ import annotations

import json
import textwrap

WIDTH = 88


class Code(str):
    """An expression, written as it is."""

    __slots__ = ()


def flat(value: object) -> str:
    """A value in one line."""
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # escapes are Python's too
    if isinstance(value, dict):
        return f"dict({', '.join(_item(k, v) for k, v in value.items())})"
    if isinstance(value, (list, tuple)):
        inside = ", ".join(map(flat, value))
        if isinstance(value, list):
            return f"[{inside}]"
        return f"({inside}{',' * (len(value) == 1)})"
    return repr(value)


def assign(
    name: str, value: object, width: int = WIDTH, indent: int = 0, end: str = ""
) -> list[str]:
    """Lines of ``name = value``, or inside of a call ``name=value,``."""
    space = " " * indent
    sign = "=" if indent else " = "
    line = space + (_item(name, value) if indent else f"{name} = {flat(value)}") + end
    if "\n" in line:
        return line.replace("\n", f"\n{space}").split("\n")
    if len(line) <= width or not isinstance(value, (dict, list, tuple)) or not value:
        return [line]
    brackets = "()"
    if isinstance(value, list):
        body = [f"{' ' * (indent + 4)}{flat(item)}," for item in value]
        brackets = "[]"
    elif isinstance(value, dict):
        parts = [assign(k, v, width, indent + 4, ",") for k, v in value.items()]
        body = [line for part in parts for line in part]
        brackets = "dict(", ")"
    else:
        body = _filled(value, width, indent + 4)
    return [f"{space}{name}{sign}{brackets[0]}", *body, f"{space}{brackets[1]}{end}"]


def commented(
    name: str, value: object, reason: str = "", width: int = WIDTH
) -> list[str]:
    """Lines of ``name = value`` with the reason behind, or else above it."""
    lines = assign(name, value, width)
    line = f"{lines[-1]}  # {reason}"
    if not reason:
        return lines
    if len(lines) == 1 and len(line) <= width:
        return [line]
    above = textwrap.wrap(reason, width, initial_indent="# ", subsequent_indent="# ")
    return [*above, *lines]


def _item(name: str, value: object) -> str:
    """A keyword argument; a name such as '**data' stands for itself."""
    return name if name.startswith("**") else f"{name}={flat(value)}"


def _filled(values: tuple, width: int, indent: int) -> list[str]:
    """As many values in each line as there is room for."""
    text = ", ".join(flat(value).replace(" ", "\0") for value in values) + ","
    space = " " * indent
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=space,
        subsequent_indent=space,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\0", " ") for line in lines]
