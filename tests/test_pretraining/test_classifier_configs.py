"""The configs of ImageNet: the official recipe, and one epoch of each, reduced."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import CosineAnnealingLR, LinearLR, build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from tiny import ROOT, Tool, reduce_sizes
from torch import nn

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.checkpoints.zoo import find_entry
from mmswinv2.own_data.checks.config import check_config

CONFIGS = sorted(ROOT.glob("configs/imagenet/*.py"))
PATHS = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)

# By the end of a name: batch, rate, first and last rate, decay, epochs, warm-up. Rates
# in the official files are for 512 pictures.
RECIPES = {
    "300e_in1k-256px": (1024, 1e-3, 1e-6, 1e-5, 0.05, 300, 20),
    "90e_in22k-192px": (4096, 1e-3, 1e-6, 1e-5, 0.1, 90, 5),
    "30e_in1k-256px": (1024, 4e-5, 4e-8, 4e-7, 1e-8, 30, 5),
    "30e_in1k-384px": (1024, 4e-5, 4e-8, 4e-7, 1e-8, 30, 5),
    "100e_in1k-224px": (2048, 5e-3, 1e-6, 1e-6, 0.05, 100, 20),
}
DROP_PATH = {"t": 0.2, "s": 0.3, "b": 0.5}  # from scratch on ImageNet-1K
TESTS = {192: [219, 192], 224: [256, 224], 256: [292, 256], 384: [(384, 384)]}  # px


def rates(cfg: Config, iterations: int) -> Iterator[float]:
    """The learning rate of every iteration, with so many an epoch."""
    base = cfg.optim_wrapper.optimizer.lr
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=base)
    kinds = {"LinearLR": LinearLR, "CosineAnnealingLR": CosineAnnealingLR}
    schedulers = []
    for scheduler in cfg.param_scheduler:
        settings = dict(scheduler)
        kind = kinds[settings.pop("type")]
        assert settings.pop("convert_to_iter_based")
        build = kind.build_iter_from_epoch
        settings["epoch_length"] = iterations
        schedulers.append(build(optimizer, **settings))
    for _ in range(cfg.train_cfg.max_epochs * iterations):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()


@PATHS
def test_recipe(path: Path) -> None:
    """Batch, rates, decay, drop path, augmentation and size as officially."""
    cfg = Config.fromfile(path)
    (end,) = [end for end in RECIPES if path.stem.endswith(f"-{end}")]
    batch, rate, first, last, decay, epochs, warm_up = RECIPES[end]
    optimizer = cfg.optim_wrapper.optimizer
    found = cfg.auto_scale_lr.base_batch_size, optimizer.lr, optimizer.weight_decay
    assert found == (batch, rate, decay)
    assert optimizer.type == "AdamW" and optimizer.betas == (0.9, 0.999)
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=5.0)
    curve = np.array([*rates(cfg, iterations=10)])
    assert len(curve) == epochs * 10
    assert curve[0] == pytest.approx(first)
    assert curve[warm_up * 10] == pytest.approx(rate)
    assert curve.argmax() in (warm_up * 10 - 1, warm_up * 10)
    assert last <= curve[-1] < last + 1e-3 * rate
    size = path.stem[len("swinv2-")]
    scratch = "300e" in end
    expected = DROP_PATH[size] if scratch else 0.1 if "simmim" in path.stem else 0.2
    assert cfg.model.backbone.drop_path_rate == expected
    px = int(re.search(r"(\d+)px", end)[1])
    steps = cfg.test_dataloader.dataset.pipeline[1:-1]
    assert [step.get("scale") or step.crop_size for step in steps] == TESTS[px]
    assert {s.interpolation for s in steps[:1]} == {"bicubic"}
    assert cfg.model.train_cfg.augments == [
        dict(type="Mixup", alpha=0.8),
        dict(type="CutMix", alpha=1.0),
    ]
    assert not [hook for hook in cfg.custom_hooks if "EMA" in hook.type]
    assert cfg.randomness.diff_rank_seed


@PATHS
def test_weights(path: Path) -> None:
    """From scratch, or from the published weights that the name says."""
    cfg = Config.fromfile(path)
    model, backbone = cfg.model.get("init_cfg"), cfg.model.backbone.get("init_cfg")
    given = re.search(r"-(in22k|simmim-1k)-(\d+)-pre", path.stem)
    if not given:
        assert model is backbone is None
        return
    # of 22K with its classifier, of SimMIM there is none
    init_cfg, other = (model, backbone) if given[1] == "in22k" else (backbone, model)
    assert init_cfg.type == "Pretrained" and other is None
    entry = find_entry(init_cfg.checkpoint)
    assert entry.classes == (21841 if given[1] == "in22k" else 0)
    assert (entry.data, entry.window) == (
        ("ImageNet-22K", 12) if given[1] == "in22k" else (entry.data, 12)
    )
    assert entry.image_size == int(given[2])
    arch = cfg.model.backbone.arch
    assert entry.architecture.depths == ARCHITECTURES[arch].depths
    assert entry.architecture.embed_dims == ARCHITECTURES[arch].embed_dims
    assert cfg.model.head.in_channels == 8 * ARCHITECTURES[arch].embed_dims


def reduce(path: Path) -> Config:
    """The config at an eighth of its size, for three classes of 1000."""
    cfg = Config.fromfile(path)
    for split in ("train", "val", "test"):
        loader = cfg[f"{split}_dataloader"]
        loader.update(num_workers=0, persistent_workers=False, batch_size=8)
        loader.dataset.pipeline = reduce_sizes(loader.dataset.pipeline)
        if loader.dataset.type == "ImageNet":
            loader.dataset.metainfo = dict(classes=("floor", "grass", "sky"))
    model = cfg.model
    model.init_cfg = None
    model.backbone.update(arch="nano", init_cfg=None)
    model.head.in_channels = 256
    if "in1k" in path.stem.rpartition("_")[2]:
        model.head.num_classes = model.data_preprocessor.num_classes = 3
        for split in ("val", "test"):
            cfg[f"{split}_evaluator"].topk = (1, 2)
    for key in ("runner_type", "strategy"):  # for several processes
        cfg.pop(key, None)
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint = None
    return cfg


# 30 epochs at 256 px have the data of one of these and the schedule of another.
@pytest.mark.parametrize("end", sorted(RECIPES.keys() - {"30e_in1k-256px"}))
def test_trains_and_evaluates(end: str, tool: Tool, class_folders: Path) -> None:
    """Three iterations and a validation of each recipe, by the command."""
    cfg = reduce(next(path for path in CONFIGS if path.stem.endswith(f"-{end}")))
    for split in ("train", "val"):
        dataset = cfg[f"{split}_dataloader"].dataset
        if dataset.type == "mmswinv2.ImageNet22K":
            files = sorted(class_folders.glob(f"{split}/*/*.jpg"))
            entries = [(str(f.relative_to(class_folders)), len(f.stem)) for f in files]
            Path(f"{split}.json").write_text(json.dumps(entries))
            dataset.ann_file = str(Path(f"{split}.json").resolve())
    cfg.dump("config.py")
    moved = f"data_root={class_folders}"
    tool("tools/train.py", "config.py", "--cfg-options", moved)
    (record,) = Path("work_dirs/config").glob("*/vis_data/scalars.json")
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert len(losses) == 3 and np.isfinite(losses).all() and min(losses) > 0
    assert "accuracy/top1" in rows[-1]


@PATHS
def test_one_step(path: Path) -> None:
    """Every config takes a finite step that changes its classifier."""
    cfg = reduce(path)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    px = cfg.train_dataloader.dataset.pipeline[1].scale
    samples = [DataSample().set_gt_label(label) for label in (0, 1)]
    batch = dict(inputs=torch.rand(2, 3, px, px) * 255, data_samples=samples)
    before = model.head.fc.weight.clone()
    losses = model.train_step(batch, wrapper)
    assert torch.isfinite(losses["loss"])
    assert not torch.equal(model.head.fc.weight, before)
    assert torch.isfinite(model.head.fc.weight).all()


def test_own_pictures(class_folders: Path, tmp_path: Path) -> None:
    """The config that the page on pre-training has for pictures of one's own."""
    page = (ROOT / "docs/pretraining.md").read_text()
    (text,) = re.findall(r"```python\n(.+?)```", page, re.DOTALL)
    text = text.replace("data/classes", str(class_folders))
    (tmp_path / "own.py").write_text(text)
    cfg = Config.fromfile(tmp_path / "own.py")
    cfg.train_dataloader.batch_size = 8  # there are 24
    assert [*check_config(cfg, ["train", "val", "test"])] == []
    assert cfg.train_cfg.max_epochs == 30
    assert cfg.test_dataloader.dataset.data_prefix == "val"
