"""The config that mmengine keeps in checkpoints, read without running it."""

from __future__ import annotations

import ast
from typing import Any


def read_saved_config(checkpoint: dict) -> dict | None:
    """Settings of the training run that wrote a checkpoint; no code in it is run.

    Args:
        checkpoint (dict): As :func:`read_checkpoint` gives it.

    Returns:
        dict | None: None where it has no config, or one that is more than values.
    """
    meta = checkpoint.get("meta")
    text = meta.get("cfg") if isinstance(meta, dict) else None
    if not isinstance(text, str) or not text:
        return None
    try:
        return {
            _name(statement.targets[0]): _value(statement.value)
            for statement in ast.parse(text).body
            if isinstance(statement, ast.Assign)
        }
    except (ValueError, AttributeError, TypeError, SyntaxError):
        return None


def _name(node: ast.expr) -> str:
    if not isinstance(node, ast.Name):
        raise ValueError(f"{ast.unparse(node)} is no name")
    return node.id


def _value(node: ast.expr | None) -> Any:
    if node is None:
        raise ValueError("{**other} is no value")
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict":
        # dict({...}) or dict(**{...}): keys that are no names
        inner = [*node.args, *(key.value for key in node.keywords if key.arg is None)]
        named = {key.arg: _value(key.value) for key in node.keywords if key.arg}
        return {k: v for part in map(_value, inner) for k, v in part.items()} | named
    if isinstance(node, ast.Dict):
        return {_value(k): _value(v) for k, v in zip(node.keys, node.values)}
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    return ast.literal_eval(node)
