"""The command ``mmswinv2``: those of tools/ and demo/, each by its name."""

from __future__ import annotations

import difflib
import os
import re
import sys
from importlib.machinery import SourceFileLoader
from itertools import takewhile
from pathlib import Path
from types import ModuleType

from mmswinv2 import __version__
from mmswinv2.places import COMMANDS, ROOT

USAGE = """usage: mmswinv2 COMMAND [ARGUMENT ...]
       mmswinv2 COMMAND --help
       mmswinv2 --version
"""
NOTE = """
In several processes: mmswinv2 dist-train CONFIG GPUS, or
  torchrun --nproc-per-node GPUS -m mmswinv2 train CONFIG --launcher pytorch"""


def main() -> None:
    """Runs the command that the command line names."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help", "help"):
        width = max(map(len, COMMANDS))
        lines = [f"  {name:<{width}}  {_about(name)}" for name in COMMANDS]
        print("\n".join([USAGE, *lines, NOTE]))
    elif name in ("-V", "--version"):
        print(f"mmswinv2 {__version__}")
    elif name in COMMANDS:
        run(name, arguments)
    else:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        message = f"no command {name!r}; {hint}mmswinv2 --help lists them"
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2)


def run(name: str, arguments: list[str]) -> None:
    """Runs a command in this process, as if its file had been started.

    Args:
        name (str): One of ``COMMANDS``.
        arguments (list[str]): Its arguments.
    """
    file = ROOT / COMMANDS[name]
    if file.suffix == ".sh":
        if arguments[:1] in (["-h"], ["--help"]):
            comment = takewhile(re.compile("# ").match, _lines(name)[1:])
            print("\n".join(line[2:] for line in comment))
            return
        # their python is the one that runs this, which need not be on PATH
        path = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        os.environ["PATH"] = os.pathsep.join(path)
        os.execvp("bash", ["bash", str(file), *arguments])
    sys.argv = [f"mmswinv2 {name}", *arguments]
    module = ModuleType("__main__")
    module.__file__ = str(file)  # which processes that are spawned run, too
    sys.modules["__main__"] = module
    SourceFileLoader("__main__", str(file)).exec_module(module)


def _about(name: str) -> str:
    """The first line of a command's docstring, or of the comment that a script has."""
    first, second, *_ = _lines(name)
    return second[2:] if first.startswith("#!") else first[3:]


def _lines(name: str) -> list[str]:
    return (ROOT / COMMANDS[name]).read_text().splitlines()


if __name__ == "__main__":
    main()
