"""The configs of Token Labeling: recipe, a step of each, runs by the commands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from pages import commands, words_of
from pretrained import start_from
from tiny import DET, ROOT, SEG, Tool, reduce_sizes

from mmswinv2.apis import build_inferencer
from mmswinv2.checkpoints import read_checkpoint
from mmswinv2.pretraining.map_store import (
    TOKEN_LABELS,
    MapSpec,
    begin_store,
    find_pictures,
)

CONFIGS = sorted(ROOT.glob("configs/token_labeling/*.py"))
PATHS = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
FIRST, FINE_TUNING = (
    next(path for path in CONFIGS if end in path.stem)
    for end in ("t-p4-w16_", "t-p4-w24-")
)
PAGE = (ROOT / "docs" / "token_labeling.md").read_text()


def write_store(folder: Path, data: Path, **settings: object) -> Path:
    """Maps of 4 x 4 tokens and random values, of three classes."""
    spec = MapSpec(
        **{
            "kind": TOKEN_LABELS,
            "teacher": dict(kind="none", name="random", weights="0"),
            "grid": (4, 4),
            "num_classes": 3,
            "top_k": 2,
            **settings,
        }
    )
    pictures = find_pictures(data)
    writer = begin_store(folder, spec, pictures, block=8)
    generator = np.random.default_rng(0)
    shape = len(pictures), spec.num_classes or 1, *spec.grid
    ids = generator.random(shape).argsort(1)[:, : spec.top_k]
    values = generator.random(ids.shape) * 5
    maps = dict(values=values, ids=ids)
    if spec.channels:
        maps = dict(features=np.zeros((len(pictures), spec.channels, *spec.grid)))
    maps = {
        name: maps[name].astype(dtype) for name, (dtype, _) in spec.arrays().items()
    }
    writer.write(range(len(pictures)), maps)
    writer.finish()
    return folder


@pytest.fixture(scope="module")
def store(class_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the pictures that the runs train on."""
    return write_store(
        tmp_path_factory.mktemp("maps") / "maps", class_folders / "train"
    )


def reduce(path: Path, data: Path, store: Path) -> Config:
    """The config at an eighth of its size, for three classes."""
    cfg = Config.fromfile(path)
    for split in ("train", "val", "test"):
        loader = cfg[f"{split}_dataloader"]
        loader.update(num_workers=0, persistent_workers=False, batch_size=8)
        loader.dataset.pipeline = reduce_sizes(loader.dataset.pipeline)
        loader.dataset.update(data_root=str(data))
        loader.dataset.metainfo = dict(classes=("floor", "grass", "sky"))
        cfg[f"{split}_evaluator"] = dict(type="Accuracy", topk=(1, 2))
    labels = cfg.train_dataloader.dataset.pipeline[1]
    labels.update(store=str(store), data_root=str(data / "train"))
    cfg.model.backbone.arch = "nano"
    cfg.model.data_preprocessor.num_classes = 3
    cfg.model.head.update(in_channels=256, num_classes=3)
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.save_best = None
    cfg.load_from = None
    return cfg


@PATHS
def test_recipe(path: Path) -> None:
    """LV-ViT's, and Swin V2's where the page says so."""
    cfg = Config.fromfile(path)
    optimizer = cfg.optim_wrapper.optimizer
    found = cfg.auto_scale_lr.base_batch_size, optimizer.lr, optimizer.weight_decay
    warm_up, rest = cfg.param_scheduler
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=5.0)
    assert cfg.model.get("train_cfg") is cfg.model.neck is None
    assert cfg.model.type == "mmswinv2.TokenLabelingClassifier"
    size = path.stem.split("swinv2-")[1][0]
    assert cfg.model.backbone.drop_path_rate == dict(t=0.2, s=0.3, b=0.5)[size]
    average = [hook.momentum for hook in cfg.custom_hooks if "EMA" in hook.type]
    if "384px" in path.stem:
        assert found == (512, 5e-6, 1e-8) and rest.eta_min_ratio == 1
        assert average == []
        before = path.stem.replace("w24-in1k-256-pre_8xb64-30e_in1k-384px", "")
        before = f"{before}w16_16xb64-300e_in1k-256px"
        assert cfg.load_from == f"work_dirs/{before}/epoch_300.pth"
        assert (ROOT / f"configs/token_labeling/{before}.py").exists()
    else:
        assert found == (1024, 1.6e-3, 0.05)
        assert warm_up.start_factor * optimizer.lr == pytest.approx(1e-6)
        assert rest.eta_min_ratio * optimizer.lr == pytest.approx(1e-5)
        assert [1 - momentum for momentum in average] == [0.99992]
        assert cfg.load_from is None


