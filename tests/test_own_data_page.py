"""What docs/own_data.md prints is what works, on generated data of its layout.

Commands run one after the other in the folder of a user, in this process, with 'nano'
in place of the size whose weights would be fetched, for two iterations.
"""

import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from pages import commands
from tiny import ROOT, Tool, load_script

PAGE = (ROOT / "docs" / "own_data.md").read_text()
COMMANDS = commands(PAGE)
LOGGED = "--cfg-options default_hooks.logger.interval=1"  # of two iterations


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with generated scenes as a user's own data."""
    folder = tmp_path_factory.mktemp("own_data_page")
    script = load_script("tools/dataset_converters/make_mini.py")
    script.make_mini(folder / "mini", train=8, val=1, size=64)
    mine = folder / "data" / "mine"
    coco, ade = folder / "mini" / "coco", folder / "mini/ade/ADEChallengeData2016"
    shutil.copytree(coco / "train2017", mine / "images")
    annotations = coco / "annotations" / "instances_train2017.json"
    shutil.copyfile(annotations, mine / "annotations.json")
    shutil.copyfile(next((coco / "val2017").iterdir()), mine / "new.jpg")
    (mine / "labels").mkdir()
    for path, picture in zip(
        sorted((ade / "annotations" / "training").iterdir()),
        sorted((mine / "images").iterdir()),
    ):
        labels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        labels = np.where(labels == 0, 255, labels % 3).astype(np.uint8)
        cv2.imwrite(str(mine / "labels" / f"{picture.stem}.png"), labels)
    (mine / "classes.txt").write_text("one\ntwo\nthree\n")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, home: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch):
    if "tools/new_config.py" in command:
        command += " --arch nano --batch 2 --iterations 2"
        command = re.sub(r"--scale \d+", "--scale 96", command)
    if "tools/train.py" in command:
        command += f" {LOGGED}"
    monkeypatch.chdir(home)
    echo = ["bash", "-c", f"printf '%s\\n' {command}"]
    words = subprocess.run(echo, check=True, capture_output=True, text=True)
    program, script, *arguments = words.stdout.splitlines()
    assert program == "python"
    tool(script, *arguments)


def test_commands_are_all_there():
    """Guards the parsing: a page that is not understood would test nothing."""
    tools = {word for c in COMMANDS for word in c.split() if word.endswith(".py")}
    assert {"tools/new_config.py", "tools/check_data.py", "tools/train.py"} <= tools
    assert {"tools/plot_run.py", "tools/test.py", "demo/image_demo.py"} <= tools


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)\)", PAGE))
def test_a_link_leads_somewhere(link: str):
    assert (ROOT / "docs" / link).exists()
