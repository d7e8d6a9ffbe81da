"""What the exporter leaves to be done on an ONNX graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx_ir import Model

FOLDED = 4096  # numbers of a constant; larger ones would fill the file


def tidy(model: Model) -> None:
    """Folds small constants, joins equal ones, and drops what tells of the source.

    Indices of tokens and position biases of all pairs are left to ONNX Runtime, which
    computes them as it loads the file. The exporter's own optimiser would store them:
    its file of 'tiny' is 7 % above its weights at 1024 px, and 4 % at 512.

    Args:
        model (Model): Of an export with ``optimize=False``, changed in place.
    """
    from onnx_ir.passes import Sequential, common
    from onnxscript.optimizer import optimize_ir

    optimize_ir(model, input_size_limit=FOLDED, output_size_limit=FOLDED)
    Sequential(
        common.CommonSubexpressionEliminationPass(),
        common.DeduplicateInitializersPass(),
        common.RemoveUnusedNodesPass(),
        common.ClearMetadataAndDocStringPass(),
    )(model)
