"""tools/train.py does what its flags say."""

import argparse
import re
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from tiny import DET, SEG, Tool, load_script
from tiny_classifier import write_classifier

from mmswinv2.cli import launch
from mmswinv2.drawing.run_log import read_run

SHORT = [
    "train_cfg.max_iters=2",
    "train_cfg.val_interval=2",
    "train_dataloader.batch_size=2",
    "default_hooks.checkpoint.interval=1",
    "default_hooks.checkpoint.max_keep_ckpts=2",
    "default_hooks.logger.interval=1",
]


def options(data: Path, task: str, *more: str) -> list[str]:
    root = data / ("coco" if task == DET else "ade/ADEChallengeData2016")
    return ["--cfg-options", f"data_root={root}", *SHORT, *more]


def saved(path: Path | str) -> dict:
    return torch.load(path, map_location="cpu", weights_only=False)


def test_train_then_resume_the_latest(tool: Tool, data: Path) -> None:
    """A run writes into work_dirs/<config>; --resume goes on where it stopped."""
    tool("tools/train.py", DET, *options(data, DET))
    folder = Path("work_dirs") / DET
    assert saved(folder / "iter_2.pth")["meta"]["iter"] == 2
    more = options(data, DET, "train_cfg.max_iters=3")
    out = tool("tools/train.py", DET, "--resume", *more)
    assert "resumed epoch: 0, iter: 2" in out
    assert "is the checkpoint's" not in out
    assert "max_iters': 3" in out.split("train_cfg is the config's")[1]
    assert "Iter(train) [3/3]" in out and "Iter(train) [1/3]" not in out
    assert saved(folder / "iter_3.pth")["meta"]["iter"] == 3


def test_a_classifier_trains_and_resumes(tool: Tool, class_folders: Path) -> None:
    """In 16 bits, with its accuracy in the log and in the curves."""
    config = write_classifier(Path.cwd(), class_folders)
    run = ["tools/train.py", config, "--amp", "--work-dir", "run"]
    out = tool(*run, "--cfg-options", "train_cfg.max_epochs=1")
    assert re.search(r"versions .*mmpretrain \d", out)
    assert "ImageClassifier with SwinTransformerV2" in out
    assert "24 pictures in batches of 8; 1 epochs of 3 iterations" in out
    assert "to_onehot" not in out
    out = tool(*run, "--resume")
    assert "resumed epoch: 1, iter: 3" in out and "Epoch(train) [2][1/3]" in out
    assert "accuracy/top1" in out.split("Epoch(val) [2]")[-1]
    assert saved("run/epoch_2.pth")["meta"]["epoch"] == 2
    assert "train_cfg.max_epochs=2: nothing is left to do" in tool(*run, "--resume")
    tool("tools/plot_run.py", "run")
    assert read_run("run").metrics["accuracy/top1"][-1][0] == 6
    assert cv2.imread("run/curves.png").shape[0] > 500  # loss, metrics; learning rate


def test_resume_a_named_checkpoint(tool: Tool, data: Path) -> None:
    """--resume FILE takes that file, not the latest one, into any work dir."""
    tool("tools/train.py", SEG, *options(data, SEG), "--work-dir", "first")
    new = ("optim_wrapper.optimizer.lr=0.5", "param_scheduler.0.end=7")
    more = options(data, SEG, "train_cfg.max_iters=2", *new)
    args = ["--resume", "first/iter_1.pth", "--work-dir", "second", *more]
    out = tool("tools/train.py", SEG, *args)
    assert "resumed epoch: 0, iter: 1" in out
    assert Path("second/iter_2.pth").is_file()
    (line,) = [line for line in out.splitlines() if "--resume goes on with" in line]
    schedule, optimizer = line.split("the checkpoint's, ")[1:]
    assert "'end': 7" in schedule.split("config's, ")[1]
    assert "'lr': 0.5" in optimizer.split("config's, ")[1]
    first, second = (saved(f"{d}/iter_2.pth") for d in ("first", "second"))
    for state, other in zip(first["param_schedulers"], second["param_schedulers"]):
        assert state == other  # the line says what happened


def test_resume_at_a_first_start(tmp_path: Path) -> None:
    """Where there is nothing to go on from, load_from is not forgotten."""
    train = load_script("tools/train.py")
    args = argparse.Namespace(
        amp=False, auto_scale_lr=False, resume="auto", strategy=[]
    )
    cfg = Config(
        dict(work_dir=str(tmp_path), load_from="pretrained.pth", optim_wrapper={})
    )
    train.apply_flags(cfg, args)
    assert (cfg.resume, cfg.load_from) == (False, "pretrained.pth")
    path = tmp_path / "iter_1.pth"
    torch.save(dict(state_dict={}, meta=dict(iter=1)), path)
    for args.resume in ("auto", None):  # None: the config says so instead
        train.apply_flags(cfg, args)
        assert (cfg.resume, cfg.load_from) == (True, str(path))
    damaged = tmp_path / "iter_2.pth"
    damaged.write_bytes(path.read_bytes()[:300])
    args.resume = str(damaged)
    with pytest.raises(ValueError, match="newest whole one beside it: --resume") as e:
        train.apply_flags(cfg, args)
    assert str(e.value).endswith(str(path))


