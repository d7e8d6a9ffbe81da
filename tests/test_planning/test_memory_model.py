"""Bytes that the model counts against those that autograd saves."""

from dataclasses import replace
from unittest.mock import MagicMock

import pytest
import torch
import torch.nn.functional as F

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.models import SwinTransformerV2, position_bias
from mmswinv2.ops import linear
from mmswinv2.ops.residual_norm import operator
from mmswinv2.ops.window_attention import not_finite, sdpa
from mmswinv2.ops.window_attention.operator import window_attention_operator
from mmswinv2.planning import saved_tensors
from mmswinv2.planning.memory_model import (
    Block,
    Part,
    Training,
    attention_kept,
    block_passing,
    peak,
)

IMAGE, BATCH = (136, 200), 2  # maps of odd lengths, padded windows
CASES = [
    dict(attention="chunked"),
    dict(attention="reference"),
    dict(attention="sdpa"),
    dict(attention="sdpa", window_size=7),
    dict(window_size=16, window_fit="divide"),
    dict(window_size=7, window_fit="pad"),
    dict(with_cp=(True,) * 4),
    dict(with_cp=(True, False, True, False), checkpoint="mlp"),
    dict(frozen_stages=2),
    dict(drop_rate=0.1),
    dict(position_bias="table"),
    dict(extra_norm_every_n_blocks=2, out_indices=(1, 3)),
    dict(out_indices=(0, 1)),
]


def predict(model, number, kwargs, device="cpu"):
    arch = ARCHITECTURES["nano"]
    every = kwargs.pop("extra_norm_every_n_blocks", 0)
    kwargs.pop("window_size", None)
    arch = replace(arch, extra_norm_every_n_blocks=every).first(len(model.layers))
    training = Training(
        arch,
        IMAGE,
        BATCH,
        model.window_size,
        number=number,
        device=device,
        **kwargs,
    )
    return sum(part.kept for part in training.parts())


@pytest.mark.parametrize("number", [2, 4])
@pytest.mark.parametrize("kwargs", CASES, ids=str)
def test_kept_is_what_autograd_saves(kwargs, number):
    """In fp32, and in the precision that CUDA's autocast gives every operator."""
    model = SwinTransformerV2("nano", **kwargs).train()
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=number == 2)
    with saved_tensors.CudaAutocast(), autocast:  # noqa: SIM117
        with saved_tensors.SavedBytes(model.parameters()) as saved:
            maps = model(torch.rand(BATCH, 3, *IMAGE))
    assert maps[-1].requires_grad
    assert predict(model, number, {**kwargs}) == pytest.approx(saved.total, rel=0.02)


@pytest.mark.parametrize("number", [2, 4])
@pytest.mark.parametrize(
    "kwargs",
    [
        dict(),
        dict(with_cp=(True, False, True, False)),
        dict(with_cp=(True,) * 4, checkpoint="mlp"),
        dict(extra_norm_every_n_blocks=2, out_indices=(1, 3)),
    ],
    ids=str,
)
def test_the_fused_norms_of_cuda_keep_less(kwargs, number, monkeypatch):
    """With the attention of a CPU, and kernels that do nothing."""
    pytest.importorskip("triton", "3.2", reason="needs triton 3.2 or newer")
    monkeypatch.setattr(operator, "_kernels", MagicMock)
    monkeypatch.setattr(not_finite, "_is_finite", lambda x: True)  # whatever they left
    # What a CPU alone computes again.
    monkeypatch.setattr(linear, "_is_plain", lambda x: False)
    monkeypatch.setattr(position_bias, "checkpoint", lambda f, *x, **options: f(*x))
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    kwargs = dict(kwargs, attention="chunked")
    model = SwinTransformerV2("nano", **kwargs).train()
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=number == 2)
    kept = {}
    for norms in ("plain", "triton"):
        monkeypatch.setenv("MMSWINV2_RESIDUAL_NORM", norms)
        with saved_tensors.CudaAutocast(), autocast:  # noqa: SIM117
            with saved_tensors.SavedBytes(model.parameters()) as saved:
                model(torch.rand(BATCH, 3, *IMAGE))
        kept[norms] = saved.total
    predicted = predict(model, number, kwargs, "cuda")
    assert predicted == pytest.approx(kept["triton"], rel=0.02)
    if number == 2:
        assert kept["triton"] < 0.97 * kept["plain"]


