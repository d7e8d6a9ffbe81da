"""The wheel of mmcv: one per kind of operators, and in the cache only when whole."""

import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from installation import environment, mmcv_wheel
from installation.checks import InstallError
from installation.mmcv_wheel import Torch

from .conftest import StandInVenv

CPU = Torch(version="2.13.0+cpu", cuda=None, arch="")
CUDA = Torch(version="2.13.0+cu130", cuda="13.0", arch="9.0")
# A python that answers `-m pip wheel ... --wheel-dir FOLDER mmcv`.
PIP_WHEEL = 'while [ "$1" != --wheel-dir ]; do shift; done; '


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that can compile, with an empty cache and no settings of its own."""
    for name in ("FORCE_CUDA", "TORCH_CUDA_ARCH_LIST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mmcv_wheel, "check_compiler", lambda: None)
    return tmp_path / "cache"


def test_wheel_key_holds_all_that_the_operators_depend_on(
    cache: Path, python_is: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [
        mmcv_wheel.wheel_key(mmcv, torch)
        for mmcv in ("mmcv==2.1.0", "onedl-mmcv==2.3.6", "mmcv==2.1.1")
        for torch in (
            CPU,
            CPU._replace(version="2.11.0+cpu"),
            CUDA,
            CUDA._replace(cuda="12.8"),
            CUDA._replace(arch="8.0"),
        )
    ]
    python_is(3, 13)
    keys.append(mmcv_wheel.wheel_key("mmcv==2.1.0", CPU))
    monkeypatch.setattr(mmcv_wheel.platform, "machine", lambda: "aarch64")
    keys.append(mmcv_wheel.wheel_key("mmcv==2.1.0", CPU))
    assert len(set(keys)) == len(keys) == 17
    assert all(re.fullmatch(r"[\w.+-]+", key) for key in keys)


def test_cuda_operators_are_compiled_where_mmcv_would(cache: Path) -> None:
    hidden = CUDA._replace(arch="")
    forced = {"FORCE_CUDA": "1", "TORCH_CUDA_ARCH_LIST": "8.0 9.0"}
    assert CPU.cuda_ops(forced) == ""
    assert hidden.cuda_ops({}) == ""
    assert CUDA.cuda_ops({}) == "cuda13.0-sm9.0"
    assert hidden.cuda_ops(forced) == "cuda13.0-sm8.0 9.0"


def test_built_wheel_is_kept_and_found(cache: Path, venv: StandInVenv) -> None:
    key = mmcv_wheel.wheel_key("mmcv==2.1.0", CPU)
    assert mmcv_wheel.find_wheel(key) is None
    venv.answer(PIP_WHEEL + 'echo "$3 $MMCV_WITH_OPS" > "$2/m-cp.whl"')
    wheel = mmcv_wheel.build_wheel(venv, "mmcv==2.1.0", CPU)
    assert wheel == mmcv_wheel.find_wheel(key)
    assert wheel.is_relative_to(cache)
    assert wheel.read_text() == "mmcv==2.1.0 1\n"
    assert list(wheel.parent.iterdir()) == [wheel]


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ('echo half > "$2/m-cp.whl"; exit 1', InstallError),
        ('echo > "$2/m-none-any.whl"', InstallError),
    ],
)
def test_broken_build_leaves_nothing_in_the_cache(
    cache: Path, venv: StandInVenv, ending: str, error: type[Exception]
) -> None:
    venv.answer(PIP_WHEEL + ending)
    with pytest.raises(error):
        mmcv_wheel.build_wheel(venv, "mmcv==2.1.0", CPU)
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_interrupted_build_leaves_nothing_in_the_cache(
    cache: Path, venv: StandInVenv, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(process: subprocess.Popen) -> None:
        interrupted.append(process)
        while "compiling" not in venv.log.read_text():
            time.sleep(0.01)
        raise KeyboardInterrupt

    interrupted = []
    monkeypatch.setattr(environment, "wait", interrupt)
    half = 'echo half > "$2/m-cp.whl"; echo compiling; sleep 60'
    venv.answer(PIP_WHEEL + half)
    with pytest.raises(KeyboardInterrupt):
        mmcv_wheel.build_wheel(venv, "mmcv==2.1.0", CPU)
    assert interrupted[0].returncode == -signal.SIGTERM
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_operators_for_a_gpu_need_nvcc_before_the_build(
    cache: Path, venv: StandInVenv, programs: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(venv, "pip", lambda *_, **__: pytest.fail("built"))
    with pytest.raises(InstallError, match="no nvcc was found"):
        mmcv_wheel.build_wheel(venv, "mmcv==2.1.0", CUDA)
