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

    limits = dict(input_size_limit=FOLDED, output_size_limit=FOLDED)
    optimize_ir(model, num_iterations=1, **limits)  # a second finds next to nothing
    Sequential(
        common.CommonSubexpressionEliminationPass(),
        common.DeduplicateInitializersPass(),
        common.RemoveUnusedNodesPass(),
        common.ClearMetadataAndDocStringPass(),
    )(model)


HALVED = 1024  # numbers of a weight that is worth it
PRODUCTS = {"MatMul", "Gemm", "Conv", "ConvTranspose", "Transpose"}


def halve_weights(model: Model) -> None:
    """Stores the weights of products in fp16, half the file; all is computed in fp32.

    ONNX Runtime brings them back to fp32 as it loads the file, so that a picture takes
    no more time than with fp32 weights. Norms and position biases stay as they are.

    Args:
        model (Model): Changed in place.

    Raises:
        ValueError: A weight is beyond what fp16 can hold.
    """
    import numpy as np
    import onnx_ir as ir

    graph = model.graph
    for name, value in [*graph.initializers.items()]:
        weight = value.const_value
        users = {node.op_type for node in value.consumers()}
        if weight.dtype != ir.DataType.FLOAT or weight.size < HALVED:
            continue
        if value.is_graph_input() or not users <= PRODUCTS:
            continue
        half = weight.numpy().astype(np.float16)
        if not np.isfinite(half).all():
            raise ValueError(
                f"the weight {name} has numbers beyond 65504, the largest of fp16; use "
                "--precision fp32"
            )
        stored = ir.Value(name=f"{name}.fp16", const_value=ir.tensor(half))
        stored.type, stored.shape = ir.TensorType(ir.DataType.FLOAT16), value.shape
        cast = ir.node("Cast", [stored], attributes={"to": ir.DataType.FLOAT})
        cast.outputs[0].name = f"{name}.fp32"
        ir.convenience.replace_all_uses_with(value, cast.outputs[0])
        graph.initializers.pop(name)
        graph.register_initializer(stored)
        graph.insert_before(graph[0], cast)
