"""What the README and its guide print works: every command and piece of Python.

Commands run in a fresh copy of the repository, in the order of the pages. Trainings are
cut to one iteration; commands for data that is not here must say which is missing.
"""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from pages import blocks, commands, copy_repository, run, train_shortly, words_of

from mmswinv2.apis import list_models
from mmswinv2.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/install.md", "docs/training.md", "docs/weights.md")
README = (ROOT / "README.md").read_text()
TRAINING = (ROOT / "docs" / "training.md").read_text()
CONVERTING = "\n## Converting"  # whose files are not here; see tests/test_docs
COMMANDS = [
    command
    for page in PAGES
    for command in commands((ROOT / page).read_text().partition(CONVERTING)[0])
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return copy_repository(tmp_path_factory.mktemp("readme") / "mmswinv2")


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, clone):
    words = words_of(command)
    if words[0] == "make":
        assert run(["make", "-n", *words[1:]], clone).returncode == 0
    elif words[0] == "pip":
        for extra in ",".join(re.findall(r"\[([\w,]+)\]", command)).split(","):
            assert not extra or (clone / "requirements" / f"{extra}.txt").is_file()
    elif words[0] == "bash":
        assert run(["bash", "-n", words[1]], clone).returncode == 0
        assert (clone / words[2]).is_file()
    elif words[0] == "source":
        assert words[1] == ".venv/bin/activate"
    elif "configs/coco" in command or "configs/ade20k" in command:
        result = run(words, clone)
        assert result.returncode == 1
        assert re.search("needs a GPU|data/.* does not exist", result.stderr)
        assert "Traceback" not in result.stderr
    elif "tools/train.py" in command:
        train_shortly(words, clone)
    else:
        result = run(words, clone)
        assert result.returncode == 0, result.stderr


def test_commands_are_all_there():
    """Guards the parsing: a README that is not understood would test nothing."""
    kinds = {words_of(command)[0] for command in COMMANDS}
    assert kinds == {"make", "pip", "source", "python", "bash"}
    assert len(COMMANDS) >= 12


def test_the_config_in_python_builds():
    (text,) = [block for block in blocks(README, "python") if "custom_imports" in block]
    backbone = Config.fromstring(text, ".py").model.backbone
    assert backbone.pop("_delete_")
    backbone.init_cfg = None
    assert MODELS.build(backbone).window_size == ((16, 16),) * 4


def test_the_api_in_python_names_a_model_that_exists():
    (text,) = [
        block for block in blocks(TRAINING, "python") if "build_inferencer" in block
    ]
    compile(text, "docs/training.md", "exec")
    (name,) = re.findall(r'build_inferencer\(\s*"([\w-]+)"', text)
    assert name in list_models()


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_a_link_into_the_repository_leads_somewhere(link):
    assert (ROOT / link).exists()
