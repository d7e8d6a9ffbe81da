"""Every command and snippet of the documentation is one that would be understood.

Many of them run in the tests of their pages; here none does. Commands are parsed by
the script that they name, and Python is compiled and its imports looked up.
"""

import argparse
import ast
import importlib
import os
import re
import runpy
import sys
from unittest import mock

import pytest
from pages import blocks, words_of
from tiny import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "configs").glob("**/README.md")),
    ROOT / "benchmarks" / "README.md",
]
TEXTS = {path: path.read_text() for path in PAGES if path.is_file()}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELL = ("", "bash", "sh", "shell")
PROGRAMS = {"make", "pip", "source", "bash", "GPUS=16", "python"}


class Understood(BaseException):
    """The arguments are those that the script takes; no error, which it would print."""


def lines(text: str) -> list[str]:
    """Commands of the shell blocks of a page, and of its first page's cards."""
    shell = [body for language, body in FENCE.findall(text) if language in SHELL]
    joined = "".join(shell).replace("\\\n", "")
    found = [line.partition(" #")[0].strip() for line in joined.splitlines()]
    found += re.findall(r"^ +`([^`\n]+)`$", text, re.MULTILINE)
    return [line for line in found if line.partition(" ")[0] in PROGRAMS]


COMMANDS = {line: path for path, text in TEXTS.items() for line in lines(text)}
SCRIPTS = [line for line in COMMANDS if re.match(r"python \w+/", line)]
PYTHON = [
    pytest.param(block, id=f"{path.relative_to(ROOT)}-{number}")
    for path, text in TEXTS.items()
    for number, block in enumerate(blocks(text, "python"))
]


@pytest.mark.parametrize("command", SCRIPTS)
def test_a_command_is_one_that_its_script_takes(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, script, *words = words_of(command)
    parse = argparse.ArgumentParser.parse_args

    def only_parse(parser: argparse.ArgumentParser, *given: object) -> None:
        parse(parser, *given)
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
    monkeypatch.setattr("sys.argv", [script, *words])
    file = ROOT / script
    monkeypatch.syspath_prepend(file.parent if file.is_file() else file)
    before = set(sys.modules)
    try:
        with mock.patch.dict(os.environ):  # which some benchmarks change for themselves
            runpy.run_path(str(file), run_name="__main__")
    except Understood:
        return
    finally:  # scripts of another folder have siblings of the same names
        for name in set(sys.modules) - before:
            path = getattr(sys.modules[name], "__file__", None) or ""
            if path.startswith((f"{ROOT}/benchmarks", f"{ROOT}/tools")):
                del sys.modules[name]
    assert script == "tools/run.py", "parses nothing"  # lists, without an argument


@pytest.mark.parametrize("command", COMMANDS)
def test_files_of_the_repository_that_a_command_names_are_there(command: str) -> None:
    text = TEXTS[COMMANDS[command]]
    for word in words_of(command):
        if re.match(r"(tools|demo|benchmarks)/.*\.(py|sh)$|configs/.*\.py$", word):
            written = re.search(rf"(--out|#) {re.escape(word)}", text)
            assert (ROOT / word).is_file() or written, word


@pytest.mark.parametrize("block", PYTHON)
def test_python_compiles_and_its_imports_are_there(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)


def test_commands_are_found() -> None:
    """Guards the parsing: pages that are not understood would test nothing."""
    pages = {path.relative_to(ROOT).as_posix() for path in COMMANDS.values()}
    assert {"docs/index.md", "docs/export.md", "benchmarks/README.md"} <= pages
    assert len(SCRIPTS) >= 60
