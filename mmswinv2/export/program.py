"""Captures a network as torch.export does, and tells why it cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from .networks import Exported

LEAST, MOST = 33, 8192  # px of a side at any size; the last map has 2 tokens or more


class NotExportableError(RuntimeError):
    """A network has an operator that a kind of file lacks."""


def capture(
    network: Exported, size: tuple[int, int], *, dynamic: bool
) -> ExportedProgram:
    """The operators that a network runs.

    Args:
        network (Exported): In eval mode.
        size (tuple[int, int]): (height, width) of a picture, in px.
        dynamic (bool): Whether pictures of other sizes fit, too.

    Raises:
        NotExportableError: The network has an operator that cannot be captured.
    """
    image = torch.zeros(*size, 3, dtype=torch.uint8)
    inputs = (image, *network.more_inputs())
    shapes: list[dict | None] = [None] * len(inputs)
    if dynamic:
        sides = (Dim(name, min=LEAST, max=MOST) for name in ("height", "width"))
        shapes[0] = dict(enumerate(sides))
    network.requires_grad_(False)
    try:
        with torch.no_grad(), _of_no_size():
            return torch.export.export(
                network, inputs, dynamic_shapes=tuple(shapes), strict=False
            )
    except Exception as error:  # of torch, or of any operator that it meets
        place = _module_at(error.__traceback__)
        where = f" in {place}" if place else ""
        raise NotExportableError(
            f"this model cannot be exported{' at any size' * dynamic}: torch.export "
            f"stops{where} ({first_line(error)})"
        ) from error


@contextmanager
def _of_no_size() -> Iterator[None]:
    """Sizes that are symbols are not asked whether they are 1.

    Else a network with one window along an axis would be another than one with two.
    """
    from torch.fx.experimental import _config

    if not hasattr(_config, "backed_size_oblivious"):  # torch 2.6 and older
        yield
        return
    config: Any = _config  # a module with a class of its own
    with config.patch(backed_size_oblivious=True):
        yield


def unsupported(program: ExportedProgram, error: BaseException) -> str:
    """Names the operator, and the module that uses it, that ONNX lacks."""
    chain: list[BaseException] = []
    while error is not None:
        chain.append(error)
        error = error.__cause__
    found = re.search(r"OpOverload\(op='([\w.]+)'", "".join(map(str, chain)))
    if not found:
        return first_line(chain[-1])
    name = found[1]
    for node in program.graph.nodes:
        stack = node.meta.get("nn_module_stack")
        # It may have been taken apart since, and have another prefix
        if name.rpartition(".")[2] in str(node.target) and stack:
            _, kind = [*stack.values()][-1]
            kind = getattr(kind, "__name__", str(kind).rpartition(".")[2])
            return f"it has no operator {name}, which {kind} uses"
    return f"it has no operator {name}"


def first_line(error: BaseException) -> str:
    """What an error says, in short."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}".rstrip(": ")


def _module_at(trace: TracebackType | None) -> str | None:
    """The innermost module of a model whose code an error came through."""
    found = None
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        kind = type(owner)
        if isinstance(owner, nn.Module) and not kind.__module__.startswith("torch."):
            found = kind.__name__
        trace = trace.tb_next
    return found
