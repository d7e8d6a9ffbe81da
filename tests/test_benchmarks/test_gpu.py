"""The benchmark of everything that needs a GPU, where there is none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import ROOT, load_script

driver = load_script("benchmarks/gpu/driver.py")

# A bare machine; and one section dies where it is asked to, as it starts.
SITE = """
import os, sys
from importlib.machinery import PathFinder

class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, *args):
        absent = name.partition(".")[0] in ("mmcv", "mmdet", "mmseg", "cv2")
        return None if absent else super().find_spec(name, *args)

sys.meta_path = [Bare if x is PathFinder else x for x in sys.meta_path]
dying = os.environ.get("DYING_SECTION")
if dying and any(dying + ".py" in word for word in sys.orig_argv):
    print("something is missing here")
    os._exit(3)
"""


def benchmark(
    out: Path, *options: str, **variables: str
) -> subprocess.CompletedProcess:
    site = out.parent / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(SITE)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(site), "PATH": path} | variables
    command = ["bash", ROOT / "benchmarks" / "gpu.sh", "--out", out, *options]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=out.parent, env=environment
    )


def results(out: Path) -> dict[str, dict]:
    return {s.name: driver.read(out / f"{s.name}.json") for s in driver.SECTIONS}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a run in which one section died."""
    out = tmp_path_factory.mktemp("gpu") / "out"
    ended = benchmark(out, "--device", "cpu", "--smoke", DYING_SECTION="loss_curves")
    assert "cells measured" in ended.stdout, ended.stderr
    wrong = "**wrong" in (out / "report.md").read_text()
    assert ended.returncode == wrong, ended.stdout
    return out


def test_all_sections_measure_without_mmcv_mmdet_and_mmseg(smoke: Path) -> None:
    report = (smoke / "report.md").read_text()
    for section in driver.SECTIONS:
        assert f"\n## {section.title}\n" in report
        if section.name == "loss_curves":
            continue
        content = driver.read(smoke / f"{section.name}.json")
        assert content["complete"]
        assert content["machine"]["name"] in report.splitlines()[0]
        for table in content["tables"]:
            assert table["finished"] == table["cases"]
            assert all(table["cells"][case] for case in table["cases"])
        cells = json.dumps([table["cells"] for table in content["tables"]])
        assert '"values"' in cells


def test_backbones_of_all_projects_run_on_a_bare_machine(smoke: Path) -> None:
    for section in ("eager", "compiled"):
        (table,) = driver.read(smoke / f"{section}.json")["tables"]
        for entries in table["cells"].values():
            assert [*entries] == table["contenders"]
            assert all(entry["values"]["ms"] > 0 for entry in entries.values())


def test_operators_are_those_of_the_reference(smoke: Path) -> None:
    (table,) = driver.read(smoke / "correctness.json")["tables"]
    plain = [case for case in table["cases"] if "CUDA graph" not in case]
    for case in plain:
        if "batch 0" not in case and "overflows" not in case:
            for entry in table["cells"][case].values():
                assert entry["values"]["error"] < 1e-2
                assert "wrong" not in entry


def test_a_section_that_dies_leaves_the_others_and_runs_again(smoke: Path) -> None:
    before = results(smoke)
    reason = "the process ended with status 3: something is missing here"
    assert before["loss_curves"]["error"] == reason
    assert f"Error: {reason}" in (smoke / "report.md").read_text()

    ended = benchmark(smoke, "--device", "cpu", "--smoke")
    assert ended.stdout.count(" at most ") == 1, ended.stdout
    after = results(smoke)
    assert after["loss_curves"]["complete"]
    assert all(after[name] == before[name] for name in before if name != "loss_curves")
    assert f"Error: {reason}" not in (smoke / "report.md").read_text()


def test_results_of_other_sizes_are_not_mixed(smoke: Path) -> None:
    ended = benchmark(smoke, "--device", "cpu")
    assert ended.returncode == 2
    assert "smoke = True, and here it is False; give another --out" in ended.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_what_runs_here(tmp_path: Path) -> None:
    ended = benchmark(tmp_path / "out")
    assert ended.returncode == 2
    assert "finds no GPU here; '--device cpu --smoke'" in ended.stderr


def test_no_python_with_torch(tmp_path: Path) -> None:
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(Path("/usr/bin") / name)
    ended = subprocess.run(
        ["bash", ROOT / "benchmarks" / "gpu.sh"],
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path)},
    )
    assert ended.returncode == 1
    assert "neither python nor python3 on the PATH has torch" in ended.stderr
