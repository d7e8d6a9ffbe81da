"""What docs/video.md prints is what works, on generated videos.

Commands run one after the other in the folder of a user, in this process, at a small
size for one epoch; the published weights are random ones of their name.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from mmengine.config import Config
from pages import blocks, commands
from published_weights import write_published
from tiny import ROOT, Tool, build_model
from tiny_video import CLASSES, write_videos

PAGE = (ROOT / "docs" / "video.md").read_text()
COMMANDS = commands(PAGE)
CONFIG, MIXED, USED = blocks(PAGE, "python")
OWN = ("clap", "jump", "wave")
# Clips of 4 frames and 32 px, and the smallest network.
STEPS = {0: ("clip_len", 4), 2: ("short_side", 32), 3: ("size", 32)}
TEST = (
    "model.backbone.arch=nano model.head.in_channels=256 model.backbone.init_cfg=None"
)
TRAIN = (
    f"{TEST} train_dataloader.batch_size=6 train_cfg.max_epochs=1 "
    "default_hooks.logger.interval=1"
)


def smaller(*splits: str) -> str:
    """Options for the data of some splits."""
    options = []
    for split in splits:
        loader = f"{split}_dataloader"
        options += [f"{loader}.num_workers=0", f"{loader}.persistent_workers=False"]
        pipeline = f"{loader}.dataset.pipeline"
        options += [f"{pipeline}.{i}.{k}={v}" for i, (k, v) in STEPS.items()]
    return " ".join(options)


# What is added to a command, by what it has in it.
SMALLER = {
    "train.py configs": f"{TRAIN} {smaller('train', 'val')}",
    "tools/test.py configs": f"{TEST} {smaller('test')}",
    "run.py configs": f"{TEST} {smaller('test')}",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all the data that the page speaks of."""
    folder = tmp_path_factory.mktemp("video_page")
    made = write_videos(folder / "data" / "kinetics400")
    for file in made.glob("*.txt"):
        file.unlink()  # the page writes them
    shutil.copytree(made, folder / "data" / "clips")
    for given, name in zip(CLASSES, OWN):
        for split in ("train", "val"):
            (folder / "data/clips" / split / given).rename(
                folder / "data/clips" / split / name
            )
    (folder / "configs").mkdir()
    for name in ("_base_", "kinetics400"):
        (folder / "configs" / name).symlink_to(ROOT / "configs" / name)
    small = "model['backbone'] = dict(arch='nano')\nmodel['head']['in_channels'] = 256"
    (folder / "configs" / "clips.py").write_text(f"{CONFIG}\n{small}")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_command(
    command: str, home: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    for part, options in SMALLER.items():
        if part in command:
            command += " --cfg-options" * ("--cfg-options" not in command)
            before, flag, after = command.partition("--cfg-options")
            command = f"{before}{flag} {options}{after}"
    echo = ["bash", "-c", f"printf '%s\\n' {command}"]
    words = subprocess.run(echo, check=True, capture_output=True, text=True)
    program, script, *arguments = words.stdout.splitlines()
    assert program == "python"
    out = tool(script, *arguments)
    if "one_view" in command:
        assert Path("out/one_view.pkl").is_file()
        assert len([*Path("out/one_view").iterdir()]) == 6
    if script.startswith("demo"):
        assert len(re.findall(r": \w+ 0\.\d+, .* -> out/clips/\d\.jpg", out)) == 2


def test_own_videos_start_from_pictures(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logs: list[str],
) -> None:
    """The config as the page has it: inflated, and mixed where that is added."""
    monkeypatch.setenv("MMSWINV2_HOME", str(write_published(tmp_path)))
    monkeypatch.setenv("MMSWINV2_OFFLINE", "1")
    (tmp_path / "own.py").write_text(CONFIG)
    mixed = f"_base_ = './own.py'\n{MIXED}"
    (tmp_path / "mixed.py").write_text(mixed)
    cfg = Config.fromfile(tmp_path / "own.py")
    model = build_model(cfg)
    assert any("inflated" in message for message in logs)
    assert model.head.num_classes == len(cfg.test_dataloader.dataset.metainfo.classes)
    assert cfg.val_dataloader.dataset.data_prefix == "val"
    mixing = Config.fromfile(tmp_path / "mixed.py").model
    assert mixing.head.loss.type == "LabelSmoothLoss"
    assert mixing.train_cfg.augments[0].type == "Mixup"


def test_commands_are_all_there() -> None:
    """Guards the parsing: a page that is not understood would test nothing."""
    tools = {word for c in COMMANDS for word in c.split() if word.endswith(".py")}
    assert {"tools/train.py", "tools/test.py", "demo/video_demo.py"} <= tools
    assert all(any(part in c for c in COMMANDS) for part in SMALLER)
    compile(USED, "page", "exec")


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", PAGE))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()


def test_configs_that_the_page_names_are_there() -> None:
    for name in re.findall(r"configs/kinetics400/[\w-]+\.py", PAGE):
        assert (ROOT / name).is_file(), name
