"""The backbone under ``torch.compile`` and ``torch.export``."""

import pytest
import torch
from torch.export import Dim

from mmswinv2.models import SwinTransformerV2

SIZES = [(64, 96), (128, 160), (192, 96), (256, 224), (160, 320)]  # multiples of 32


@pytest.fixture
def model(trained_like):
    torch.compiler.reset()
    return trained_like(
        SwinTransformerV2(
            embed_dims=16,
            depths=(2, 2),
            num_heads=(1, 2),
            out_indices=(0, 1),
            window_size=4,
            drop_path_rate=0.0,
        )
    )


def build(graphs):
    """A compiler that runs graphs as they are and counts them."""

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    return backend


def test_many_sizes_share_one_whole_graph(model):
    """No break in the graph, and sizes with full windows need no second one."""
    graphs = []
    compiled = torch.compile(model, backend=build(graphs), dynamic=True, fullgraph=True)
    for size in SIZES:
        image = torch.randn(1, 3, *size)
        with torch.no_grad():
            for out, expected in zip(compiled(image), model(image), strict=True):
                torch.testing.assert_close(out, expected)
    assert len(graphs) == 1


def test_attention_is_one_node(model):
    graphs = []
    compiled = torch.compile(model, backend=build(graphs), fullgraph=True)
    compiled(torch.randn(1, 3, 64, 64))
    nodes = [str(node.target) for node in graphs[0].graph.nodes]
    assert sum("mmswinv2.window_attention" in name for name in nodes) == 4
    assert not any("softmax" in name for name in nodes)


def test_compiled_training_has_the_gradients_of_eager_training(model):
    model.train()
    compiled = torch.compile(model, backend="aot_eager", dynamic=True, fullgraph=True)
    image = torch.randn(2, 3, 96, 72)

    def grads(run):
        model.zero_grad()
        sum(out.square().sum() for out in run(image)).backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    for given, expected in zip(grads(compiled), grads(model), strict=True):
        # Either way rounding alone makes errors of up to 3e-5 of the norm.
        assert (given - expected).norm() < 1e-4 * expected.norm()


def test_an_exported_model_takes_other_sizes(model):
    side = Dim("side", min=3, max=64)
    exported = torch.export.export(
        model, (torch.randn(1, 3, 128, 96),), dynamic_shapes=[{2: 32 * side}]
    )
    image = torch.randn(1, 3, 224, 96)
    for out, expected in zip(exported.module()(image), model(image), strict=True):
        torch.testing.assert_close(out, expected)


@pytest.mark.filterwarnings("ignore", "error:.*(did not match|differed|did not agree)")
@pytest.mark.parametrize("with_grad", [False, True])
def test_a_trace_passes_its_own_check(model, with_grad):
    """Which traces twice and compares with what ran before and after."""
    image = torch.rand(1, 3, 72, 60)
    with torch.set_grad_enabled(with_grad):
        traced = torch.jit.trace(model, image, check_trace=True)
        for out, expected in zip(traced(image), model(image), strict=True):
            torch.testing.assert_close(out, expected)
