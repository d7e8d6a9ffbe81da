"""Sound checkpoints of a tiny model in every layout and container."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.logging import MessageHub
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmswinv2.checkpoints.convert import convert
from mmswinv2.checkpoints.locate import SwinWeights
from mmswinv2.models import SwinTransformerV2

SIZE = dict(
    embed_dims=8,
    depths=(1, 1, 2, 1),
    num_heads=(1, 2, 2, 4),
    mlp_ratio=1.0,
    window_size=[8, 8, 4, 2],
)
WINDOWS = [((8, 8), (4, 4)), ((8, 8), (4, 4)), ((4, 4), (4, 4)), ((2, 2), (2, 2))]
FOLDERS = ("hf", "timm")
WRAPPED = ("official", "torchvision", "mmpretrain", "mmswinv2")
ALL = ("hf", "timm", *WRAPPED)
RUN = "run"


@dataclass(frozen=True)
class Source:
    """A kind of checkpoint.

    Attributes:
        layout (str): Names of its tensors, or 'run' for a training checkpoint.
        container (str): 'zip', 'legacy', 'safetensors', 'folder' (a converter's, with
            config.json), 'foreign' (safetensors without a checksum of ours, where need
            be with config.json), 'shards' (likewise, in two files and an index).
    """

    layout: str
    container: str

    @property
    def protected(self) -> bool:
        """Whether a checksum tells of every change of a byte that matters."""
        return self.container in ("zip", "safetensors", "folder")

    @property
    def is_folder(self) -> bool:
        """Whether a folder is given to those who read it, not a file."""
        foreign = self.container in ("foreign", "shards") and self.layout in FOLDERS
        return self.container == "folder" or foreign


SOURCES = (
    *(Source(layout, c) for layout in (*WRAPPED, RUN) for c in ("zip", "legacy")),
    *(Source(layout, c) for layout in ALL for c in ("safetensors", "foreign")),
    *(Source(layout, c) for layout in FOLDERS for c in ("folder", "shards")),
)


class Detector(nn.Module):
    """A backbone and something behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = SwinTransformerV2(**SIZE)
        self.neck = nn.Linear(64, 3)


@functools.cache
def weights() -> SwinWeights:
    """The weights that all of them have."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.rand(tensor.shape, generator=generator) + 0.5
        for name, tensor in Detector().backbone.state_dict().items()
        if not name.startswith(("norm0", "norm1", "norm2", "window_record"))
    }
    return SwinWeights("mmswinv2", tensors, WINDOWS)


def training_state() -> dict:
    """What a run of a detector saves."""
    torch.manual_seed(0)
    model = Detector()
    model.backbone.load_state_dict(weights().tensors | _record())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.01)
    optimizer.step()
    model.backbone.load_state_dict(weights().tensors | _record())
    hub = MessageHub("sound")
    for value in (2.0, 1.0):
        hub.update_scalar("train/loss", value)
    hub.update_info("iter", 2)
    return {
        "meta": dict(epoch=1, iter=2, seed=0, dataset_meta={"classes": ("a", "b")}),
        "state_dict": model.state_dict(),
        "message_hub": hub.state_dict(),
        "optimizer": optimizer.state_dict(),
        "param_schedulers": [dict(last_step=2, base_values=[1e-3], _global_step=3)],
    }


def _record() -> dict[str, Tensor]:
    windows = [[list(pair) for pair in stage] for stage in WINDOWS]
    return {"window_record": torch.tensor(windows)}


def write(source: Source, folder: Path) -> list[Path]:
    """Write a sound checkpoint into an empty folder; its files, the weights first."""
    if source.layout == RUN:
        path = folder / "epoch_1.pth"
        save(training_state(), path, source.container)
        return [path]
    converted = convert(weights(), source.layout)
    if source.container in ("zip", "legacy"):
        path = folder / "weights.pth"
        converted.save(path)
        save(torch.load(path, weights_only=True), path, source.container)
        return [path]
    if source.container == "safetensors":
        path = folder / "weights.safetensors"
        converted.save(path)
        return [path]
    if source.layout not in FOLDERS:  # these tell their windows themselves
        path = folder / "weights.safetensors"
        save_file(converted.tensors, path, metadata={"format": "pt"})
        return [path]
    inner = folder / "inner"
    converted.save(inner)
    files = [Path(shutil.move(path, folder)) for path in sorted(inner.iterdir())[::-1]]
    inner.rmdir()
    if source.container != "folder":
        tensors = load_file(files[0])
        save_file(tensors, files[0], metadata={"format": "pt"})
    if source.container == "shards":
        files = [*_split(files[0]), files[1]]
    return files


def _split(file: Path) -> list[Path]:
    tensors = load_file(file)
    file.unlink()
    names = [file.with_name(f"model-0000{n}-of-00002.safetensors") for n in (1, 2)]
    index = {name: names[i % 2].name for i, name in enumerate(tensors)}
    for shard in names:
        own = {k: tensors[k] for k in tensors if index[k] == shard.name}
        save_file(own, shard, metadata={"format": "pt"})
    listing = file.with_name("model.safetensors.index.json")
    listing.write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return [*names, listing]


def save(content: object, path: Path, container: str) -> None:
    """Write with torch, in its present format or that of before torch 1.6."""
    zipped = container == "zip"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
