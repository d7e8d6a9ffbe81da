"""Stages of experiments that run side by side."""

from pathlib import Path

import pytest
from rich.console import Console

from mmswinv2.cli.stages import FOLDER, Stage, StageError, run_as_ready

# Notes its start, and waits until as many have begun as it is told.
SCRIPT = """
import pathlib, sys, time
folder, together, code = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with (folder.parent / 'begun').open('a') as begun:
    print(folder.name, file=begun)
end = time.monotonic() + 20
while len((folder.parent / 'begun').read_text().split()) < together:
    if time.monotonic() > end:
        sys.exit(9)
    time.sleep(.01)
sys.exit(code)
"""


def make(
    folder: Path, name: str, *, together: int = 1, code: int = 0, **other: object
) -> Stage:
    (folder / "script.py").write_text(SCRIPT)
    (folder / "data.json").write_text("{}")
    command = (str(folder / "script.py"), FOLDER, str(together), str(code))
    common = dict(seconds=1.0, data=folder / "data.json")
    return Stage(name, folder / name, command, **common | other)


def begun(folder: Path) -> list[str]:
    return (folder / "begun").read_text().split()


def test_stages_wait_for_what_they_need_and_for_nothing_else(tmp_path: Path):
    first = make(tmp_path, "first", seconds=5.0)
    later = make(tmp_path, "later", after=first)
    # ends only when the other two have begun
    beside = make(tmp_path, "beside", together=3)
    run_as_ready([later, beside], 2, Console(quiet=True))
    assert begun(tmp_path) in (
        ["first", "beside", "later"],
        ["beside", "first", "later"],
    )
    assert all(stage.is_done() for stage in (first, later, beside))


def test_the_longest_way_begins_first(tmp_path: Path):
    short = make(tmp_path, "short", seconds=3.0)
    root = make(tmp_path, "root", seconds=2.0)
    leaf = make(tmp_path, "leaf", seconds=2.0, after=root)
    run_as_ready([short, leaf], 1, Console(quiet=True))
    assert begun(tmp_path) == ["root", "short", "leaf"]


def test_a_failure_stops_only_what_needs_it(tmp_path: Path):
    broken = make(tmp_path, "broken", code=3, seconds=9.0)
    after = make(tmp_path, "after", after=broken)
    other = make(tmp_path, "other")
    with pytest.raises(StageError, match=r"^broken: exit code 3; see .*log.txt$"):
        run_as_ready([after, other], 1, Console(quiet=True))
    assert begun(tmp_path) == ["broken", "other"]
    assert other.is_done() and not after.is_done()
