"""A virtual environment and the commands in it: their log, progress and failures."""

from pathlib import Path

import pytest
from installation import environment
from installation.checks import InstallError, python_version
from installation.environment import Venv

from .conftest import StandInVenv


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
    venv: StandInVenv, output: str, advice: str
) -> None:
    venv.log.write_text("No space left on device, in an earlier run\n")
    venv.answer(f"echo '{output}' >&2; exit 2")
    with pytest.raises(InstallError) as error:
        venv.pip("install", "something")
    assert error.value.output == output
    message = str(error.value)
    assert advice in message
    assert str(venv.log) in message
    assert ("disk" in message) == ("disk" in advice)


def test_killed_command_says_so(venv: StandInVenv) -> None:
    venv.answer("kill -9 $$")
    with pytest.raises(InstallError, match=r"ended by SIGKILL.*MAX_JOBS=1"):
        venv.pip("wheel", "mmcv")


def test_long_command_gives_signs_of_life(
    venv: StandInVenv, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(environment, "HEARTBEAT", 0.05)
    venv.answer("echo '  [7/81] c++ nms.cpp'; sleep 0.5")
    venv.pip("wheel", "mmcv")
    assert ", 7/81 files compiled\n" in capsys.readouterr().out


def test_pip_without_network_ends_with_one_sentence(venv: StandInVenv) -> None:
    venv.answer("echo 'Temporary failure in name resolution'; exit 1")
    with pytest.raises(InstallError, match="check the network") as error:
        venv.check_network()
    assert "\n" not in str(error.value)
    venv.answer("exit 0")
    venv.check_network()


def test_folder_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(InstallError, match="no virtual environment"):
        Venv(tmp_path).create()
    assert [file.name for file in tmp_path.iterdir()] == ["photo.jpg"]


def test_environment_of_another_python_is_refused(venv: StandInVenv) -> None:
    (venv.path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.7.3\n")
    with pytest.raises(InstallError, match=r"made with Python 3\.7"):
        venv.create()


def test_sound_environment_is_left_as_it_is(venv: StandInVenv) -> None:
    config = f"home = /usr/bin\nversion = {python_version()}.0\n"
    (venv.path / "pyvenv.cfg").write_text(config)
    venv.answer("exit 0")
    venv.add("pip", "26.3")
    venv.create()
    assert (venv.path / "pyvenv.cfg").read_text() == config
    assert not venv.log.exists()
