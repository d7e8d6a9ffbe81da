"""ONNX files whose weights are stored in fp16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mmswinv2.export import portable
from mmswinv2.export.making import Wish
from mmswinv2.export.onnx_graph import halve_weights, tidy
from mmswinv2.models import SwinTransformerV2

onnx_ir = pytest.importorskip("onnx_ir")
onnxruntime = pytest.importorskip("onnxruntime")


def exported() -> torch.onnx.ONNXProgram:
    """One stage, at one size."""
    torch.manual_seed(0)
    sizes = dict(embed_dims=64, depths=(2,), num_heads=(2,), out_indices=(0,))
    model = SwinTransformerV2(**sizes, window_size=4)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.05)
    inputs = (torch.zeros(1, 3, 32, 32),)
    program = torch.onnx.export(
        portable(model, dynamic=False),
        inputs,
        dynamo=True,
        optimize=False,
        verbose=False,
    )
    tidy(program.model)
    return program


def test_a_file_of_fp16_weights_is_half_as_large_and_gives_nearly_the_same(
    tmp_path: Path,
) -> None:
    program = exported()
    program.save(tmp_path / "fp32.onnx")
    halve_weights(program.model)
    program.save(tmp_path / "fp16.onnx")
    whole, half = tmp_path / "fp32.onnx", tmp_path / "fp16.onnx"
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    image = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
    sessions = map(onnxruntime.InferenceSession, (whole, half))
    expected, found = (
        session.run(None, {session.get_inputs()[0].name: image})[0]
        for session in sessions
    )
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    assert 0 < difference < 2e-3
    assert found.dtype == np.float32


def test_weights_that_fp16_cannot_hold_are_named() -> None:
    weight = onnx_ir.tensor(np.full((64, 64), 1e5, np.float32), name="large")
    value = onnx_ir.Value(name="large", const_value=weight)
    image = onnx_ir.Value(name="image")
    product = onnx_ir.node("MatMul", [image, value])
    graph = onnx_ir.Graph(
        [image], product.outputs, nodes=[product], initializers=[value]
    )
    with pytest.raises(ValueError, match="weight large has numbers beyond 65504"):
        halve_weights(onnx_ir.Model(graph, ir_version=10))


@pytest.mark.parametrize("target", ["torch-export", "aot"])
def test_fp16_weights_are_of_onnx_files_alone(target: str, tmp_path: Path) -> None:
    wish = Wish(tmp_path / "model.pt2", target, precision="fp16")
    with pytest.raises(ValueError, match="--precision fp16 is for --to onnx alone"):
        wish.check()


def test_onnx_tells_the_torch_that_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(RuntimeError, match=r"needs torch 2.6 or newer, this is 2.5.1"):
        Wish(tmp_path / "model.onnx").check()
