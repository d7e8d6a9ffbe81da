"""ONNX files of 8 bits, calibrated on pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny import Tool, build_model
from tiny_export import tiny_segmentor
from torch import nn

EXPORT = "tools/export.py"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten pictures of smooth colours."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(10):
        small = rng.integers(0, 255, (5, 6, 3), np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), cv2.resize(small, (90 + i, 70)))
    return folder


@pytest.fixture
def model(tmp_path: Path, trained_like: Callable[[nn.Module], nn.Module]) -> list[str]:
    """A segmentor."""
    cfg = tiny_segmentor()
    cfg.dump(tmp_path / "config.py")
    state = trained_like(build_model(cfg)).state_dict()
    meta = dict(dataset_meta=dict(cfg.test_dataloader.dataset.metainfo))
    torch.save(dict(state_dict=state, meta=meta), tmp_path / "weights.pth")
    return [str(tmp_path / "config.py"), str(tmp_path / "weights.pth")]


def test_a_file_of_8_bits_is_compared_on_pictures_that_it_was_not_calibrated_with(
    model: list[str], photos: Path, tool: Tool, tmp_path: Path
) -> None:
    import onnx

    out = tmp_path / "model.onnx"
    size = ("--size", 64, 96)
    printed = tool(EXPORT, *model, "--out", out, *size, "--int8", photos)
    assert "calibrating it for 8 bits" in printed
    facts = json.loads(out.with_suffix(".json").read_text())
    assert facts["precision"] == "int8"
    assert facts["parity"]["sizes"] == [[64, 96]] * 2  # a fifth of ten
    assert 0 < facts["parity"]["largest_difference"] < 0.5
    graph = onnx.load(out).graph
    weights = {w.name: w for w in graph.initializer}
    small = [w for w in weights.values() if w.data_type == onnx.TensorProto.INT8]
    assert len(small) > 20  # 3 blocks of 6 products, and the head
    patches = [name for name in weights if "patch_embed.proj.weight" in name]
    assert weights[patches[0]].data_type == onnx.TensorProto.FLOAT


def test_too_few_pictures_and_a_missing_folder_are_told(
    model: list[str], photos: Path, tool: Tool, tmp_path: Path
) -> None:
    options = (*model, "--out", tmp_path / "model.onnx", "--size", 64, 96, "--int8")
    (photos / "0.png").unlink()
    assert "has 9 pictures; 10 or more are needed" in tool.fails(
        EXPORT, *options, photos
    )
    message = tool.fails(EXPORT, *options, tmp_path / "nowhere")
    assert "nowhere: there is no such folder" in message
