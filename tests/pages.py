"""Pages that print commands: what they print, run in a fresh copy of the repository."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from tiny import ROOT

ONE_ITERATION = [
    "train_cfg.max_iters=1",
    "train_cfg.val_interval=2",
    "train_dataloader.batch_size=1",
]


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a language in a page in Markdown."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def commands(page: str) -> list[str]:
    """The lines of all its shell blocks; lines that go on are joined."""
    text = "".join(blocks(page, "bash")).replace("\\\n", "")
    return [line for line in text.splitlines() if line.strip()]


def copy_repository(folder: Path) -> Path:
    """The files of the repository, without what runs have left in it."""
    skipped = shutil.ignore_patterns(".*", "data", "work_dirs", "out", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=skipped)
    return folder


def run(words: Sequence[str], clone: Path) -> subprocess.CompletedProcess:
    """Run a command in the copy, with the Python of the tests."""
    arguments = [sys.executable if word == "python" else word for word in words]
    return subprocess.run(arguments, cwd=clone, capture_output=True, text=True)


def train_shortly(words: Sequence[str], clone: Path) -> None:
    """One iteration, whose weights then stand where the whole training puts them."""
    result = run([*words, "--cfg-options", *ONE_ITERATION], clone)
    assert result.returncode == 0, result.stderr
    config = clone / words[2]
    weights = clone / "work_dirs" / config.stem / "iter_1.pth"
    last = Config.fromfile(config).train_cfg.max_iters
    weights.rename(weights.with_name(f"iter_{last}.pth"))


def words_of(command: str) -> list[str]:
    """A command as a shell splits it."""
    return shlex.split(command)
