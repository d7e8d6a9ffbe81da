"""What can be known without a GPU of whether a CUDA graph can hold a forward pass.

A graph replays launches: in its capture nothing may come from the host's memory, no
value may go back to it, and nothing that later calls use may be made in it.
"""

import importlib

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from mmswinv2.models import SwinTransformerV2
from mmswinv2.ops import kept
from mmswinv2.ops.residual_norm import choice
from mmswinv2.ops.window_attention import not_finite, window_attention

# Operators that make constants or read values: copies from or to the host on a GPU.
FROM_HOST = {
    *("aten::arange", "aten::lift_fresh", "aten::tensor", "aten::scalar_tensor"),
    *("aten::item", "aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero"),
}


@pytest.fixture
def model(trained_like):
    return trained_like(
        SwinTransformerV2(
            embed_dims=32, depths=(2, 2), num_heads=(2, 4), window_size=4,
            out_indices=(0, 1),
        )
    )  # fmt: skip


@pytest.fixture
def on_gpu(monkeypatch):
    """Launches of Triton kernels that do nothing, as the host sees those on a GPU."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("needs triton")
    from triton.runtime.interpreter import InterpretedFunction

    launches = []

    def launch(kernel, grid):
        return lambda *args, **kwargs: launches.append(kernel.fn.__name__)

    monkeypatch.setattr(InterpretedFunction, "__getitem__", launch)
    monkeypatch.setenv("MMSWINV2_ATTENTION", "triton")
    monkeypatch.setenv(choice.VARIABLE, "triton")
    return launches


def operators(model, image):
    """Names of the operators of an eval forward pass under autocast."""
    autocast = torch.autocast("cpu", torch.bfloat16)
    with torch.no_grad(), autocast, profile(activities=[ProfilerActivity.CPU]) as seen:
        model(image)
    return {event.key for event in seen.key_averages()}


@pytest.mark.skipif(torch.cuda.is_available(), reason="imitates a GPU")
def test_a_second_pass_with_kernels_takes_nothing_from_the_host(model, on_gpu):
    image = torch.rand(1, 3, 72, 60)  # padded and shifted windows
    operators(model, image)
    assert on_gpu.count("prepare_kernel") == 4
    on_gpu.clear()
    assert not operators(model, image) & FROM_HOST
    assert set(on_gpu) == {"forward_kernel"}


def test_a_second_pass_of_the_fallback_takes_nothing_from_the_host(model, monkeypatch):
    monkeypatch.setenv("MMSWINV2_ATTENTION", "sdpa")
    monkeypatch.setattr(not_finite, "_is_finite", lambda x: True)  # CPUs alone ask
    image = torch.rand(1, 3, 72, 60)
    operators(model, image)
    assert not operators(model, image) & FROM_HOST


def test_nothing_is_kept_of_what_a_capture_makes(model, monkeypatch):
    """Its memory has no values before the graph runs, and is the graph's."""
    capturing = True
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing)
    attention = model.layers[0].blocks[0].attn
    window = (7, 3), (7, 3)
    assert not kept.may_keep()
    with torch.no_grad():
        first = attention.position_bias(*window)
        assert attention.position_bias(*window) is not first
        assert attention.cpb_mlp.coords(*window) is not attention.cpb_mlp.coords(
            *window
        )
        capturing = False
        first = attention.position_bias(*window)
        coords = attention.cpb_mlp.coords(*window)
        capturing = True  # what was there before serves the capture
        assert attention.position_bias(*window) is first
        assert attention.cpb_mlp.coords(*window) is coords
    # Nor is it freed when other values are kept: a graph reads it.
    assert any(held is first for held in kept._held)
    assert any(held is coords for held in kept._held)


@pytest.mark.skipif(torch.cuda.is_available(), reason="imitates a GPU")
def test_what_kernels_read_is_prepared_once_for_tensors_that_stay(on_gpu):
    qkv = torch.randn(1, 4, 4, 96)
    table, scale = torch.rand(2, 7, 7), torch.ones(2)

    def prepared(table, scale, frozen):
        on_gpu.clear()
        window_attention(qkv, table, scale, window=(4, 4), frozen=frozen)
        return on_gpu.count("prepare_kernel")

    assert prepared(table, scale, True) == 1
    assert prepared(table, scale, True) == 0
    assert prepared(table, scale, False) == 1  # it may have changed
    assert prepared(table.clone(), scale, True) == 1
    assert prepared(table, scale.clone(), True) == 1


def test_constants_made_without_gradients_serve_training():
    make = kept.kept(2)(lambda n: torch.arange(n) / 2)
    with torch.inference_mode():
        half = make(5)
    assert make(5) is half
    weight = torch.ones(5, requires_grad=True)
    (weight * half).sum().backward()
    assert torch.equal(weight.grad, half)
    make(6), make(7)
    assert make(5) is not half  # the oldest of two has gone
