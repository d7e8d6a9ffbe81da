"""Every config builds, decays what it should, and stands in its table."""

import copy
import re
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from config_names import grammar
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import (
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISUALIZERS,
    init_default_scope,
)
from tiny import ROOT, fresh_globals
from torch import nn

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.checkpoints.zoo import find_entry
from mmswinv2.cli.preflight import as_list
from mmswinv2.cli.tta import use_tta
from mmswinv2.models.window_fit import fit_axis

CONFIGS = sorted(ROOT.glob("configs/[!_]*/*.py"))

# Parameters in millions. Swin V1's with the same heads, where it has them: V2 adds the
# small networks of the position bias, 0.1 to 0.3 %. UPerNet, Mask R-CNN, Cascade: V1's
# READMEs; HTC++: V1's paper, table 2; Mask2Former: its paper.
PARAMETERS = {
    r"mask-rcnn_swinv2-t": 48,
    r"mask-rcnn_swinv2-s": 69,
    r"mask-rcnn_swinv2-b": 107,
    r"cascade-mask-rcnn_swinv2-t": 86,
    r"cascade-mask-rcnn_swinv2-s": 107,
    r"cascade-mask-rcnn_swinv2-b": 145,
    r"htc\+\+_swinv2-b": 160,
    r"htc\+\+_swinv2-l": 284,
    r"mask2former_swinv2-b": 107,
    r"mask2former_swinv2-l": 216,
    r"dino-5scale_swinv2-l": 218,
    r"swinv2-t\S+_upernet": 60,
    r"swinv2-s\S+_upernet": 81,
    r"swinv2-b\S+_upernet": 121,
    r"swinv2-l\S+_upernet": 234,
    r"swinv2-b\S+_mask2former": 107,
    r"swinv2-l\S+_mask2former": 216,
}
# Of the backbone: section 3.6 of the paper (H: 658 M with its classifier), hub (SimMIM)
BACKBONES = dict(t=28, s=50, b=88, l=197, h=655, g=3000)

VIDEO = "-p2x4x4-"  # in names
TTA_MODELS = {"mmswinv2.InstanceTTAModel", "SegTTAModel", "mmswinv2.AverageClsScoreTTA"}


@cache
def parse(path: Path) -> Config:
    return Config.fromfile(path)


def load(path: Path) -> Config:
    return copy.deepcopy(parse(path))


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def cfg(request: pytest.FixtureRequest) -> Config:
    return load(request.param)


def without_weights(cfg: Config) -> Config:
    cfg.model.init_cfg = cfg.model.backbone.init_cfg = None
    return cfg


def test_there_are_configs() -> None:
    """The tests below are not vacuous."""
    assert len(CONFIGS) >= 70


def test_name_and_size(cfg: Config) -> None:
    """OpenMMLab's grammar; what the name says is so; a file says only its own."""
    path = Path(cfg.filename)
    assert re.fullmatch(grammar(path, cfg.default_scope), path.stem)
    window, *others = map(int, re.search(r"-w([\dx]+)", path.stem)[1].split("x"))
    windows = cfg.model.backbone.window_size
    assert (windows if isinstance(windows, int) else windows[0]) == window
    assert not others or windows == (window, *others)
    # with its scope: mmpretrain has a SwinTransformerV2 of its own
    kind = "SimMIMSwinV2" if path.parent.name == "simmim" else "SwinTransformerV2"
    kind = "VideoSwinTransformerV2" if VIDEO in path.stem else kind
    assert cfg.model.backbone.type == f"mmswinv2.{kind}"
    size = re.search(r"(?<!fd-)swinv2-(\w+)-", path.stem)[1]
    assert cfg.model.backbone.arch.startswith(size)
    if path.parent.name != "mini":
        assert len(path.read_text().splitlines()) <= 40
    if gpus := re.search(r"_(\d+)xb(\d+)", path.stem):
        assert cfg.train_dataloader.batch_size == int(gpus[2])
        batch = int(gpus[1]) * int(gpus[2])
        assert cfg.auto_scale_lr.base_batch_size == batch
    if crop := re.search(r"ade20k-(\d+)x", path.stem):
        assert cfg.model.data_preprocessor.size == (int(crop[1]),) * 2
        assert cfg.train_pipeline[3].crop_size == (int(crop[1]),) * 2
    if cfg.default_scope == "mmpretrain" and VIDEO not in path.stem:
        (px,) = re.search(r"-(\d+)px$", path.stem).groups()
        steps = cfg.train_dataloader.dataset.pipeline
        assert next(t.scale for t in steps if "scale" in t) == int(px)
        if "-pre" not in path.stem:  # one bias per offset that the last map has
            assert windows == window or windows[3] == int(px) // 32 < window
        assert cfg.train_cfg.max_epochs == int(re.search(r"-(\d+)e_", path.stem)[1])


