"""The command of the window transfer benchmark, with a few steps."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from protocol import SIZES, phases, runs
from reporting import PAPER, summary
from tiny import ROOT, Tool

SCRIPT = "benchmarks/window_transfer/run.py"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything has been run."""
    out = tmp_path_factory.mktemp("window transfer")
    command = [sys.executable, ROOT / SCRIPT, "--size", "smoke", "--out", out]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return out


@pytest.fixture
def run(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple]:
    """Calls it in this process, which keeps its signals."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return lambda out, *options, size="smoke": tool.run(
        SCRIPT, "--size", size, "--out", out, *options
    )


def all_results(out: Path) -> dict[str, str]:
    return {str(f.relative_to(out)): f.read_text() for f in out.glob("*/*/*.json")}


def test_all_phases_run_and_are_reported(finished: Path) -> None:
    """One file per phase, and table, figure and numbers of all of them."""
    size = SIZES["smoke"]
    expected = [phase for run in runs(size) for phase in phases(*run, size)]
    assert len(all_results(finished)) == len(expected) == 13
    numbers = json.loads((finished / "results.json").read_text())["results"]
    assert len(numbers) == len(expected)
    assert all(0 <= n[k] <= 100 for n in numbers for k in ("mIoU", "AP", "direction"))
    table = (finished / "table.md").read_text()
    assert re.search(r"^\| segmentation, mIoU \| log CPB \| \d", table, re.MULTILINE)
    assert "| *paper: ImageNet, top-1* | log CPB | 81.8 | 82.4 / 83.2 |" in table
    assert (finished / "figure.png").read_bytes()[:4] == b"\x89PNG"


def test_a_cut_run_goes_on_where_it_was(finished: Path, run: Callable) -> None:
    """What is missing or of other settings is run, and gives what it gave before."""
    before = all_results(finished)
    (finished / "linear_cpb" / "seed0" / "finetune-w12.json").unlink()
    file = finished / "table" / "seed0" / "transfer-w12.json"
    result = json.loads(file.read_text())
    result["settings"]["steps"] = [99, 99]
    file.write_text(json.dumps(result))
    code, out, err = run(finished)
    assert code == 0, err
    ran = re.findall(r"^(\w+), seed 0, (\w+) at", out, re.MULTILINE)
    assert sorted(ran) == [("linear_cpb", "finetune"), ("table", "transfer")]
    for name, text in all_results(finished).items():
        was, now = json.loads(before[name]), json.loads(text)
        was["seconds"] = now["seconds"] = 0  # the time it took may differ
        assert was == now


def test_a_failing_run_is_named(finished: Path, run: Callable) -> None:
    """With its last line and its log; what has finished is reported still."""
    weights = finished / "log_cpb" / "seed0" / "pretrained.pth"
    kept = weights.read_bytes()
    weights.write_bytes(b"nothing")
    result = finished / "log_cpb" / "seed0" / "transfer-w12.json"
    result.unlink()
    code, out, err = run(finished)
    weights.write_bytes(kept)
    assert code == 1
    assert "run.py: error: log_cpb, seed 0 failed: " in err
    assert "Traceback" not in err
    assert "log CPB" in out


def test_nothing_to_report(tmp_path: Path, run: Callable) -> None:
    """A message, and no table."""
    code, _, err = run(tmp_path, "--report")
    assert code == 1
    assert err == "run.py: error: no phase has finished yet\n"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpu_size_without_a_gpu(tmp_path: Path, run: Callable) -> None:
    """It is refused before anything is started."""
    code, _, err = run(tmp_path, size="gpu")
    assert code == 1
    assert "--size gpu needs a GPU" in err
    assert not any(tmp_path.iterdir())


def test_summary() -> None:
    """Mean and standard deviation over seeds."""
    assert summary([1.0, 2.0, 3.0]) == "2.0 ± 1.0"
    assert summary([1.0]) == "1.0"
    assert summary([]) == "-"


def test_paper_has_a_cell_for_every_window() -> None:
    """Five as pre-trained, four fine-tuned."""
    assert {len(v) for rows in PAPER.values() for v in rows.values()} == {4, 5}
