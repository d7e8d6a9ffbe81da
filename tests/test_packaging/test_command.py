"""The command ``mmswinv2``: its names, its help, and what it says of a wrong name."""

import re
import sys
from collections.abc import Callable

import pytest
from tiny import ROOT

from mmswinv2 import __version__
from mmswinv2.__main__ import main
from mmswinv2.places import COMMANDS

# What serves a clone alone.
IN_A_CLONE = {
    "tools/install.py",
    "tools/installation/verify.py",
    "tools/quickstart/__main__.py",
    "tools/analysis/make_model_zoo.py",
}
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mmswinv2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Runs the command in this process: its exit code, output and errors."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(sys, "path", sys.path[:])

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mmswinv2", *arguments])
        try:
            main()
        except SystemExit as end:
            return end.code or 0, *capsys.readouterr()
        return 0, *capsys.readouterr()

    return call


def test_every_command_has_a_name() -> None:
    """Files of tools/ and demo/ that can be run, but for those of a clone."""
    files = {
        p.relative_to(ROOT).as_posix()
        for folder in ("tools", "demo")
        for p in (ROOT / folder).rglob("*.*")
        if p.suffix == ".sh" or (p.suffix == ".py" and "__main__" in p.read_text())
    }
    assert files - IN_A_CLONE == set(COMMANDS.values())
    assert len(set(COMMANDS.values())) == len(COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_has_a_line_for_each(mmswinv2: Call, arguments: list[str]) -> None:
    """The first line of the file's docstring or comment."""
    code, out, _ = mmswinv2(*arguments)
    assert code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z][^\"#]+\.$", out, re.MULTILINE), name


@pytest.mark.parametrize("name", COMMANDS)
def test_each_answers_help(mmswinv2: Call, name: str) -> None:
    """By its own name."""
    code, out, err = mmswinv2(name, "--help")
    assert code == 0, err
    usage = f"usage: mmswinv2 {name} "
    if COMMANDS[name].endswith(".sh"):
        usage = f"\n  {COMMANDS[name]} "
    elif name == "run":
        usage = "Runs the tools inside"
    assert usage in f"\n{out}"


def test_version(mmswinv2: Call) -> None:
    """That of the package."""
    assert mmswinv2("--version")[1] == f"mmswinv2 {__version__}\n"


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("trian", "did you mean 'train'? "),
        ("new_config", "did you mean 'new-config'? "),
        ("qqq", ""),
    ],
)
def test_unknown_name(mmswinv2: Call, wrong: str, hint: str) -> None:
    """One sentence, with the nearest name where one is near."""
    expected = f"error: no command '{wrong}'; {hint}mmswinv2 --help lists them\n"
    assert mmswinv2(wrong) == (2, "", expected)
