"""What docs/pretraining.md prints is what works, on generated pictures.

Commands run one after the other in the folder of a user, in this process, at a small
size for one epoch; the published weights are random ones of their name.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pages import blocks, commands
from published_weights import write_published
from tiny import ROOT, Tool

PAGE = (ROOT / "docs" / "pretraining.md").read_text()
COMMANDS = commands(PAGE)
(CONFIG,) = blocks(PAGE, "python")
NANO = "model.backbone.arch=nano model.backbone.window_size=8"
QUICK = (
    "train_dataloader.num_workers=0 train_dataloader.persistent_workers=False "
    "train_dataloader.batch_size=4 train_cfg.max_epochs=1 "
    "default_hooks.logger.interval=1"
)
TEST_QUICK = (
    "test_dataloader.num_workers=0 test_dataloader.persistent_workers=False "
    "test_dataloader.batch_size=4 test_dataloader.dataset.pipeline.1.scale=64 "
    "test_dataloader.dataset.pipeline.2.crop_size=64"
)
FEW = "test_dataloader.dataset.indices=4"
NO_VALIDATION = "val_cfg=None val_dataloader=None val_evaluator=None"
# What is added to a command, by what it has in it.
SMALLER = {
    "train.py configs/simmim": (
        f"{QUICK} {NANO} model.neck.in_channels=256 "
        "train_dataloader.dataset.pipeline.1.scale=64"
    ),
    "train.py configs/coco": (
        f"{QUICK} {NANO} {NO_VALIDATION} model.neck.in_channels=[32,64,128,256] "
        "'train_dataloader.dataset.pipeline.2.scale=(96,96)'"
    ),
    "train.py configs/classes": (
        f"{QUICK} {NO_VALIDATION} train_dataloader.dataset.pipeline.1.scale=64 "
        "train_dataloader.dataset.indices=4"
    ),
    "test.py configs/imagenet": f"{TEST_QUICK} {FEW}",
    "run.py configs/imagenet": f"{TEST_QUICK} {FEW}",
    "test.py configs/classes": f"{TEST_QUICK} {FEW}",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, class_folders: Path, data: Path):
    """A folder with all the data that the page speaks of, and published weights."""
    folder = tmp_path_factory.mktemp("pretraining_page")
    shutil.copytree(class_folders, folder / "data" / "classes")
    (folder / "data" / "pictures").mkdir()
    for i, file in enumerate(class_folders.glob("train/*/[01].jpg")):
        os.link(file, folder / "data" / "pictures" / f"{i}.jpg")
    shutil.copytree(data / "coco", folder / "data" / "coco")
    picture = next(class_folders.glob("val/*/*.jpg"))
    v2 = folder / "data/imagenet-v2/imagenetv2-matched-frequency-format-val"
    for i in range(1000):
        val = folder / "data" / "imagenet" / "val" / f"n{i:08d}"
        val.mkdir(parents=True)
        os.link(picture, val / "1.JPEG")
        (v2 / str(i)).mkdir(parents=True)
        for k in range(10):
            os.link(picture, v2 / str(i) / f"{k}.jpeg")
    (folder / "configs").mkdir()
    for name in ("_base_", "coco", "imagenet", "simmim"):
        (folder / "configs" / name).symlink_to(ROOT / "configs" / name)
    (folder / "configs" / "classes.py").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of downloads with random weights of tiny-w8-256."""
    return write_published(tmp_path_factory.mktemp("published"))


@pytest.mark.parametrize("command", COMMANDS)
def test_command(
    command: str,
    home: Path,
    published: Path,
    tool: Tool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MMSWINV2_HOME", str(published))
    monkeypatch.setenv("MMSWINV2_OFFLINE", "1")
    monkeypatch.chdir(home)
    for part, options in SMALLER.items():
        if part in command:
            command += f" --cfg-options {options}"
    echo = ["bash", "-c", f"printf '%s\\n' {command}"]
    words = subprocess.run(echo, check=True, capture_output=True, text=True)
    program, script, *arguments = words.stdout.splitlines()
    assert program == "python"
    if "check_data.py imagenet " in command:  # has a picture per class, not fifty
        assert "2 checks of data/imagenet failed" in tool.fails(script, *arguments)
    else:
        tool(script, *arguments)


def test_commands_are_all_there() -> None:
    """Guards the parsing: a page that is not understood would test nothing."""
    tools = {word for c in COMMANDS for word in c.split() if word.endswith(".py")}
    assert {"tools/train.py", "tools/test.py", "demo/image_demo.py"} <= tools
    assert all(any(part in c for c in COMMANDS) for part in SMALLER)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", PAGE))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