def test_a_count_without_products_is_the_same():
    model = SwinTransformerV2("nano").train()
    image = torch.rand(1, 3, 64, 64)
    with saved_tensors.SavedBytes(model.parameters()) as real:
        model(image)
    zero, count = saved_tensors.ZeroProducts(), saved_tensors.SavedBytes
    with zero, count(model.parameters(), forget=True) as without:
        model(image)
    assert (without.total, without.largest) == (real.total, real.largest) != (0, 0)


def efficient_attention(q, k, v, attn_mask, dropout_p, scale):
    """The CUDA kernel that 'sdpa' takes, on the meta device."""
    bias = attn_mask.expand(len(q), -1, -1, -1)
    return torch.ops.aten._scaled_dot_product_efficient_attention(
        q, k, v, bias, True, dropout_p, scale=scale
    )[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("size", "window", "shift", "batch"),
    [
        ((32, 40), (8, 8), (4, 4), 2),
        ((32, 40), (8, 8), (0, 0), 2),
        ((33, 41), (7, 7), (3, 3), 1),
        ((50, 60), (16, 12), (8, 6), 1),
    ],
)
@pytest.mark.parametrize("name", ["sdpa", "chunked", "triton"])
def test_kept_on_cuda(name, size, window, shift, batch, dtype, monkeypatch):
    """The shapes of CUDA's kernels, with the projection that keeps the output."""
    monkeypatch.setattr(sdpa.F, "scaled_dot_product_attention", efficient_attention)
    heads, channels = 4, 128

    def made(*shape, dtype=torch.float32):
        leaf = torch.empty(shape, device="meta", dtype=dtype, requires_grad=True)
        return leaf * 1

    qkv = made(batch, *size, 3 * channels, dtype=dtype)
    table = made(heads, *(2 * length - 1 for length in window))
    scale, weight = made(heads), made(channels, channels, dtype=dtype)
    with saved_tensors.SavedBytes([table, scale, weight]) as saved:
        if name == "sdpa":
            out = sdpa.sdpa_window_attention(qkv, table, scale, window, shift, 0.0)
        else:
            args = (qkv, table, scale, [*window], [*shift], name)
            out = window_attention_operator(*args)[0]
        F.linear(out, weight)
    block = Block(
        batch, size, window, shift, channels, heads, 4 * channels, dtype.itemsize
    )
    predicted = attention_kept(block, name, "cuda")
    assert predicted == pytest.approx(saved.total, rel=0.03)


def test_the_peak_is_where_gradients_of_late_parts_meet_early_activations():
    parts = [Part("a", 0, 10, 1), Part("b", 0, 5, 0), Part("c", 0, 1, 2)]
    assert peak(parts) == 18  # all kept, and what passes in c
    assert peak(parts, [0, 3, 100]) == 16 + 2 + 100
    assert peak(parts, [100, 3, 0]) == 10 + 1 + 103
    assert peak([]) == 0


def test_recomputation_trades_what_is_kept_for_what_passes():
    def total(recompute):
        training = Training(
            ARCHITECTURES["tiny"],
            (512, 512),
            1,
            ((16, 16),) * 4,
            with_cp=(recompute is not None,) * 4,
            checkpoint=recompute or "block",
        )
        return peak(training.parts())

    assert total("block") < total("mlp") < total(None)
    block = Block(1, (128, 128), (16, 16), (0, 0), 96, 3, 384, 2)
    assert block_passing(block, recompute="block") > block_passing(block)


def test_only_implementations_that_keep_logits_grow_with_the_window():
    """At 1024 px, where no window pads."""

    def kept(attention, window):
        windows = ((window, window),) * 4
        arch = ARCHITECTURES["base"]
        training = Training(arch, (1024, 1024), 1, windows, attention=attention)
        return sum(part.kept for part in training.parts())

    assert kept("triton", 32) < 1.15 * kept("triton", 8)  # biases
    assert kept("chunked", 32) < kept("triton", 32)
    assert kept("reference", 32) > 2 * kept("reference", 8)
    assert kept("reference", 32) > 4 * kept("triton", 32)
