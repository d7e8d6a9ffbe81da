"""The configs of Kinetics-400: V1's and the paper's recipes, and a step of each."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from tiny import ROOT, Tool, save_weights
from tiny_video import write_videos

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.checkpoints.zoo import find_entry
from mmswinv2.own_data.checks.config import check_config

CONFIGS = sorted(ROOT.glob("configs/kinetics400/*.py"))
PATHS = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
# By size and epochs: batch, rate, decay, warm-up, drop path, crops in tests. Of G the
# paper's, but for drop path; of the others Video Swin V1's.
RECIPES = {
    "t-30": (64, 1e-3, 0.02, 2.5, 0.1, 3),
    "s-30": (64, 1e-3, 0.02, 2.5, 0.1, 3),
    "b-30": (64, 1e-3, 0.05, 2.5, 0.3, 3),
    "b-in22k-30": (64, 3e-4, 0.05, 2.5, 0.2, 3),
    "g-20": (80, 3.6e-4, 0.1, 2.5, 0.4, 5),
    "g-5": (64, 5e-5, 0.1, 1, 0.4, 5),
}
PIXELS = ("short_side", "size")


@PATHS
def test_recipe(path: Path) -> None:
    """Batch, rates, decay, drop path, crops; clips as the name has them."""
    cfg = Config.fromfile(path)
    pattern = r"-(\d+)e_kinetics400-(\d+)x(\d)-(\d+)px(?:-to-(\d+)px)?$"
    epochs, frames, interval, px, larger = re.search(pattern, path.stem).groups()
    given = "in22k-" * ("in22k" in path.stem)
    key = f"{path.stem[len('swinv2-')]}-{given}{epochs}"
    batch, rate, decay, warm_up, drop_path, crops = RECIPES[key]
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.type == "AdamW"
    assert (optimizer.lr, optimizer.weight_decay) == (rate, decay)
    assert cfg.auto_scale_lr.base_batch_size == batch
    rise, fall = cfg.param_scheduler
    assert rise.end == fall.begin == warm_up
    assert fall.end == cfg.train_cfg.max_epochs == int(epochs)
    assert cfg.model.backbone.drop_path_rate == drop_path
    views = [cfg.test_dataloader.dataset.pipeline[i] for i in (0, -2)]
    assert (views[0].num_clips, views[1].number) == (4, crops)
    for split in ("train", "val", "test"):
        sample, *steps, pack = cfg[f"{split}_dataloader"].dataset.pipeline
        assert pack.type == "mmswinv2.PackClip"
        assert (sample.clip_len, sample.frame_interval) == (int(frames), int(interval))
        (crop,) = [step.size for step in steps if "Crop" in step.type]
        (side,) = [step.short_side for step in steps if "short_side" in step]
        assert crop == int(px if split == "train" else larger or px)
        assert side == (crop if split == "test" else int(256 / 224 * crop))


@PATHS
def test_weights(path: Path) -> None:
    """Published ones of images, as the name says; G from its first stage."""
    cfg = Config.fromfile(path)
    backbone = cfg.model.backbone
    if backbone.arch == "giant":
        assert backbone.get("init_cfg") is None
        second = "-5e_" in path.stem
        assert bool(cfg.get("load_from")) == second
        if second:
            _, first, file = cfg.load_from.split("/")
            (stage,) = [path for path in CONFIGS if path.stem == first]
            assert file == f"epoch_{Config.fromfile(stage).train_cfg.max_epochs}.pth"
        return
    entry = find_entry(backbone.init_cfg.checkpoint)
    data, px = re.search(r"-(in1k|in22k)-(\d+)-pre", path.stem).groups()
    assert entry.architecture == ARCHITECTURES[backbone.arch]
    assert entry.image_size == int(px) and ("22k" in entry.name) == (data == "in22k")
    assert cfg.model.head.in_channels == 8 * entry.architecture.embed_dims


def reduce(path: Path) -> Config:
    """The config at an eighth of its size, with clips of a quarter."""
    cfg = Config.fromfile(path)
    for split in ("train", "val", "test"):
        loader = cfg[f"{split}_dataloader"]
        loader.update(num_workers=0, persistent_workers=False)
        loader.batch_size = min(loader.batch_size, 3)
        for step in loader.dataset.pipeline:
            step.update({k: step[k] // 8 for k in PIXELS if k in step})
            if "clip_len" in step:
                step.clip_len //= 4
        loader.dataset.metainfo = dict(classes=("red", "green", "blue"))
    model = cfg.model
    model.backbone.update(arch="nano", init_cfg=None, depths=(1, 1, 1, 1))
    model.head.update(in_channels=256, num_classes=3)
    model.data_preprocessor.num_classes = 3
    for split in ("val", "test"):
        cfg[f"{split}_evaluator"][0].topk = (1, 2)
    for key in ("runner_type", "strategy"):  # for several processes
        cfg.pop(key, None)
    return cfg


@PATHS
def test_one_step(path: Path) -> None:
    """Every config takes a finite step that changes its classifier, and predicts."""
    cfg = reduce(path)
    assert [*check_config(cfg, [])] == []  # heads, norms and settings
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    steps = cfg.train_dataloader.dataset.pipeline
    px, frames = steps[3].size, steps[0].clip_len
    samples = [DataSample().set_gt_label(label) for label in (0, 1)]
    clips = torch.randint(256, (2, 3, frames, px, px), dtype=torch.uint8)
    before = model.head.fc.weight.clone()
    losses = model.train_step(dict(inputs=clips, data_samples=samples), wrapper)
    assert torch.isfinite(losses["loss"])
    assert not torch.equal(model.head.fc.weight, before)
    assert torch.isfinite(model.head.fc.weight).all()
    model.eval()
    views = clips[:1, None].repeat(1, 5, 1, 1, 1, 1)
    with torch.no_grad():
        (found,) = model.test_step(dict(inputs=views, data_samples=samples[:1]))
    assert found.pred_score.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("end", ["32x2-224px", "320px-to-384px"])
def test_trains_and_evaluates(end: str, tool: Tool, tmp_path: Path) -> None:
    """An epoch, validations and a test of all views, by the commands."""
    root = write_videos(tmp_path / "data", prefixed=False)
    path = next(path for path in CONFIGS if path.stem.endswith(end))
    cfg = reduce(path)
    cfg.train_cfg.max_epochs = 1
    if cfg.load_from:
        cfg.load_from = save_weights(cfg, tmp_path / "first.pth")
    cfg.dump("config.py")
    moved = ["--cfg-options", f"data_root={root}"]
    assert "6 videos in batches of" in tool("tools/train.py", "config.py", *moved)
    (weights,) = Path("work_dirs/config").glob("best_*.pth")
    out = tool("tools/test.py", "config.py", weights, *moved)
    table = dict(re.findall(r"^(top1|top2|recall) +([\d.]+)$", out, re.MULTILINE))
    assert table.keys() == {"top1", "top2", "recall"}
    assert np.isfinite([*map(float, table.values())]).all()
