"""The shell scripts start the right program with the right arguments."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import ROOT

Call = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Replaces python and srun by programs that print how they were called."""
    for name in ("python", "srun"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@"\n')
        program.chmod(0o755)

    def run(script: str, *args: str, **variables: str) -> subprocess.CompletedProcess:
        path = f"{tmp_path}:{os.environ['PATH']}"
        return subprocess.run(
            [str(ROOT / "tools" / script), *args],
            env={"PATH": path, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.parametrize(
    ("script", "args"),
    [("train", ["a.py"]), ("test", ["a.py", "a.pth"])],
)
def test_several_processes(call: Call, script: str, args: list[str]) -> None:
    """One machine by default; several by the variables of OpenMMLab's scripts."""
    out = call(f"dist_{script}.sh", *args, "4", "--work-dir", "w").stdout
    assert "--nnodes 1 --node-rank 0" in out
    assert "--nproc-per-node 4" in out
    assert f"{script}.py {' '.join(args)} --launcher pytorch --work-dir w\n" in out
    node = dict(NNODES="2", NODE_RANK="1", PORT="1234", MASTER_ADDR="10.0.0.1")
    out = call(f"dist_{script}.sh", *args, "4", **node).stdout
    assert "--nnodes 2 --node-rank 1" in out
    assert "--master-addr 10.0.0.1 --master-port 1234" in out


@pytest.mark.parametrize(
    ("script", "args"),
    [("train", ["a.py"]), ("test", ["a.py", "a.pth"])],
)
def test_slurm(call: Call, script: str, args: list[str]) -> None:
    """Partition, job name, GPUs and further arguments of srun."""
    given = dict(GPUS="2", GPUS_PER_NODE="2", SRUN_ARGS="--time 10 --quiet")
    out = call(f"slurm_{script}.sh", "part", "job", *args, "--amp", **given).stdout
    assert "--partition part --job-name job --gres gpu:2 --ntasks 2" in out
    assert "--time 10 --quiet python" in out
    assert f"{script}.py {' '.join(args)} --launcher slurm --amp\n" in out


@pytest.mark.parametrize(
    "script", sorted(ROOT.glob("tools/*.sh")), ids=lambda p: p.stem
)
def test_too_few_arguments(call: Call, script: Path) -> None:
    """The usage, not a shell's complaint."""
    result = call(script.name)
    assert result.returncode == 1
    assert f"tools/{script.name} " in result.stderr


def test_works_from_any_folder(tmp_path: Path) -> None:
    """The tools find the package beside them, installed or not."""
    command = [sys.executable, ROOT / "tools" / "train.py", "nonsense"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1
    assert "error: no config 'nonsense'" in result.stderr