@PATHS
def test_one_step(path: Path, class_folders: Path, store: Path) -> None:
    """Every config takes a finite step that changes both classifiers."""
    cfg = reduce(path, class_folders, store)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    px = cfg.train_dataloader.dataset.pipeline[2].scale
    samples = []
    for label in (0, 1):
        sample = DataSample().set_gt_label(label)
        sample.set_field(torch.rand(2, 5, 5), "token_label_values")
        ids = torch.rand(3, 5, 5).argsort(0)[:2]
        sample.set_field(ids, "token_label_ids")
        sample.set_field(torch.eye(2, 3), "geometry")
        samples.append(sample)
    batch = dict(inputs=torch.rand(2, 3, px, px) * 255, data_samples=samples)
    before = [model.head.fc.weight.clone(), model.head.aux.weight.clone()]
    losses = model.train_step(batch, wrapper)
    assert losses.keys() == {"loss", "loss_class", "loss_token"}
    assert all(torch.isfinite(loss) for loss in losses.values())
    for old, new in zip(before, (model.head.fc.weight, model.head.aux.weight)):
        assert torch.isfinite(new).all() and not torch.equal(old, new)


@pytest.fixture(scope="module")
def trained() -> dict[str, Path]:
    """Filled by the first test that trains."""
    return {}


@pytest.fixture
def run(trained: dict, tool: Tool, class_folders: Path, store: Path) -> Path:
    """The folder of a run of three iterations at 256 / 8 px, and a validation."""
    if not trained:
        reduce(FIRST, class_folders, store).dump("first.py")
        tool("tools/train.py", "first.py")
        trained["run"] = Path("work_dirs/first").resolve()
    return trained["run"]


def test_trains_and_evaluates_its_average(run: Path) -> None:
    """By the command; the checkpoint holds the average, which was evaluated."""
    (record,) = run.glob("*/vis_data/scalars.json")
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    losses = [row for row in rows if "loss" in row]
    assert len(losses) == 3 and "accuracy/top1" in rows[-1]
    for row in losses:
        assert row["loss"] == pytest.approx(row["loss_class"] + row["loss_token"])
        assert 0 < row["loss_class"] < 5 and 0 < row["loss_token"] < 5
    checkpoint = read_checkpoint(run / "epoch_1.pth")
    assert not torch.equal(
        checkpoint["state_dict"]["head.aux.weight"],
        checkpoint["ema_state_dict"]["module.head.aux.weight"],
    )


def test_both_outputs_are_tested(run: Path, tool: Tool, class_folders: Path) -> None:
    """With the largest logits of tokens and without, flipped, and by the inferencer."""
    options = ["--tta", "--cfg-options", "model.head.test_token_weight=0"]
    out = tool("tools/test.py", run / "first.py", run / "epoch_1.pth", *options)
    assert re.search(r"^top1 +\d", out, re.MULTILINE)
    picture = next((class_folders / "val").rglob("*.jpg"))
    inferencer = build_inferencer(str(run / "first.py"), str(run / "epoch_1.pth"))
    scores = []
    for weight in (0.5, 0.0):
        inferencer.model.head.test_token_weight = weight
        (found,) = inferencer(str(picture))["predictions"]
        assert found["pred_class"] in ("floor", "grass", "sky")
        scores.append(found["pred_scores"])
    assert not np.allclose(*scores)


def test_fine_tuning_takes_all_of_it(
    run: Path, tool: Tool, class_folders: Path, store: Path
) -> None:
    """At a higher resolution and larger windows, with both classifiers."""
    cfg = reduce(FINE_TUNING, class_folders, store)
    cfg.load_from = str(run / "epoch_1.pth")
    cfg.optim_wrapper.optimizer.lr = 0.0
    cfg.dump("fine.py")
    tool("tools/train.py", "fine.py")
    before, after = (
        read_checkpoint(path)["state_dict"]
        for path in (run / "epoch_1.pth", "work_dirs/fine/epoch_1.pth")
    )
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        if not name.endswith("window_record"):
            assert torch.equal(tensor, after[name]), name
    (log,) = Path("work_dirs/fine").glob("*/*.log")
    assert "stage 0: window 16 -> 24, normaliser 16" in log.read_text()
    assert "stage 3: window 8 -> 24, normaliser 8" in log.read_text()


