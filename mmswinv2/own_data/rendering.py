"""Writes values as the Python of a config, in lines of 88 characters."""

from __future__ import annotations

WIDTH = 88


class Code(str):
    """An expression, written as it is."""

    __slots__ = ()


def flat(value: object) -> str:
    """A value in one line."""
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return f"dict({', '.join(f'{k}={flat(v)}' for k, v in value.items())})"
    if isinstance(value, (list, tuple)):
        inside = ", ".join(map(flat, value))
        if isinstance(value, list):
            return f"[{inside}]"
        return f"({inside}{',' * (len(value) == 1)})"
    return repr(value)


def assign(name: str, value: object, indent: int = 0, end: str = "") -> list[str]:
    """Lines of ``name = value``, or inside of a call ``name=value,``."""
    space = " " * indent
    sign = "=" if indent else " = "
    line = f"{space}{name}{sign}{flat(value)}{end}"
    if "\n" in line:
        return line.replace("\n", f"\n{space}").split("\n")
    if len(line) <= WIDTH or not isinstance(value, (dict, list, tuple)) or not value:
        return [line]
    if isinstance(value, dict):
        inside = [assign(k, v, indent + 4, ",") for k, v in value.items()]
        brackets = "dict(", ")"
    else:
        inside = [_filled(value, indent + 4)]
        brackets = "[]" if isinstance(value, list) else "()"
    body = [line for lines in inside for line in lines]
    return [f"{space}{name}{sign}{brackets[0]}", *body, f"{space}{brackets[1]}{end}"]


def commented(name: str, value: object, reason: str) -> list[str]:
    """Lines of ``name = value`` with the reason behind, or else above it."""
    lines = assign(name, value)
    line = f"{lines[-1]}  # {reason}"
    if len(lines) == 1 and len(line) <= WIDTH:
        return [line]
    words, above = reason.split(), ["#"]
    for word in words:
        if len(above[-1]) + 1 + len(word) > WIDTH:
            above.append("#")
        above[-1] += f" {word}"
    return [*above, *lines]


def _filled(values: list | tuple, indent: int) -> list[str]:
    """As many values in each line as there is room for."""
    space = " " * indent
    lines = [space]
    for value in map(flat, values):
        if len(lines[-1]) + len(value) + 2 > WIDTH and lines[-1] != space:
            lines.append(space)
        lines[-1] += f"{value}, "
    return [line.rstrip() for line in lines]
