"""The installer's decisions and failures; nothing is downloaded or compiled here."""

import importlib.metadata
import re
import shutil
import sys
import sysconfig
from collections import namedtuple
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tools"))  # as for a script that lies there

import install  # noqa: E402
from installation import checks, environment, mmcv_wheel  # noqa: E402
from installation.checks import InstallError  # noqa: E402
from installation.environment import Venv  # noqa: E402
from installation.mmcv_wheel import Torch  # noqa: E402

CPU = Torch(version="2.13.0+cpu", cuda=None, arch="")
CUDA = Torch(version="2.13.0+cu130", cuda="13.0", arch="9.0")


def write_script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def add_distribution(venv: Venv, name: str, version: str) -> None:
    info = venv.site_packages / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")


@pytest.fixture
def venv(tmp_path: Path) -> Venv:
    """An environment without anything in it."""
    (tmp_path / "venv").mkdir()
    return Venv(tmp_path / "venv")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that can compile, with an empty cache and no settings of its own."""
    for name in ("CXX", "FORCE_CUDA", "TORCH_CUDA_ARCH_LIST", "CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mmcv_wheel, "check_compiler", lambda: None)
    return tmp_path / "cache"


@pytest.fixture
def empty_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which no program is found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


# What is asked for


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("", ""),
        ("2.11.0", "2.11.0"),
        (" torch==2.11.0 ", "2.11.0"),
        ("2.11.0+cpu", "2.11.0+cpu"),
        ("2.14.0.dev20261101", "2.14.0.dev20261101"),
    ],
)
def test_torch_is_a_version_with_or_without_its_name(text: str, version: str) -> None:
    assert install.parse_torch(text) == version


@pytest.mark.parametrize("text", ["newest", "torch>=2", "2", "2.1 --pre", "-r x.txt"])
def test_torch_that_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InstallError, match=r"TORCH=.*expected a version"):
        install.parse_torch(text)


@pytest.mark.parametrize("stack", install.VENVS)
def test_stack_is_installed_at_exactly_the_versions_of_its_file(stack: str) -> None:
    text = (ROOT / f"requirements/{stack}.txt").read_text()
    pins = install.read_pins(stack)
    assert len(pins) == 4
    for pin in pins:
        name, version = pin.split("==")
        assert re.search(rf"^{name}[>=]={re.escape(version)}\b", text, re.MULTILINE)


def test_package_requires_no_stack_by_name() -> None:
    required = importlib.metadata.requires("mmswinv2")
    always = [line for line in required if "extra ==" not in line]
    assert any(line.startswith("torch") for line in always)
    assert not [line for line in always if re.match(r"(onedl-)?mm", line)]


# When an environment is up to date


def complete(venv: Venv, stack: str = "onedl") -> None:
    add_distribution(venv, "torch", "2.13.0+cpu")
    venv.write_stamp(fingerprint=install.fingerprint(stack), torch="2.13.0+cpu")


@pytest.mark.parametrize("torch", ["", "2.13.0", "2.13.0+cpu"])
def test_complete_environment_is_fresh(venv: Venv, torch: str) -> None:
    complete(venv)
    assert install.is_fresh(venv, "onedl", torch)


@pytest.mark.parametrize("torch", ["2.11.0", "2.13.0+cu130", "2.13"])
def test_another_torch_is_not_fresh(venv: Venv, torch: str) -> None:
    complete(venv)
    assert not install.is_fresh(venv, "onedl", torch)


def test_another_stack_is_not_fresh(venv: Venv) -> None:
    complete(venv)
    assert not install.is_fresh(venv, "openmmlab", "")


@pytest.mark.parametrize("text", [None, "", '{"fingerprint": "ab', "{}"])
def test_without_a_whole_stamp_nothing_is_fresh(venv: Venv, text: str | None) -> None:
    add_distribution(venv, "torch", "2.13.0+cpu")
    if text is not None:
        venv.stamp.write_text(text)
    assert not install.is_fresh(venv, "onedl", "")


def test_torch_replaced_by_hand_is_not_fresh(venv: Venv) -> None:
    complete(venv)
    shutil.rmtree(venv.site_packages)
    add_distribution(venv, "torch", "2.12.0+cpu")
    assert not install.is_fresh(venv, "onedl", "")


def test_changed_requirements_are_not_fresh(
    venv: Venv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(venv)
    clone = tmp_path / "clone"
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("requirements", "tools"):
        shutil.copytree(ROOT / folder, clone / folder, ignore=ignore)
    for file in ("setup.py", "pyproject.toml"):
        shutil.copy(ROOT / file, clone)
    monkeypatch.setattr(install, "ROOT", clone)
    before = install.fingerprint("onedl")
    with (clone / "requirements/onedl.txt").open("a") as file:
        file.write("another\n")
    assert install.fingerprint("onedl") != before


def test_fresh_environment_returns_before_any_work(
    venv: Venv, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    complete(venv)
    monkeypatch.setattr(install, "install", lambda *_: pytest.fail("installed again"))
    monkeypatch.setattr(sys, "argv", ["install.py", "--venv", str(venv.path)])
    assert install.main() == 0
    assert "up to date" in capsys.readouterr().out


def test_unknown_stack_ends_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["install.py", "--stack", "mmcv"])
    assert install.main() == 1
    message = capsys.readouterr().err
    assert "STACK=mmcv: expected one of onedl, openmmlab" in message
    assert message.count("\n") == 1


# What is missing on the machine

Version = namedtuple("Version", "major minor micro releaselevel serial")


@pytest.mark.parametrize("minor", [8, 9, 14])
def test_unsupported_python_is_told_what_to_use(
    minor: int, empty_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", Version(3, minor, 0, "final", 0))
    with pytest.raises(InstallError, match=rf"3\.{minor}, .*install one of these"):
        checks.check_python()
    write_script(empty_path / "python3.12", "")
    with pytest.raises(InstallError, match=r"PYTHON=python3\.12"):
        checks.check_python()


def test_missing_venv_module_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    checks.check_python()
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    with pytest.raises(InstallError, match="apt-get install python3-venv"):
        checks.check_python()


def test_missing_compiler_names_its_package(
    empty_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(InstallError, match="apt-get install build-essential"):
        checks.check_compiler()


def test_missing_headers_name_their_package(
    empty_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    write_script(empty_path / "c++", "")
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


def test_pip_without_network_ends_with_one_sentence(venv: Venv) -> None:
    write_script(venv.python, "echo 'Temporary failure in name resolution'; exit 1")
    with pytest.raises(InstallError, match="check the network") as error:
        venv.check_network()
    assert "\n" not in str(error.value)
    write_script(venv.python, "exit 0")
    venv.check_network()


@pytest.mark.parametrize("release", [None, "12.8"])
def test_gpu_without_a_matching_nvcc_is_told_both_ways_out(
    release: str | None, cache: Path, empty_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_HOME", str(empty_path.parent))
    if release:
        write_script(empty_path / "nvcc", f"echo 'tools, release {release}, V1'")
    with pytest.raises(InstallError, match=r"toolkit 13\.0.*CUDA_VISIBLE_DEVICES="):
        checks.check_nvcc("13.0")
    write_script(empty_path / "nvcc", "echo 'tools, release 13.2, V13.2.5'")
    checks.check_nvcc("13.0")


def test_folder_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(InstallError, match="no virtual environment"):
        Venv(tmp_path).create()
    assert [file.name for file in tmp_path.iterdir()] == ["photo.jpg"]


def test_environment_of_another_python_is_refused(venv: Venv) -> None:
    (venv.path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.7.3\n")
    with pytest.raises(InstallError, match=r"made with Python 3\.7"):
        venv.create()


# Commands and their log


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "disk space"),
        ("Max retries exceeded with url: /simple/x/", "Check the network"),
        ("fatal error: Python.h: No such file or directory", "python3-dev"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "MAX_JOBS=1"),
        ("ERROR: No matching distribution found for torch==9.9", "another PYTHON"),
        ("error: something else", "Mend what it names"),
    ],
)
def test_failed_command_shows_its_output_and_advice(
    venv: Venv, output: str, advice: str
) -> None:
    venv.log.write_text("No space left on device, in an earlier run\n")
    write_script(venv.python, f"echo '{output}' >&2; exit 2")
    with pytest.raises(InstallError) as error:
        venv.pip("install", "something")
    assert output in str(error.value)
    last = str(error.value).splitlines()[-1]
    assert advice in last
    assert str(venv.log) in last
    assert ("earlier run" in last, "disk" in last) == (False, "disk" in advice)


def test_long_command_gives_signs_of_life(
    venv: Venv, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(environment, "HEARTBEAT", 0.05)
    write_script(venv.python, "echo '  [7/81] c++ nms.cpp'; sleep 0.5")
    venv.pip("wheel", "mmcv")
    assert ", 7/81 files compiled\n" in capsys.readouterr().out


# The wheel of mmcv


def test_wheel_key_holds_all_that_the_operators_depend_on(
    cache: Path, monkeypatch: pytest.MonkeyPatch
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
    monkeypatch.setattr(sys, "version_info", Version(3, 13, 0, "final", 0))
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


# A python that answers `-m pip wheel ... --wheel-dir FOLDER mmcv`.
PIP_WHEEL = 'while [ "$1" != --wheel-dir ]; do shift; done; '


def test_built_wheel_is_kept_and_found(cache: Path, venv: Venv) -> None:
    key = mmcv_wheel.wheel_key("mmcv==2.1.0", CPU)
    assert mmcv_wheel.find_wheel(key) is None
    write_script(venv.python, PIP_WHEEL + 'echo "$3 $MMCV_WITH_OPS" > "$2/m-cp.whl"')
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
    cache: Path, venv: Venv, ending: str, error: type[Exception]
) -> None:
    write_script(venv.python, PIP_WHEEL + ending)
    with pytest.raises(error):
        mmcv_wheel.build_wheel(venv, "mmcv==2.1.0", CPU)
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_interrupted_build_leaves_nothing_in_the_cache(
    cache: Path, venv: Venv, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(process: object) -> None:
        process.communicate()  # the half-written wheel is there by now
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "wait", interrupt)
    write_script(venv.python, PIP_WHEEL + 'echo half > "$2/m-cp.whl"')
    with pytest.raises(KeyboardInterrupt):
        mmcv_wheel.build_wheel(venv, "mmcv==2.1.0", CPU)
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_operators_for_a_gpu_need_nvcc_before_the_build(
    cache: Path, venv: Venv, empty_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_HOME", str(empty_path.parent))
    monkeypatch.setattr(venv, "pip", lambda *_, **__: pytest.fail("built"))
    with pytest.raises(InstallError, match="no nvcc was found"):
        mmcv_wheel.build_wheel(venv, "mmcv==2.1.0", CUDA)


# OpenCV


@pytest.mark.parametrize("name", ["opencv-python", "opencv-contrib-python"])
def test_desktop_opencv_is_replaced_by_the_same_headless_version(
    venv: Venv, name: str
) -> None:
    add_distribution(venv, name.replace("-", "_"), "4.12.0.88")
    write_script(venv.python, 'echo "$@"')
    install.use_headless_opencv(venv)
    uninstall, reinstall = venv.log.read_text().splitlines()
    assert uninstall.endswith("uninstall --yes opencv-python opencv-contrib-python")
    assert reinstall.endswith("opencv-python-headless==4.12.0.88")


def test_headless_opencv_is_left_alone(venv: Venv) -> None:
    add_distribution(venv, "opencv_python_headless", "4.12.0.88")
    write_script(venv.python, 'echo "$@"')
    install.use_headless_opencv(venv)
    assert not venv.log.exists()
