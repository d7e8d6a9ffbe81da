"""Records, limits and reports of the sections of the GPU benchmark."""

import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from tiny import load_script

driver = load_script("benchmarks/gpu/driver.py")

from record import Record, Table, blame, describe, read  # noqa: E402
from report import write_report  # noqa: E402

FOLDER = str(driver.FOLDER)
MACHINE = {"name": "a machine", "torch": "2", "triton": "3", "smoke": False}

# A section of three cases; in the second the first contender ends the process.
SECTION = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {folder!r})
from record import Record, Table
out = Path(sys.argv[sys.argv.index("--out") + 1])
table = Table("T", "N", cases="abc", contenders=["x", "y"], quantities=["q"])
record = Record(out, [table], {machine!r}, lambda: None, lambda: None)
for case in table.pending():
    for name in case.contenders():
        with case.attempt(name):
            if case.name == "b" and name == "x":
                {act}
            case.put(name, "q", 1.5)
record.finish()
"""


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, act: str, limit: float) -> str:
    """How a section ends that does ``act`` in the middle."""
    text = SECTION.format(folder=FOLDER, machine=MACHINE, act=act)
    (folder / "made_up.py").write_text(text)
    monkeypatch.setattr(driver, "FOLDER", folder)
    section = driver.Section("made_up", "Made up", 1)
    args = Namespace(out=folder, device="cpu", smoke=False)
    return driver.run_section(section, args, MACHINE, limit)


def cells(folder: Path) -> dict:
    (table,) = read(folder / "made_up.json")["tables"]
    return table["cells"]


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("os.abort()", "the process was killed by SIGABRT"),
        ("os._exit(75)", "the process ended with status 75: "),
        ("raise KeyError('none')", "KeyError: 'none'"),
    ],
)
def test_a_cell_that_ends_the_process_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, reason: str
) -> None:
    assert run(tmp_path, monkeypatch, act, 60) == "done"
    good = {"values": {"q": 1.5}}
    assert cells(tmp_path) == {
        "a": {"x": good, "y": good},
        "b": {"x": {"error": reason}, "y": good},
        "c": {"x": good, "y": good},
    }


def test_time_runs_out_in_a_cell_and_the_next_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured is kept; what hung comes last."""
    assert run(tmp_path, monkeypatch, "time.sleep(600)", 3) == "time ran out"
    good = {"values": {"q": 1.5}}
    assert cells(tmp_path) == {"a": {"x": good, "y": good}, "b": {"x": {}, "y": {}}}
    assert run(tmp_path, monkeypatch, "time.sleep(600)", 3) == "time ran out"
    assert cells(tmp_path)["c"] == {"x": good, "y": good}
    assert run(tmp_path, monkeypatch, "pass", 60) == "done"
    assert cells(tmp_path)["b"] == {"x": good, "y": good}


def test_children_end_with_their_section(tmp_path: Path) -> None:
    """As compilers would, that a section has started."""
    child = f"import time; open({str(tmp_path / 'child')!r}, 'w'); time.sleep(600)"
    parent = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    log = tmp_path / "log"
    command = [sys.executable, "-c", parent]
    assert driver.run_process(command, log, 3, dict(os.environ)) is None
    pid = int(log.read_text())
    for _ in range(100):  # until whoever adopts orphans has seen it
        if not _runs(pid):
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the child outlived its section")


def _runs(pid: int) -> bool:
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    state = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def test_a_failure_outside_of_contenders_ends_its_case_alone(tmp_path: Path) -> None:
    """Those that have numbers keep them."""
    file = tmp_path / "made_up.json"
    table = Table("T", "N", cases="ab", contenders=["x", "y"], quantities=["q"])
    Record(file, [table], MACHINE, lambda: None, lambda: None)
    case = next(table.pending())
    case.put("x", "q", 1.5)
    assert blame(file, "it died", MACHINE)
    again = Table("T", "N", cases="ab", contenders=["x", "y"], quantities=["q"])
    Record(file, [again], MACHINE, lambda: None, lambda: None)
    assert again.cells["a"] == {
        "x": {"values": {"q": 1.5}, "error": "it died"},
        "y": {"error": "it died"},
    }
    assert [case.name for case in again.pending()] == ["b"]
    assert not blame(file, "it died again", MACHINE)
    assert read(file)["error"] == "it died again"


def test_errors_fit_a_cell() -> None:
    assert describe(ValueError("a\n  b")) == "ValueError: a b"
    assert describe(RuntimeError("CUDA out of memory. Tried")) == "out of memory"
    assert len(describe(ValueError("x" * 999))) == 300


def test_report_says_for_every_cell_number_error_or_not_measured(
    tmp_path: Path,
) -> None:
    names = ["number", "wrong", "error", "skipped", "never"]
    table = Table("T", "Note.", cases=["a", "b"], contenders=names, quantities=["q"])
    two = Table("U", "Note.", cases=["a"], contenders=["x"], quantities=["q", "r"])
    Record(tmp_path / "s.json", [table, two], MACHINE, lambda: None, lambda: None)
    case = next(table.pending())
    case.put("number", "q", 1234.5678)
    case.put("wrong", "q", 0.25, wrong=True)
    case.fail("error", ValueError("no | here"))
    case.skip("skipped", "needs a GPU")
    next(two.pending()).put("x", "r", "a | name")

    counts = write_report(tmp_path, {"s": "Made up", "t": "Other"}, MACHINE)
    assert counts == {"measured": 2, "wrong": 1, "error": 1, "not measured": 8}
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert lines[0] == "# Benchmark on a machine"
    assert "| a | 1235 | **wrong: 0.25** | error: ValueError: no / here | " in "".join(
        line for line in lines
    )
    assert (
        "not measured (needs a GPU) | not measured |"
        in lines[lines.index("|  | number | wrong | error | skipped | never |") + 2]
    )
    assert "| b |" + " not measured |" * 5 in lines
    assert "| a | x | not measured | a / name |" in lines
    assert lines[lines.index("## Other") + 2] == "Not measured."


@pytest.mark.parametrize("shift", [(0, 0), (1, 2)])
def test_flex_attention_computes_the_same(shift: tuple[int, int]) -> None:
    """With padding; plain, for its backward needs a GPU."""
    from attention import call, make_inputs
    from flex import flex_window_attention, regions

    size, window = (5, 7), (3, 4)
    with torch.no_grad():
        inputs = make_inputs(2, size, 2, window, torch.float32, "cpu", channels=16)
        region = regions(size, window, shift, torch.device("cpu"))
        out = flex_window_attention(*inputs, window, shift, region)
        expected = call("reference", *inputs, window=window, shift=shift)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