@pytest.mark.parametrize(("name", "way"), [(DET, "load_from"), (SEG, "init_cfg")])
def test_a_detector_takes_the_checkpoint_as_it_is(
    run: Path, name: str, way: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """All of the backbone, at another window; both classifiers are no news."""
    model = start_from(run / "epoch_1.pth", name, way)
    assert {"head.weight", "head.bias"} <= {*model.backbone.loaded.ignored}
    printed = capfd.readouterr()
    assert "unexpected key" not in printed.out + printed.err


def test_the_memory_of_few_classes_is_planned(
    tool: Tool, class_folders: Path, store: Path
) -> None:
    """Fewer than a published map names."""
    cfg = reduce(FIRST, class_folders, store)
    cfg.dump("config.py")
    assert "peak: fits" in tool("tools/analysis/plan_memory.py", "config.py")


# Bad input, before the first file is written


def refused(
    tool: Tool, cfg: Config, change: Callable[[Config], None] | None = None
) -> str:
    if change:
        change(cfg)
    cfg.dump("bad.py")
    message = tool.fails("tools/train.py", "bad.py")
    assert not Path("work_dirs").exists()
    assert len(message.strip().splitlines()) == 1, message
    return message


@pytest.fixture
def cfg(class_folders: Path, store: Path) -> Config:
    return reduce(FIRST, class_folders, store)


def test_steps_of_the_pipeline(tool: Tool, cfg: Config) -> None:
    """Unknown geometry, fields that are not packed, mixes of batches."""

    def flip(cfg: Config) -> None:
        cfg.train_dataloader.dataset.pipeline[3].type = "RandomFlip"

    def forget(cfg: Config) -> None:
        cfg.train_dataloader.dataset.pipeline[-1].algorithm_keys = ["geometry"]

    def mix(cfg: Config) -> None:
        cfg.model.data_preprocessor.batch_augments = dict(
            augments=[dict(type="ResizeMix", alpha=1.0)]
        )

    def turn(cfg: Config) -> None:
        cfg.train_dataloader.dataset.pipeline[0].color_type = "color"

    def load_none(cfg: Config) -> None:
        cfg.train_dataloader.dataset.pipeline.pop(1)

    def load_twice(cfg: Config) -> None:
        steps = cfg.train_dataloader.dataset.pipeline
        steps.insert(1, steps[1])

    def pack_none(cfg: Config) -> None:
        cfg.train_dataloader.dataset.pipeline.pop()

    def want_labels(cfg: Config) -> None:
        cfg.model.class_target = "label"
        cfg.train_dataloader.dataset.type = "CustomDataset"
        cfg.train_dataloader.dataset.with_label = False

    def cover(cfg: Config) -> None:
        cfg.train_dataloader.dataset.pipeline[1].coverage = "centre"

    def widen(cfg: Config) -> None:
        cfg.model.head.in_channels = 768

    def shorten(cfg: Config) -> None:
        cfg.model.backbone.out_indices = (2,)

    for change, sentence in (
        (load_none, "loads no label maps; add mmswinv2.LoadTokenLabels"),
        (load_twice, "LoadTokenLabels and LoadTokenLabels load maps; leave one"),
        (pack_none, "does not end with PackInputs"),
        (want_labels, "has no labels, which model.class_target='label' needs"),
        (cover, "coverage='centre': expected 'whole', 'centre-square' or None"),
        (widen, "model.head.in_channels: is 768"),
        (shorten, "labels the tokens of stage 3"),
        (flip, "RandomFlip may move pixels"),
        (forget, "PackInputs leaves token_label_values, token_label_ids, token_la"),
        (mix, "ResizeMix would mix pictures without their label maps"),
        (turn, "write color_type='color_ignore_orientation'"),
    ):
        assert sentence in refused(tool, Config(cfg.to_dict()), change)


def test_stores(tool: Tool, cfg: Config, class_folders: Path, tmp_path: Path) -> None:
    """Missing, of other classes, of features, of another folder, cut."""
    train = class_folders / "train"
    other = write_store(tmp_path / "other", train, num_classes=4)
    features = dict(kind="features", num_classes=None, top_k=None, channels=2)
    features = write_store(tmp_path / "features", train, **features)
    moved = write_store(tmp_path / "moved", class_folders / "val")
    cut = write_store(tmp_path / "cut", train)
    file = next(cut.glob("values*"))
    file.write_bytes(file.read_bytes()[:-2])
    for store, sentence in (
        (
            tmp_path / "none",
            "make_token_labels.py --teacher dm_nfnet_f6.dm_in1k --data",
        ),
        (other, "has labels of 4 classes, but 3 are trained"),
        (features, "holds features, expected token_labels"),
        (moved, "was made of another data folder than"),
        (cut, "is cut off"),
    ):
        cfg.train_dataloader.dataset.pipeline[1].store = str(store)
        assert sentence in refused(tool, cfg)


# The page; what its commands do is tested above


@pytest.mark.parametrize("command", commands(PAGE))
def test_commands_of_the_page(command: str) -> None:
    """Scripts and configs are there, and options are of keys that the config has."""
    _, script, *words = words_of(command)
    assert (ROOT / script).is_file()
    named = [word for word in words if word.startswith("configs/")]
    for path in named:
        cfg = Config.fromfile(ROOT / path)
        for option in (
            words[words.index("--cfg-options") + 1 :] if "=" in command else ()
        ):
            key = option.partition("=")[0]
            *parents, last = key.split(".")
            place = cfg
            for parent in parents:
                place = place[parent]
            assert last in place or last == "test_token_weight"


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", PAGE))
def test_a_link_of_the_page_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
