"""One page about GPUs and kernels, whatever the machine has and lacks."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import ROOT, Tool

from mmswinv2.ops import self_check
from mmswinv2.ops.self_check import child, decide

SCRIPT = "tools/check_gpu.py"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without settings, on a machine without a GPU."""
    for name in list(os.environ):
        if name.startswith(("MMSWINV2_", "TRITON_", "CUDA_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(decide, "_known", {})
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A GPU whose kernels are refused for the reasons that are put in here."""
    refused = {}
    card = SimpleNamespace(name="NVIDIA X", major=9, minor=0, total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(self_check, "unsupported", lambda device: refused.get("all"))

    def check(kernel: str, device: torch.device, dtype: torch.dtype, channels: int):
        assert device == torch.device("cuda", 0)
        return refused.get(f"{kernel} {str(dtype)[6:]} {channels}")

    monkeypatch.setattr(self_check, "check_again", check)
    return refused


def test_without_a_gpu(tool: Tool, tmp_path: Path) -> None:
    """It says so, and what runs; the user's name stays out of it."""
    out = tool(SCRIPT)
    assert "| none | torch sees none |" in out
    assert "it needs a CUDA device, got cpu" in out
    assert "'auto' takes 'chunked', since this is no GPU" in out
    assert f"| torch | {torch.__version__} |" in out
    assert "| Triton's cache | ~/.triton/cache, writable |" in out
    assert str(tmp_path / "home") not in out


def test_all_kernels_are_proven(tool: Tool, gpu: dict) -> None:
    """A row per number of channels, a column per dtype."""
    out = tool(SCRIPT)
    assert "| cuda:0 | NVIDIA X, capability 9.0, 80.0 GiB |" in out
    row = "| window_attention | 32 | proven (0 s) | proven (0 s) | proven (0 s) |"
    assert row in out
    assert "| window_attention_3d | 64 | proven" in out
    assert "| residual_norm | 1024 | proven" in out
    assert "window_attention: 'auto' takes 'triton', whose kernels have proven" in out


def test_a_refused_kernel_fails(tool: Tool, gpu: dict) -> None:
    """With its reason, and with what runs where."""
    gpu["window_attention bfloat16 64"] = "its check did not end within 300 s"
    code, out, err = tool.run(SCRIPT, "--device", "cuda:0")
    assert code == 1
    assert "| window_attention | 64 | refused (0 s) | proven (0 s) | proven" in out
    reason = "- window_attention, bf16 with 64 channels: its check did not end within"
    assert reason in out
    assert "fp32 with 32 channels, fp16 with 64 channels, fp32 with 64" in out
    assert "window_attention bf16 64: its check did not end" in err


def test_a_gpu_that_is_too_old_fails(tool: Tool, gpu: dict) -> None:
    gpu["all"] = "it needs compute capability 8.0"
    code, out, _ = tool.run(SCRIPT)
    assert code == 1
    assert "No kernel of this package runs on cuda:0: it needs compute" in out
    assert "window_attention: 'auto' takes 'sdpa', for the reasons above" in out
    assert "residual_norm: 'auto' takes 'plain', for the reasons above" in out


def test_a_variable_overrules(
    tool: Tool, gpu: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page names it and what it makes of 'auto'."""
    monkeypatch.setenv("MMSWINV2_ATTENTION", "reference")
    out = tool(SCRIPT)
    assert "| MMSWINV2_ATTENTION | reference |" in out
    assert "'auto' takes 'reference', which MMSWINV2_ATTENTION says" in out


def test_forgets_what_was_known(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A refusal that was kept is checked again, and its verdict replaced."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    cpu = torch.device("cpu")
    question = "window_attention", cpu, torch.float16, 32
    monkeypatch.setattr(child, "ask", lambda *_: child.Answer("it was broken"))
    assert self_check.refusal(*question) == "it was broken"
    monkeypatch.setattr(child, "ask", lambda *_: child.Answer(None))
    assert "refused" not in tool(SCRIPT)
    assert len(list((tmp_path / "cache/mmswinv2/kernels").glob("*.json"))) == 21
    monkeypatch.setattr(decide, "_known", {})
    monkeypatch.setattr(child, "ask", None)
    assert self_check.refusal(*question) is None


def test_folders_that_cannot_be_written(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file stands where the folder would be."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "file" / "triton"))
    assert tool(SCRIPT).count(", not writable |") == 2


@pytest.mark.parametrize("device", ["cuda:1", "cuda:x", "mps"])
def test_there_is_no_such_device(tool: Tool, gpu: dict, device: str) -> None:
    assert "expected one of cpu, cuda:0" in tool.fails(SCRIPT, "--device", device)


def test_works_without_mmcv_mmdet_and_mmseg(tmp_path: Path) -> None:
    """Neither are they imported, nor need they be installed."""
    hidden = "; ".join(f"sys.modules['{x}'] = None" for x in ("mmcv", "mmdet", "mmseg"))
    script = f"import runpy, sys; {hidden}; sys.argv = ['{SCRIPT}']; "
    script += "import importlib.metadata as m; m.packages_distributions = dict; "
    script += f"runpy.run_path('{ROOT / SCRIPT}', run_name='__main__')"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "| mmcv | not installed |" in done.stdout