def test_model_and_no_decay(cfg: Config) -> None:
    """Norms, biases, cpb_mlp and logit_scale are not decayed; other weights are."""
    init_default_scope(cfg.default_scope)
    with torch.device("meta"):
        model = MODELS.build(without_weights(cfg).model)
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
    keys = {"cpb_mlp", "logit_scale", "mask_token"}
    custom = cfg.optim_wrapper.get("paramwise_cfg", {}).get("custom_keys", {})
    keys |= {key for key, value in custom.items() if value.get("decay_mult") == 0}
    decay = cfg.optim_wrapper.optimizer.weight_decay
    decayed = 0
    for name, parameter in model.named_parameters():
        exempt = parameter.ndim == 1 or id(parameter) in of_norms
        exempt = exempt or any(key in name for key in keys)
        assert decays[id(parameter)] == (0 if exempt else decay), name
        decayed += not exempt
    assert decayed > 40
    for part in ("q_bias", "v_bias", "logit_scale", "cpb_mlp.0.weight", "norm1.weight"):
        assert any(name.endswith(part) for name, _ in model.named_parameters())
    check_parameters(Path(cfg.filename).stem, model)


def check_parameters(name: str, model: nn.Module) -> None:
    """Within 1 % of published numbers, themselves rounded to a million."""

    def millions(module: nn.Module) -> float:
        return sum(p.numel() for p in module.parameters()) / 1e6

    for pattern, expected in PARAMETERS.items():
        if re.match(pattern, name):
            assert millions(model) == pytest.approx(expected, rel=0.01)
    if (size := re.search(r"(?<!fd-)swinv2-(\w)-", name)) and size[1] in BACKBONES:
        # published with the classifier, 0.8 M (T) to 1.5 M (L)
        backbone = millions(model.backbone)
        assert backbone == pytest.approx(BACKBONES[size[1]], rel=0.01, abs=1.9)


def test_rates_of_layers() -> None:
    """0.95 for T on ADE20K (paper), 0.75 after SimMIM, 0.8 after distillation.

    A tenth with HTC++ and DETRs, and in Video Swin.
    """
    rates = {}
    for path in CONFIGS:
        cfg = load(path)
        paramwise = cfg.optim_wrapper.get("paramwise_cfg", {})
        factor = paramwise.get("custom_keys", {}).get("backbone", {}).get("lr_mult", 1)
        rates[path.stem] = (paramwise.get("layer_decay_rate", 1), factor)
    for name, (layer, backbone) in rates.items():
        ablation = re.match(r"swinv2-[ts]\S+_upernet_8xb2", name)
        masked = re.search("simmim-1k-192-pre", name)
        distilled = 0.8 if "fd-1k-224-pre" in name else 1
        assert layer == (0.95 if ablation else 0.75 if masked else distilled), name
        tenth = re.search(r"htc\+\+|dino-\d|mask2former|kinetics400", name)
        assert backbone == (0.1 if tenth else 1), name


def number_of_classes(model: dict) -> int:
    if "panoptic_head" in model:
        return model.panoptic_head.num_things_classes
    if "head" in model:
        assert model.head.num_classes == model.data_preprocessor.num_classes
        return model.head.num_classes
    if "roi_head" not in model:
        return (model.get("decode_head") or model.bbox_head).num_classes
    masks = model.roi_head.mask_head
    return (masks[0] if isinstance(masks, list) else masks).num_classes


def build_transform(transform: dict) -> None:
    """Build it, or be told what is missing: one package, and maps of a teacher."""
    if transform.type == "mmswinv2.InstaBoost" and not find_spec("instaboostfast"):
        with pytest.raises(ImportError, match="pip install instaboostfast"):
            TRANSFORMS.build(transform)
    elif transform.type == "mmswinv2.LoadTokenLabels":
        with pytest.raises(FileNotFoundError, match=r"make them: .+make_token_labels"):
            TRANSFORMS.build(transform)
    else:
        TRANSFORMS.build(transform)


