"""sdist -> wheel -> installation, which works with nothing of the clone in reach."""

import email
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from pages import copy_repository
from tiny import DET, ROOT

import mmswinv2
from mmswinv2.places import CARRIED, COMMANDS

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
ONLY_THIS = ["--no-deps", "--no-index"]
# Imports one module, and then does what a user of the package does.
USE = """
import pathlib, sys
import mmswinv2
from mmswinv2.__main__ import main

site, config, data = sys.argv[1:]
assert pathlib.Path(mmswinv2.__file__).is_relative_to(site), mmswinv2.__file__

def run(*arguments):
    sys.argv = ["mmswinv2", *arguments]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code

options = [f"data_root={data}", "train_cfg.max_iters=1", "train_cfg.val_interval=2"]
options += ["train_dataloader.batch_size=1", "model.test_cfg.rcnn.score_thr=0.0"]
path = pathlib.Path("mine.py")
path.write_text(f'_base_ = "mmswinv2::mini/{config}.py"')
run("train", "mine.py", "--work-dir", "run", "--cfg-options", *options)
photo = next(pathlib.Path(data, "val2017").iterdir())
run("demo", str(photo), f"configs/mini/{config}.py", "run/iter_1.pth", "--out-dir", "o")

from mmswinv2.apis import build_inferencer, list_models
assert config in list_models()
inferencer = build_inferencer(config, "run/iter_1.pth", "cpu")
assert len(inferencer(str(photo))["predictions"]) == 1
print("all done")
"""


def call(*command: object, cwd: Path, **variables: str) -> str:
    """What a command prints, which must succeed."""
    words = [str(word) for word in command]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | variables
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, as setuptools writes into the folder that it builds from."""
    clone = copy_repository(tmp_path_factory.mktemp("sdist") / "clone")
    build = "from setuptools import build_meta; build_meta.build_sdist('..')"
    call(sys.executable, "-c", build, cwd=clone)
    return clone.parent / f"mmswinv2-{mmswinv2.__version__}.tar.gz"


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """Built from the sdist."""
    options = ["--no-build-isolation", *ONLY_THIS, "--wheel-dir", "."]
    call(*PIP, "wheel", *options, sdist, cwd=sdist.parent)
    return next(sdist.parent.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the installed package and nothing else."""
    site = tmp_path_factory.mktemp("site")
    call(*PIP, "install", *ONLY_THIS, "--target", site, wheel, cwd=site)
    return site


def test_the_sdist_is_the_clone(sdist: Path) -> None:
    """Every file of it, but for those that begin with a dot."""
    with tarfile.open(sdist) as archive:
        names = {m.name.partition("/")[2] for m in archive if m.isfile()}
    clone = sdist.parent / "clone"
    files = {str(p.relative_to(clone)) for p in clone.rglob("*") if p.is_file()}
    made = ("PKG-INFO", "setup.cfg")
    assert {n for n in names ^ files if "egg-info" not in n and n not in made} == set()


def test_the_wheel_has_what_the_clone_has(wheel: Path) -> None:
    """The package, and at mim's place configs, tools and demo; no more."""
    names = set(zipfile.ZipFile(wheel).namelist())
    clone = wheel.parent / "clone"
    kept = [p for name in CARRIED for p in ((clone / name), *(clone / name).rglob("*"))]
    expected = {f"mmswinv2/.mim/{p.relative_to(clone)}" for p in kept if p.is_file()}
    package = [p for p in (clone / "mmswinv2").rglob("*") if p.is_file()]
    expected |= {str(p.relative_to(clone)) for p in package}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert "mmswinv2/py.typed" in names


def test_what_is_installed_names_the_command(wheel: Path) -> None:
    """Nobody has tools/ beside an installed package."""
    archive = zipfile.ZipFile(wheel)
    for name in archive.namelist():
        if name.endswith((".py", ".sh")):
            text = archive.read(name).decode()
            for file in COMMANDS.values():
                assert f"python {file}" not in text, name
                assert f" {file} " not in text, name
    assert b"mmswinv2 train" in archive.read("mmswinv2/.mim/tools/train.py")


def test_description(wheel: Path) -> None:
    """PyPI shows the README, whose links lead into the repository."""
    archive = zipfile.ZipFile(wheel)
    file = next(n for n in archive.namelist() if n.endswith("dist-info/METADATA"))
    metadata = email.message_from_bytes(archive.read(file))
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["License-Expression"] == "Apache-2.0"
    text = metadata.get_payload()
    links = re.findall(r"\]\(([^)]+)\)|\b(?:src|href)=\"([^\"]+)\"", text)
    assert len(links) > 10
    local = [link for pair in links for link in pair if link]
    assert [x for x in local if not x.startswith(("https://", "#"))] == []


def test_an_installed_package_is_complete(
    site: Path, data: Path, tmp_path: Path
) -> None:
    """It trains, builds a model by its name and draws a picture, far from the clone."""
    # -S: without the environment's .pth files, one of which may lead to the clone
    libraries = sysconfig.get_path("purelib")
    path = os.pathsep.join([str(site), libraries])
    arguments = [site, DET, data / "coco"]
    script = tmp_path / "use.py"
    script.write_text(USE)
    empty = tmp_path / "empty"
    empty.mkdir()
    out = call(sys.executable, "-S", script, *arguments, cwd=empty, PYTHONPATH=path)
    assert out.endswith("all done\n")
    assert str(ROOT) not in out
    assert len([p for p in (empty / "o").rglob("*") if p.is_file()]) >= 1
    program = [sys.executable, "-S", site / "bin" / "mmswinv2"]
    out = call(*program, "--version", cwd=empty, PYTHONPATH=str(site))
    assert out == f"mmswinv2 {mmswinv2.__version__}\n"


def test_one_version() -> None:
    """CITATION.cff, the newest entry of CHANGELOG.md and the package agree."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == mmswinv2.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## (\S+) - (\S+)$", changelog, re.MULTILINE)
    assert newest.groups() == (citation["version"], citation["date-released"])
