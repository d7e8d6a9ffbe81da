"""Every config builds, decays what it should, and stands in its table."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import (
    DATASETS,
    HOOKS,
    METRICS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISUALIZERS,
    init_default_scope,
)
from tiny import ROOT, build_model, fresh_globals
from torch import nn

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.checkpoints.zoo import find_entry

CONFIGS = sorted(ROOT.glob("configs/[!_]*/*.py"))

# <model>_<backbone>-<size>-p4-w<window>_fpn_<schedule>_<data>
DET_NAME = (
    r"(cascade-)?mask-rcnn_swinv2-(nano|t|s|b|l)-p4-w\d+_fpn_"
    r"((ms-crop-)?\dx_coco|mini-\d+px)"
)
# <backbone>-<size>-p4-w<window>[-<pre-training>-pre]_<model>_<schedule>_<data>-<crop>
SEG_NAME = (
    r"swinv2-(nano|t|s|b|l)-p4-w\d+(-in1k-\d+-pre)?_upernet_"
    r"(\dxb\d-\d+k_ade20k-\d+x\d+|mini-\d+px)"
)


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def cfg(request: pytest.FixtureRequest) -> Config:
    return Config.fromfile(request.param)


def without_weights(cfg: Config) -> Config:
    cfg.model.backbone.init_cfg = None
    return cfg


def test_there_are_configs() -> None:
    """The tests below are not vacuous."""
    assert len(CONFIGS) >= 6


def test_name_and_size(cfg: Config) -> None:
    """OpenMMLab's grammar; the window in the name; a file says only what is its own."""
    path = Path(cfg.filename)
    grammar = DET_NAME if cfg.default_scope == "mmdet" else SEG_NAME
    assert re.fullmatch(grammar, path.stem)
    window = int(re.search(r"-w(\d+)", path.stem)[1])
    assert cfg.model.backbone.window_size == window
    assert cfg.model.backbone.type == "mmswinv2.SwinTransformerV2"
    if path.parent.name != "mini":
        assert len(path.read_text().splitlines()) <= 40


def test_model_and_no_decay(cfg: Config) -> None:
    """Norms, biases, cpb_mlp and logit_scale are not decayed; other weights are."""
    model = build_model(without_weights(cfg))
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    decays = {
        id(parameter): group["weight_decay"]
        for group in wrapper.optimizer.param_groups
        for parameter in group["params"]
    }
    norms = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
    of_norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, norms)
        for parameter in module.parameters()
    }
    decayed = 0
    for name, parameter in model.named_parameters():
        exempt = (
            parameter.ndim == 1
            or id(parameter) in of_norms
            or "cpb_mlp" in name
            or "logit_scale" in name
        )
        assert decays[id(parameter)] == (0 if exempt else 0.05), name
        decayed += not exempt
    assert decayed > 50
    for part in ("q_bias", "v_bias", "logit_scale", "cpb_mlp.0.weight", "norm1.weight"):
        assert any(name.endswith(part) for name, _ in model.named_parameters())


def test_parts(cfg: Config) -> None:
    """Datasets, pipelines, TTA, metrics, hooks and schedules can be built."""
    init_default_scope(cfg.default_scope)
    metainfo = []
    for split in ("train", "val", "test"):
        dataset = cfg[f"{split}_dataloader"].dataset
        metainfo.append(DATASETS.build(dict(dataset, lazy_init=True)).metainfo)
        for transform in dataset.pipeline:
            TRANSFORMS.build(transform)
    assert metainfo[0] == metainfo[1] == metainfo[2]
    heads = cfg.model.get("decode_head") or cfg.model.roi_head.mask_head
    assert heads.num_classes == len(metainfo[0]["classes"])
    for transform in cfg.tta_pipeline:
        TRANSFORMS.build(transform)
    assert cfg.tta_model.type in ("DetTTAModel", "SegTTAModel")

    wrapper = build_optim_wrapper(nn.Linear(2, 2), cfg.optim_wrapper)
    for scheduler in cfg.param_scheduler:
        kwargs = dict(epoch_length=10) if scheduler.get("convert_to_iter_based") else {}
        PARAM_SCHEDULERS.build(dict(scheduler, optimizer=wrapper, **kwargs))
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=16)
    with fresh_globals():
        init_default_scope(cfg.default_scope)
        VISUALIZERS.build(dict(cfg.visualizer, vis_backends=None))
        hooks = [*cfg.default_hooks.values(), *cfg.custom_hooks]
        kinds = [type(HOOKS.build(hook)).__name__ for hook in hooks]
    assert "WindowResolutionTransferHook" in kinds
    evaluator = dict(cfg.val_evaluator)
    evaluator.pop("ann_file", None)  # the data are not here
    METRICS.build(evaluator)


def test_schedule_is_whole(cfg: Config) -> None:
    """The learning rate schedule ends where training ends, in the same unit."""
    loop = cfg.train_cfg
    by_epoch = loop.type == "EpochBasedTrainLoop"
    last = cfg.param_scheduler[-1]
    assert last.by_epoch == by_epoch
    assert last.end == (loop.max_epochs if by_epoch else loop.max_iters)
    assert cfg.log_processor.by_epoch == by_epoch
    assert cfg.default_hooks.checkpoint.get("by_epoch", True) == by_epoch


@pytest.mark.parametrize(
    "path",
    [path for path in CONFIGS if path.parent.name != "mini"],
    ids=lambda p: p.stem,
)
def test_published_settings(path: Path) -> None:
    """Batch 16, published weights by name, and the paper's learning rates."""
    cfg = Config.fromfile(path)
    init_cfg = cfg.model.backbone.init_cfg
    assert init_cfg.type == "Pretrained"
    assert find_entry(init_cfg.checkpoint).architecture == ARCHITECTURES["tiny"]
    assert cfg.train_dataloader.batch_size * 8 == 16
    rate = 1e-4 if cfg.default_scope == "mmdet" else 4e-5
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr) == ("AdamW", rate)
    assert cfg.model.backbone.arch == "tiny"


@pytest.mark.parametrize("name", ["coco", "ade20k"])
def test_tables(name: str) -> None:
    """Each config has its row, and each link in a table leads to a file."""
    folder = ROOT / "configs" / name
    text = (folder / "README.md").read_text()
    links = set(re.findall(r"\]\(([\w.-]+\.py)\)", text))
    assert links == {path.name for path in folder.glob("*.py")}


def test_one_guard_import() -> None:
    """Without the package every config fails with ImportError, which names it."""
    for path in CONFIGS:
        cfg = Config.fromfile(path)
        expected = dict(imports=["mmswinv2"], allow_failed_imports=False)
        assert cfg.custom_imports == expected


def test_ms_crop_scales() -> None:
    """Short sides of 480 to 800 px, long sides of at most 1333 (paper)."""
    path = ROOT / "configs/_base_/datasets/coco_instance_ms-crop.py"
    resize = Config.fromfile(path).train_pipeline[3].transforms[0][0]
    shorts, longs = zip(*resize.scales)
    assert (min(shorts), max(shorts), set(longs)) == (480, 800, {1333})
    assert torch.tensor(shorts).diff().unique().tolist() == [32]
