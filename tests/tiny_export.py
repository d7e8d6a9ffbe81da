"""A segmentor that is quick to export, and runs of what was exported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement
from tiny import ROOT, SEG, load_tiny
from torch import nn

CLASSES = 5
BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
"""
BLOCKED = ("torch", "cv2", "mmengine", "mmcv", "mmseg", "mmdet", "mmpretrain")
BLOCKED += ("mmswinv2", "matplotlib", "onnx", "scipy", "yaml", "torchvision")


def tiny_segmentor(**model: object) -> Config:
    """UPerNet with two blocks and few channels, at 96 px, of five classes."""
    cfg = load_tiny(SEG)
    backbone = dict(arch=None, embed_dims=16, depths=(2,), num_heads=(1,))
    backbone |= dict(out_indices=(0,), window_size=5)
    head = dict(in_channels=[16], in_index=[0], channels=8, num_classes=CLASSES)
    head |= dict(pool_scales=(1, 2))
    cfg.merge_from_dict(dict(model=dict(backbone=backbone, decode_head=head, **model)))
    cfg.test_dataloader.dataset.metainfo = dict(
        classes=("wall", "sky", "floor", "grass", "sea"),
        palette=[[i * 40, 255 - i * 40, 90] for i in range(CLASSES)],
    )
    cfg.test_dataloader.dataset.pipeline[1].scale = (128, 96)
    return cfg


def write_segmentor(folder: Path, cfg: Config, model: nn.Module) -> list[str]:
    """Config and weights, with which no class wins everywhere."""
    folder.mkdir(exist_ok=True)
    cfg.dump(folder / "config.py")
    scores = predict(model, scene(64, 64)).seg_logits.data
    model.decode_head.conv_seg.bias.data -= scores.mean((1, 2))
    meta = dict(dataset_meta=dict(cfg.test_dataloader.dataset.metainfo))
    state = dict(state_dict=model.state_dict(), meta=meta)
    torch.save(state, folder / "weights.pth")
    return [str(folder / "config.py"), str(folder / "weights.pth")]


def predict(model: nn.Module, picture: np.ndarray) -> BaseDataElement:
    """What MMSegmentation itself finds in RGB pixels."""
    pixels = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)
    size = picture.shape[:2]
    sample = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size))
    with torch.no_grad():
        return model.test_step(dict(inputs=[pixels], data_samples=[sample]))[0]


def scene(height: int, width: int) -> np.ndarray:
    """RGB of smooth colours."""
    small = np.random.default_rng(0).integers(0, 255, (5, 6, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def run_alone(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """demo/onnx_demo.py, copied into a folder, where it finds three packages only."""
    (folder / "sitecustomize.py").write_text(BLOCKER.format(blocked=BLOCKED))
    script = folder / "onnx_demo.py"
    script.write_text((ROOT / "demo" / "onnx_demo.py").read_text())
    return python(folder, [str(script), *map(str, arguments)])


def python(folder: Path, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A process of Python that takes a folder's ``sitecustomize``."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