def test_options_and_auto_scale_lr_take_effect(tool: Tool, data: Path) -> None:
    """The learning rate is the one asked for, scaled to a batch of 2 instead of 16."""
    more = options(data, SEG, "optim_wrapper.optimizer.lr=0.032", "param_scheduler=[]")
    tool("tools/train.py", SEG, "--auto-scale-lr", "--work-dir", "run", *more)
    groups = saved("run/iter_2.pth")["optimizer"]["param_groups"]
    assert {group["lr"] for group in groups} == {0.032 / 8}
    written = Config.fromfile(f"run/{SEG}.py")
    assert written.val_dataloader.dataset.data_root.startswith(str(data))


def test_errors_after_the_start_keep_their_traceback(tool: Tool, data: Path) -> None:
    """What goes wrong inside the training loop is no bad input."""
    broken = "train_dataloader.dataset.pipeline.0.imdecode_backend=none"
    named = r"sample \d, .*\.jpg, could not be read: .*backend: none is not supported"
    with pytest.raises(RuntimeError, match=named):
        tool("tools/train.py", DET, *options(data, DET, broken))


def test_a_run_without_finite_losses_stops(tool: Tool, data: Path) -> None:
    """One message names losses and pictures; the weights are the last good ones."""
    more = options(data, DET, "optim_wrapper.optimizer.lr=1e30", "param_scheduler=[]")
    more += ["train_cfg.max_iters=30", "optim_wrapper.clip_grad=None"]
    message = tool.fails("tools/train.py", DET, "--work-dir", "run", *more)
    assert message.startswith("iteration 11: not finite were ")
    assert "loss_rpn_cls" in message and "train2017/" in message
    assert "10 steps in a row were left out" in message
    weights = saved("run/iter_10.pth")["state_dict"].values()
    assert all(tensor.isfinite().all() for tensor in weights)


def test_data_root_of_a_config_that_has_none(tool: Tool, tmp_path: Path) -> None:
    """Where each split has its own, each has to be given."""
    (tmp_path / "own.py").write_text("default_scope = 'mmdet'")
    text = tool.fails("tools/train.py", "own.py", "--cfg-options", "data_root=DIR")
    assert "own.py has no data_root to move; give that of each split" in text


def test_data_root_moves_every_path(data: Path) -> None:
    """Datasets and evaluators follow data_root, whether or not it ends in a slash."""
    for root in (str(data / "coco"), f"{data / 'coco'}/"):
        args = argparse.Namespace(
            config=DET,
            cfg_options={"data_root": root},
            launcher="none",
            local_rank=0,
            work_dir=None,
        )
        cfg = launch.load_config(args)
        assert Path(cfg.train_dataloader.dataset.data_root) == data / "coco"
        assert Path(cfg.test_dataloader.dataset.data_root) == data / "coco"
        annotations = data / "coco/annotations/instances_val2017.json"
        assert Path(cfg.val_evaluator.ann_file) == annotations
        assert Path(cfg.test_evaluator.ann_file) == annotations


def test_a_config_without_a_run(tool: Tool, tmp_path: Path) -> None:
    """A model alone cannot be trained."""
    (tmp_path / "model.py").write_text("model = dict(type='ImageClassifier')")
    message = tool.fails("tools/train.py", tmp_path / "model.py")
    assert "has no train_dataloader, train_cfg, optim_wrapper: write it" in message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("My pictures (2020)", "My pictures (2020)"),
        ("sea, sun", "sea, sun"),  # there is a folder of this name
        ("(1, 2)", (1, 2)),
        ("[a, b]", ["a", "b"]),
        ("8", 8),
        ("None", None),
    ],
)
def test_options_keep_names_of_files(text: str, value: object, tmp_path: Path) -> None:
    """Spaces, commas and brackets in a path are no lists."""
    (tmp_path / "sea, sun").mkdir()
    parser = argparse.ArgumentParser()
    launch.add_arguments(parser)
    root = f"{tmp_path}/" if isinstance(value, str) else ""
    args = parser.parse_args(["--cfg-options", f"key={root}{text}"])
    assert args.cfg_options == {"key": f"{root}{value}" if root else value}
