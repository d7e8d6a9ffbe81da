"""The comparison of backbones, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

from tiny import ROOT


def compare(out: Path, *options: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks/backbone/run.py")]
    command += ["--arch", "nano", "--windows", "4", "--threads", "1", "--rounds", "2"]
    command += ["--contenders", "ours", "timm", "torchvision", "--out", str(out)]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_clips_are_compared_with_video_swin_v1(tmp_path: Path) -> None:
    compare(tmp_path, "--sizes", "4x32x48", "--windows", "2x3x3")
    (forward,) = tmp_path.glob("forward-4x32x48-w2x3x3-b1-eager.json")
    record = json.loads(forward.read_text())
    assert record["case"]["window"] == [2, 3, 3]
    assert {*record["result"]} == {"ours", "torchvision"}  # timm has none
    assert all(r["seconds"] > 0 for r in record["result"].values())
    table = (tmp_path / "table.md").read_text()
    assert "| training 4x32x48 w2x3x3 b1 |" in table
    assert "| | window 2x3x3 |" in table


def test_measures_writes_and_goes_on(tmp_path: Path) -> None:
    """One file per case; a second call measures what is new; failures are shown."""
    compare(tmp_path, "--sizes", "64x64", "--modes", "forward")
    (first,) = tmp_path.glob("*.json")
    assert first.name == "forward-64x64-w4-b1-eager.json"
    result = json.loads(first.read_text())["result"]
    assert all(r["seconds"] > 0 and r["bytes"] == 0 for r in result.values())
    kept = json.loads(first.read_text())
    kept["result"]["timm"] = {"error": "takes squares only"}
    first.write_text(json.dumps(kept))
    written = first.stat().st_mtime_ns

    printed = compare(tmp_path, "--sizes", "64x64")
    assert first.stat().st_mtime_ns == written
    assert len(list(tmp_path.glob("*.json"))) == 2
    result = json.loads((tmp_path / "training-64x64-w4-b1-eager.json").read_text())
    kept = {name: r["bytes"] for name, r in result["result"].items()}
    assert 0 < kept["ours"] < kept["timm"]
    table = (tmp_path / "table.md").read_text()
    assert "| training 64x64 w4 b1 |" in table and "cannot: takes squares" in table
    assert "training 64x64 w4 b1" in printed
    assert (tmp_path / "plot.png").stat().st_size > 10_000