def test_data_and_metrics(cfg: Config) -> None:
    """Datasets, pipelines, TTA and metrics can be built; some only train."""
    init_default_scope(cfg.default_scope)
    evaluated = cfg.get("val_dataloader") is not None
    metainfo = []
    for split in ("train", "val", "test") if evaluated else ("train",):
        dataset = cfg[f"{split}_dataloader"].dataset
        metainfo.append(
            DATASETS.build(dict(dataset, lazy_init=True, pipeline=[])).metainfo
        )
        for transform in dataset.pipeline:
            build_transform(transform)
    if not evaluated:
        assert re.match("(simmim|fd)[-_]", Path(cfg.filename).stem)
        return
    assert metainfo[0] == metainfo[1] == metainfo[2]
    # those of ImageNet-22K have no names
    classes = metainfo[0].get("classes") or range(21841)
    assert number_of_classes(cfg.model) == len(classes)
    if cfg.model.type != "mmswinv2.VideoClassifier":  # which has views without it
        augmented = copy.deepcopy(cfg)
        use_tta(augmented)
        for transform in augmented.test_dataloader.dataset.pipeline:
            TRANSFORMS.build(transform)
        assert cfg.tta_model.type in TTA_MODELS
    for evaluator in as_list(cfg.val_evaluator):
        evaluator.pop("ann_file", None)  # the data are not here
        METRICS.build(evaluator)


def test_schedules_and_hooks(cfg: Config) -> None:
    """Schedules, the visualizer and hooks can be built."""
    init_default_scope(cfg.default_scope)
    wrapper = OptimWrapper(torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=1.0))
    for scheduler in cfg.param_scheduler:
        kwargs = dict(epoch_length=10) if scheduler.get("convert_to_iter_based") else {}
        PARAM_SCHEDULERS.build(dict(scheduler, optimizer=wrapper, **kwargs))
    assert cfg.auto_scale_lr.enable is False
    with fresh_globals():
        init_default_scope(cfg.default_scope)
        VISUALIZERS.build(dict(cfg.visualizer, vis_backends=None))
        hooks = [*cfg.default_hooks.values(), *cfg.custom_hooks]
        kinds = [type(HOOKS.build(hook)).__name__ for hook in hooks]
    assert "WindowResolutionTransferHook" in kinds


def test_schedule_is_whole(cfg: Config) -> None:
    """The learning rate schedule ends where training ends, in the same unit."""
    loop = cfg.train_cfg
    by_epoch = loop.type == "EpochBasedTrainLoop"
    last = cfg.param_scheduler[-1]
    assert last.get("by_epoch", True) == by_epoch
    assert last.end == (loop.max_epochs if by_epoch else loop.max_iters)
    assert cfg.log_processor.by_epoch == by_epoch
    assert cfg.default_hooks.checkpoint.get("by_epoch", True) == by_epoch


@pytest.mark.parametrize(
    "path",
    [path for path in CONFIGS if path.parent.name in ("coco", "ade20k")],
    ids=lambda p: p.stem,
)
def test_published_weights(path: Path) -> None:
    """By name, of the right size, data and resolution; G has none."""
    cfg = load(path)
    backbone = cfg.model.backbone
    if backbone.arch == "giant":
        assert backbone.get("init_cfg") is None
        return
    assert backbone.init_cfg.type == "Pretrained"
    entry = find_entry(backbone.init_cfg.checkpoint)
    expected = ARCHITECTURES[backbone.arch]
    if backbone.arch == "huge":
        expected = replace(expected, extra_norm_every_n_blocks=0)
        assert backbone.extra_norm_every_n_blocks == 0
    assert entry.architecture == expected
    assert ("22k" in entry.name) == (backbone.arch not in ("tiny", "small"))
    if given := re.search(r"-(in1k|in22k|simmim-22k)-(\d+)-pre", path.stem):
        assert entry.image_size == int(given[2])
    if path.stem.startswith("cascade-mask-rcnn_swinv2-t") or "t-p4-w20" in path.stem:
        assert entry.name == "tiny-w8-256"  # the paper's table 1


