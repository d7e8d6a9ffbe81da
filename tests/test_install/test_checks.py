"""What is missing on a machine is told in one sentence that names the remedy."""

import shutil
import sysconfig
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from installation import checks
from installation.checks import InstallError


@pytest.mark.parametrize("minor", [8, 9, 14])
def test_unsupported_python_is_told_what_to_use(
    minor: int, programs: Callable, python_is: Callable
) -> None:
    python_is(3, minor)
    with pytest.raises(InstallError, match=rf"3\.{minor}, .*install one of these"):
        checks.check_python(newest=(3, 13))
    programs("python3.12")
    with pytest.raises(InstallError, match=r"PYTHON=python3\.12"):
        checks.check_python(newest=(3, 13))


def test_each_stack_has_a_newest_python(python_is: Callable) -> None:
    python_is(3, 13)
    checks.check_python(newest=(3, 13))
    with pytest.raises(InstallError, match=r"runs on Python 3\.10 to 3\.12"):
        checks.check_python(newest=(3, 12))


def test_missing_venv_module_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    checks.check_python(newest=(3, 13))
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    with pytest.raises(InstallError, match="apt-get install python3-venv"):
        checks.check_python(newest=(3, 13))


def test_missing_compiler_names_its_package(programs: Callable) -> None:
    with pytest.raises(InstallError, match="apt-get install build-essential"):
        checks.check_compiler()


def test_missing_headers_name_their_package(
    programs: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs("c++")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(InstallError, match="apt-get install python3-dev"):
        checks.check_compiler()
    (tmp_path / "Python.h").touch()
    checks.check_compiler()


def test_too_little_disk_says_how_much_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(10e9, 7e9, 3e9)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    checks.check_disk(tmp_path / "not" / "there", 3)
    with pytest.raises(InstallError, match=r"3\.0 GB are free .* needs 4 GB"):
        checks.check_disk(tmp_path / "not" / "there", 4)


@pytest.mark.parametrize("release", [None, "12.8"])
def test_gpu_without_a_matching_nvcc_is_told_both_ways_out(
    release: str | None, programs: Callable
) -> None:
    if release:
        programs("nvcc", f"echo 'tools, release {release}, V1'")
    with pytest.raises(InstallError, match=r"toolkit 13\.0.*CUDA_VISIBLE_DEVICES="):
        checks.check_nvcc("13.0")
    programs("nvcc", "echo 'tools, release 13.2, V13.2.5'")
    checks.check_nvcc("13.0")
