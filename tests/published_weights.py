"""Random weights in place of published ones, as the cache of downloads has them."""

from __future__ import annotations

from pathlib import Path

import torch

from mmswinv2.checkpoints import zoo
from mmswinv2.checkpoints.convert import convert
from mmswinv2.checkpoints.locate import SwinWeights
from mmswinv2.models import SwinTransformerV2


def write_published(folder: Path) -> Path:
    """A folder for ``MMSWINV2_HOME`` with ``tiny-w8-256``, classifier included."""
    entry = zoo.find_entry("tiny-w8-256")
    tensors = SwinTransformerV2("tiny").state_dict()
    del tensors["window_record"]
    tensors |= {"head.weight": torch.randn(1000, 768), "head.bias": torch.zeros(1000)}
    weights = SwinWeights("mmswinv2", tensors, entry.windows)
    (folder / "weights").mkdir()
    convert(weights, "official").save(folder / "weights" / entry.mirrors[0].file)
    return folder