@pytest.mark.parametrize(
    ("pattern", "rate", "batch", "decay"),
    [
        (r"(cascade-)?mask-rcnn|retinanet|htc(-without-semantic)?_", 1e-4, 16, 0.05),
        (r"htc\+\+\S+-3x", 4e-4, 64, 0.05),
        (r"htc\+\+\S+-45k", 6e-4, 96, 0.05),
        (r"dino", 1e-4, 16, 1e-4),
        (r"mask2former|swinv2\S+mask2former", 1e-4, 16, 0.05),
        (r"swinv2-[ts]\S+upernet", 4e-5, 16, 0.05),
        (r"swinv2-[bl]\S+upernet", 6e-5, 64, 0.05),
        (r"swinv2-[hg]\S+upernet", 4e-5, 32, 0.05),
    ],
)
def test_published_settings(
    pattern: str, rate: float, batch: int, decay: float
) -> None:
    """Rate, batch and weight decay: the paper's, DINO's and Mask2Former's."""
    paths = [p for p in CONFIGS if re.match(pattern, p.stem) and "mini" not in p.stem]
    assert paths
    for path in paths:
        cfg = load(path)
        optimizer = cfg.optim_wrapper.optimizer
        found = (optimizer.type, optimizer.lr, optimizer.weight_decay)
        assert found == ("AdamW", rate, decay), path
        assert cfg.auto_scale_lr.base_batch_size == batch, path


@pytest.mark.parametrize(
    "name",
    [
        *("coco", "ade20k", "imagenet", "simmim", "token_labeling"),
        *("feature_distillation", "kinetics400"),
    ],
)
def test_tables(name: str) -> None:
    """Each config has its row, and each link in a table leads to a file."""
    folder = ROOT / "configs" / name
    text = (folder / "README.md").read_text()
    links = set(re.findall(r"\]\(([\w.+-]+\.py)\)", text))
    assert links == {path.name for path in folder.glob("*.py")}


def test_one_guard_import() -> None:
    """Without the package every config fails with ImportError, which names it."""
    for path in CONFIGS:
        cfg = load(path)
        pretrains = cfg.default_scope == "mmpretrain"
        packages = ["mmswinv2.pretraining" if pretrains else "mmswinv2"]
        packages += ["mmswinv2.video"] * (VIDEO in path.stem)
        expected = dict(imports=packages, allow_failed_imports=False)
        assert cfg.custom_imports == expected


def test_large_windows_shrink_where_they_must() -> None:
    """Stage 4 of UPerNet with window 40: one window over its 20 x 20 tokens, no shift.

    So no window per stage is written: [40, 40, 40, 20] gives the same features.
    """
    name = "swinv2-l-p4-w40-in22k-192-pre_upernet_16xb4-40k_ade20k-640x640.py"
    cfg = load(ROOT / "configs/ade20k" / name)
    for stage, tokens in enumerate([160, 80, 40, 20]):
        window = cfg.model.backbone.window_size
        used = fit_axis(tokens, window, shifted=True, fit="shrink")
        assert used == ((40, 20), (40, 20), (40, 0), (20, 0))[stage]
        assert used == fit_axis(
            tokens, (40, 40, 40, 20)[stage], shifted=True, fit="shrink"
        )


def test_windows_of_tests() -> None:
    """What the paper tests at other windows: 32 -> 48, 40 -> 56, videos 20 -> 24."""
    found = {}
    for path in CONFIGS:
        hook, *_ = load(path).custom_hooks
        if window := hook.get("test_window_size"):
            found.setdefault(window, []).append(path.stem)
    assert {name.split("_")[0] for name in found[48]} == {
        "htc++",
        "htc++-without-semantic",
    }
    assert found[56] == ["swinv2-g-p4-w40_upernet_32xb1-80k_ade20k-640x640-to-896x896"]
    (of_videos,) = found[8, 24, 24]
    assert of_videos.endswith("16x4-320px-to-384px")
    assert found.keys() == {48, 56, (8, 24, 24)}


def test_strategies(cfg: Config) -> None:
    """H and G are shared out among GPUs; smaller models run without a strategy."""
    shared = re.search(r"swinv2-[hg]-", Path(cfg.filename).stem)
    assert ("strategy" in cfg) == ("runner_type" in cfg) == bool(shared)
    if shared:
        assert cfg.runner_type == "FlexibleRunner"
        assert cfg.strategy.type == "mmswinv2.FSDPStrategy"


def test_ms_crop_scales() -> None:
    """Short sides of 480 to 800 px, long sides of at most 1333 (paper)."""
    path = ROOT / "configs/_base_/datasets/coco_instance_ms-crop.py"
    resize = load(path).train_pipeline[3].transforms[0][0]
    shorts, longs = zip(*resize.scales)
    assert (min(shorts), max(shorts), set(longs)) == (480, 800, {1333})
    assert torch.tensor(shorts).diff().unique().tolist() == [32]
