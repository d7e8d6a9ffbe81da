"""The size of images that a checkpoint was trained with, from the config in it."""

from __future__ import annotations

import ast
import os

from mmengine.config import Config

from mmswinv2.checkpoints import read_checkpoint

from .training_batch import image_size


def trained_size(path: str | os.PathLike) -> tuple[int, int] | None:
    """Height and width in px of the largest images of a training run.

    Args:
        path (str | PathLike): A checkpoint, as :func:`read_checkpoint` takes it.

    Returns:
        tuple[int, int] | None: None where the checkpoint has no config, or one that
        tells no size.
    """
    meta = read_checkpoint(path).get("meta")
    text = meta.get("cfg") if isinstance(meta, dict) else None
    if not isinstance(text, str):
        return None
    try:
        return image_size(Config(_settings(text)))
    except (ValueError, KeyError, AttributeError, TypeError, SyntaxError):
        return None


def _settings(text: str) -> dict:
    """A config as mmengine writes it into checkpoints; no code in it is run."""
    return {
        statement.targets[0].id: _value(statement.value)
        for statement in ast.parse(text).body
        if isinstance(statement, ast.Assign)
    }


def _value(node: ast.expr) -> object:
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict":
        items = {key.arg: key.value for key in node.keywords}
        if None in items:  # dict(**{...}), for keys that are no names
            return _value(items[None])
        return {name: _value(value) for name, value in items.items()}
    if isinstance(node, ast.Dict):
        return {_value(k): _value(v) for k, v in zip(node.keys, node.values)}
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    return ast.literal_eval(node)
