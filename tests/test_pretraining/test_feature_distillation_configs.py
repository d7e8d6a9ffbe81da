"""Feature Distillation trains with every config; its checkpoints go everywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from pretrained import start_from, train_sharded
from tiny import DET, ROOT, SEG, Tool, build_model
from tiny_teacher import distillation

from mmswinv2.apis import find_config

FOLDER = ROOT / "configs/feature_distillation"
CONFIGS = sorted(FOLDER.glob("fd-*.py"))
BASE = FOLDER / "fd-clip-vit-b_swinv2-b-p4-w14_16xb128-300e_in1k-224px.py"
(FINE_TUNING,) = {*FOLDER.glob("*.py")} - {*CONFIGS}
PX = 64
# timm's own networks, of one block
SMALL = dict(embed_dim=24, depth=1, num_heads=2, img_size=PX)


def reduce(path: Path, data_root: Path, pictures: int = 12) -> Config:
    """A config of one epoch, for one CPU core."""
    cfg = Config.fromfile(path)
    cfg.model.backbone.update(arch="nano", depths=(1, 1, 2, 1))
    loader = cfg.train_dataloader
    loader.update(batch_size=pictures, num_workers=0, persistent_workers=False)
    loader.dataset.update(data_root=str(data_root))
    loader.dataset.pipeline[1].scale = PX
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.logger.interval = 1
    cfg.custom_hooks[0].plot = False
    for key in ("runner_type", "strategy"):  # for several processes
        cfg.pop(key, None)
    if path in CONFIGS:
        cfg.model.neck.in_channels = 256
    return cfg


def shrink_teacher(cfg: Config, folder: Path) -> None:
    """The same class of teacher, small and with random weights."""
    teacher = cfg.model.teacher
    if teacher.type == "mmswinv2.TimmTeacher":
        teacher.update(pretrained=False, input_size=(PX, PX), model_args=SMALL)
        return
    own = Config.fromfile(find_config(teacher.config))
    own.model.init_cfg = None
    own.model.backbone.update(arch="nano", depths=(1, 1, 2, 1), init_cfg=None)
    for part in ("neck", "head"):
        if "in_channels" in own.model[part]:
            own.model[part].in_channels = 256
    teacher.weights = str(folder / "teacher.pth")
    torch.save(dict(state_dict=build_model(own).state_dict()), teacher.weights)
    teacher.config = str(folder / "teacher.py")
    own.dump(teacher.config)


def of_tiny_teacher(data_root: Path, **teacher: object) -> Config:
    cfg = reduce(BASE, data_root, 24)
    cfg.model.teacher = distillation(teacher)["teacher"]
    return cfg


def losses(work_dir: Path) -> list[float]:
    rows = sorted(work_dir.glob("*/vis_data/scalars.json"))[-1].read_text()
    return [json.loads(line)["loss"] for line in rows.splitlines()]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_trains(path: Path, tool: Tool, class_folders: Path) -> None:
    """Nested folders; the first of them in half precision."""
    cfg = reduce(path, class_folders / "train", 24)
    shrink_teacher(cfg, Path.cwd())
    cfg.dump("config.py")
    amp = ["--amp"] if path == CONFIGS[0] else []
    out = tool("tools/train.py", "config.py", *amp)
    assert "24 pictures in batches of 24; 1 epochs of 1 iterations" in out
    assert out.count("Feature Distillation: the teacher ") == 1
    (loss,) = losses(Path("work_dirs/config"))
    assert 0.05 < loss < 1


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of runs, filled by the first test that trains each."""
    return dict(folder=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def checkpoint(runs: dict[str, Path], tool: Tool, class_folders: Path) -> Path:
    """Of two epochs with a moving average of weights, cut after one and resumed."""
    if "whole" not in runs:
        cfg = of_tiny_teacher(class_folders / "train")
        cfg.custom_hooks += [dict(type="SeedEachEpoch"), dict(type="EMAHook")]
        cfg.default_hooks.checkpoint.interval = 1
        cfg.randomness = dict(seed=0)
        cfg.dump(runs["folder"] / "config.py")
        script = "tools/train.py", runs["folder"] / "config.py", "--work-dir"
        two = "--cfg-options", "train_cfg.max_epochs=2"
        runs["whole"], runs["cut"] = (runs["folder"] / n for n in ("whole", "cut"))
        tool(*script, runs["whole"], *two)
        tool(*script, runs["cut"])
        tool(*script, runs["cut"], "--resume", *two)
    return runs["whole"] / "epoch_2.pth"


def test_a_resumed_run_equals_a_whole_one(
    checkpoint: Path, runs: dict[str, Path]
) -> None:
    """And no file knows the teacher."""
    whole, cut = (
        torch.load(runs[name] / "epoch_2.pth", weights_only=False)
        for name in ("whole", "cut")
    )
    for key in ("state_dict", "ema_state_dict"):
        assert whole[key].keys() == cut[key].keys()
        for name, tensor in whole[key].items():
            assert torch.equal(tensor, cut[key][name]), name
    parts = re.compile(r"(module\.)?(backbone|neck\.decoder\.0)\.|steps$")
    assert all(map(parts.match, [*whole["state_dict"], *whole["ema_state_dict"]]))
    count = sum(len(group["params"]) for group in whole["optimizer"]["param_groups"])
    assert count == len(whole["optimizer"]["state"])
    assert losses(runs["cut"]) == losses(runs["whole"])[1:]


@pytest.mark.parametrize("name", [DET, SEG])
@pytest.mark.parametrize("way", ["init_cfg", "load_from"])
def test_a_detector_takes_the_checkpoint_as_it_is(
    checkpoint: Path, name: str, way: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """At another window, and nothing is missing."""
    backbone = dict(window_size=16, depths=(1, 1, 2, 1))
    model = start_from(checkpoint, name, way, **backbone)
    assert model.backbone.pretrained_window_size == ((14, 14),) * 3 + ((7, 7),)
    unexpected = re.findall("unexpected key.*: (.*)", "".join(capfd.readouterr()))
    # mmengine hands names below a neck to the neck, which knows nothing of them
    named = ["neck.decoder.0.weight, neck.decoder.0.bias"]
    assert unexpected == named * (way == "load_from" and model.with_neck)


def test_the_result_is_fine_tuned(
    checkpoint: Path, tool: Tool, class_folders: Path
) -> None:
    cfg = reduce(FINE_TUNING, class_folders, 8)
    cfg.load_from = str(checkpoint)
    cfg.model.head.update(in_channels=256, num_classes=3)
    cfg.model.data_preprocessor.num_classes = 3
    cfg.train_dataloader.dataset.type = "CustomDataset"
    for key in ("val_cfg", "val_dataloader", "val_evaluator"):
        cfg[key] = None
    cfg.default_hooks.checkpoint.save_best = None
    cfg.dump("config.py")
    out = tool("tools/train.py", "config.py")
    assert "missing keys in source state_dict: head.fc.weight, head.fc.bias\n" in out
    unexpected = {*re.findall("unexpected key.*: (.*)", out)}
    assert unexpected == {"neck.decoder.0.weight, neck.decoder.0.bias"}


def test_shards_leave_the_teacher_whole(
    tmp_path: Path, class_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under FSDP, in the precision of its backbone; the checkpoint is whole."""
    cfg = of_tiny_teacher(class_folders / "train")
    teacher = train_sharded(cfg, tmp_path, monkeypatch).model.teacher
    assert teacher.dtypes[-1] == torch.bfloat16
    assert all(type(p) is torch.nn.Parameter for p in teacher.parameters())
    assert 0.05 < losses(tmp_path)[-1] < 1
    load_checkpoint(build_model(cfg), str(tmp_path / "epoch_1.pth"), strict=True)


def test_the_teacher_counts_in_the_plan_of_memory(
    tool: Tool, class_folders: Path
) -> None:
    """Built without its weights, whose file need not be there."""
    cfg = reduce(BASE, class_folders)
    cfg.model.teacher.update(weights="nowhere.pth", model_args=SMALL)
    cfg.model.teacher.model_args.embed_dim = 2400
    cfg.dump("config.py")
    out = tool("tools/analysis/plan_memory.py", "config.py", "--gpus", "1")
    weights = float(re.search(r"weights of the teacher, fp32 +([\d.]+)", out)[1])
    assert weights == pytest.approx(12 * 2400**2 * 4 / 2**30, rel=0.05)
    assert "12 images of 64 x 64 px" in out


# Bad input, before a run writes its first file


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (dict(teacher=dict(gives="vector")), "tiny takes neither pictures of 64 x 64"),
        (
            dict(teacher=dict(scale=1e39)),
            "tiny gives features that are not fin",
        ),
        (
            dict(backbone=dict(out_indices=(0, 1, 2, 3))),
            r"out_indices: is \(0, 1, 2, 3\), but FeatureDistillation reads one map",
        ),
        (
            dict(neck=dict(in_channels=768)),
            "model.neck.in_channels: is 768, which does not fit the backbone's map; "
            "write 256",
        ),
        (
            dict(teacher=dict(type="mmswinv2.TimmTeacher", model="vit_none")),
            "the teacher 'vit_none' is neither a config file of ours nor a model",
        ),
        (
            dict(
                teacher=dict(
                    type="mmswinv2.ConfigTeacher",
                    config="swinv2-t-p4-w8_16xb64-300e_in1k-256px",
                    weights="nowhere.pth",
                )
            ),
            "nowhere.pth",
        ),
    ],
)
def test_what_cannot_be_learnt_is_refused(
    option: dict, message: str, tool: Tool, class_folders: Path
) -> None:
    cfg = of_tiny_teacher(class_folders / "train")
    for part, values in option.items():
        if "type" in values:
            cfg.model[part] = values
        else:
            cfg.model[part].update(values)
    cfg.dump("config.py")
    found = tool.fails("tools/train.py", "config.py")
    assert re.search(message, found)
    assert not Path("work_dirs/config").exists()


def test_no_inferencer_takes_it(class_folders: Path, tool: Tool) -> None:
    of_tiny_teacher(class_folders / "train").dump("config.py")
    picture = next(class_folders.glob("val/*/*.jpg"))
    message = tool.fails("demo/image_demo.py", picture, "config.py", "none.pth")
    assert "which names nothing in pictures" in message
