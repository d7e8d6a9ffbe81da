"""Kernels prove themselves, and nothing that goes wrong with that harms the caller.

Checks run in real subprocesses, on the CPU in Triton's interpreter or as small fakes.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses import FakeTensorMode

from mmswinv2.ops.self_check import (
    CHECKS,
    check_again,
    child,
    circumstances,
    decide,
    refusal,
    unsupported,
    verdicts,
)
from mmswinv2.ops.self_check.compare import require_near

pytest.importorskip("triton", "3.2", reason="needs triton 3.2 or newer")

CPU = torch.device("cpu")
FAKES = """
import importlib, os, subprocess, sys, time
import torch
from mmswinv2.ops.self_check import CHECKS
from mmswinv2.ops.self_check.compare import require_near

def real(kernel, question):
    from quick_interpreter import leave_out_repeats
    leave_out_repeats()
    module, function = CHECKS[kernel].split(":")
    getattr(importlib.import_module(module), function)(*question)

def real_window_attention(*question):
    real("window_attention", question)

def real_window_attention_3d(*question):
    real("window_attention_3d", question)

def proven(device, dtype, channels):
    time.sleep(0.5)
    assert (device, dtype, channels) == (torch.device("cpu"), torch.float16, 32)
    with open(os.environ["RUNS"], "a") as runs:
        runs.write(" ".join(os.environ) + "\\n")

def no_compiler(*_):
    raise RuntimeError("Failed to find C compiler.\\nPlease specify")

def compilation(*_):
    raise SyntaxError("at 12:4:\\n  x = tl.dot(a, b)\\n      ^\\nno such shape")

def header(*_):
    print("main.c:4: fatal error: Python.h: No such file", file=sys.stderr)
    raise subprocess.CalledProcessError(1, ["/usr/bin/gcc", "main.c"])

def wrong(*_):
    one = torch.ones(4, dtype=torch.float64)
    require_near("the gradient of q", 1.31 * one, one, one.dtype, 0.03)

def crash(*_):
    print("LLVM ERROR: Cannot select: t5", "#0 0x7f", sep="\\n", file=sys.stderr)
    sys.stderr.flush()
    print("not an answer", flush=True)
    os.abort()

def memory(*_):
    raise torch.cuda.OutOfMemoryError("CUDA out of memory")
"""


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """A machine where nothing is known yet, and a user without settings."""
    (tmp_path / "fakes.py").write_text(FAKES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.delenv("MMSWINV2_HOME", raising=False)
    monkeypatch.setattr(decide, "_known", {})
    verdicts._say_not_kept.cache_clear()


@pytest.fixture
def fake(monkeypatch):
    """Asks about the kernel whose check is one of the fakes."""

    def ask(name, ask=refusal):
        monkeypatch.setitem(CHECKS, "fake", f"fakes:{name}")
        return ask("fake", CPU, torch.float16, 32)

    return ask


@pytest.fixture
def asked(monkeypatch):
    """Subprocesses that were started, which are none: all of them find no fault."""
    calls = []

    def ask(*args):
        calls.append(args)
        return child.Answer(None)

    monkeypatch.setattr(child, "ask", ask)
    return calls


def executable(monkeypatch, tmp_path, script):
    """Takes the place of Python."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def kept_files(tmp_path):
    return sorted((tmp_path / "cache" / "mmswinv2" / "kernels").glob("*.json"))


@pytest.mark.parametrize("kernel", ["window_attention", "window_attention_3d"])
def test_the_real_kernels_prove_themselves(kernel, tmp_path, monkeypatch):
    """In half precision all kernels run, also the one for windows of one tile."""
    monkeypatch.setitem(CHECKS, kernel, f"fakes:real_{kernel}")
    assert refusal(kernel, CPU, torch.float16, 32) is None
    (file,) = kept_files(tmp_path)
    assert json.loads(file.read_text())["reason"] is None


@pytest.mark.parametrize(("part", "name"), [(0, "q"), (1, "k"), (2, "v")])
def test_the_real_check_finds_a_wrong_gradient_of_the_map(part, name, monkeypatch):
    from mmswinv2.ops.window_attention import self_check

    def double(grad):
        grad = grad.clone()
        grad.chunk(3, -1)[part].mul_(2)
        return grad

    def attend(qkv, table, scale, window, shift, implementation):
        qkv = qkv + 0
        qkv.register_hook(double)
        reference = self_check.reference_window_attention
        return reference(qkv, table, scale, window, shift, dropout=0.0)

    monkeypatch.setattr(self_check, "attend", attend)
    with pytest.raises(RuntimeError, match=f"the gradient of {name} differs"):
        self_check.check(CPU, torch.float32, 16)


@pytest.mark.parametrize("quantity", ["output", "gradient of the scale"])
def test_the_real_check_finds_a_wrong_number(quantity, monkeypatch):
    from mmswinv2.ops.window_attention import self_check

    def slightly_wrong(leaves, *args):
        found = self_check._run_reference([x.double() for x in leaves], *args)
        found = [x.float() for x in found]
        if wrong:
            found[self_check.QUANTITIES.index(quantity)] *= 1.01
        return found

    monkeypatch.setattr(self_check, "_run_triton", slightly_wrong)
    wrong = False
    self_check.check(CPU, torch.float32, 16)
    wrong = True
    with pytest.raises(RuntimeError, match=rf"^the {quantity} differs .* by 0\.01 "):
        self_check.check(CPU, torch.float32, 16)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "wrong",
            "its check failed: the gradient of q differs from the reference by 0.31 "
            "(allowed 0.03)",
        ),
        (
            "header",
            "its check failed: gcc ended with status 1: main.c:4: fatal error: "
            "Python.h: No such file",
        ),
        ("crash", "its check was ended by SIGABRT: LLVM ERROR: Cannot select: t5"),
    ],
)
def test_a_fault_is_named_and_kept(name, reason, fake, tmp_path):
    assert fake(name) == reason
    (file,) = kept_files(tmp_path)
    assert json.loads(file.read_text())["reason"] == reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_compiler", "RuntimeError: Failed to find C compiler."),
        ("compilation", "SyntaxError: no such shape"),
        ("missing", "AttributeError: module 'fakes' has no attribute 'missing'"),
    ],
)
def test_an_exception_is_told_in_one_line(name, reason):
    found = child.check(f"fakes:{name}", CPU, torch.float16, 32)
    assert found == f"its check failed: {reason}"


def test_proven_once_is_proven_for_all_processes(fake, tmp_path, monkeypatch):
    """Two that start at once, as ranks do, share one check; later ones make none."""
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "SLURM_PROCID"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    script = (
        "import torch; from mmswinv2.ops.self_check import CHECKS, refusal; "
        "CHECKS['fake'] = 'fakes:proven'; "
        "print(refusal('fake', torch.device('cpu'), torch.float16, 32))"
    )
    command = [sys.executable, "-c", script]
    options = dict(env=child._environment() | {"RANK": "2"}, text=True)
    ranks = [
        subprocess.Popen(command, stdout=subprocess.PIPE, **options) for _ in range(2)
    ]
    assert [rank.communicate()[0].splitlines()[-1] for rank in ranks] == ["None"] * 2
    assert fake("proven") is None
    (variables,) = (tmp_path / "runs").read_text().splitlines()
    assert "CUDA_VISIBLE_DEVICES" in variables.split()
    assert not {"RANK", "WORLD_SIZE", "MASTER_ADDR"} & {*variables.split()}
    assert "SLURM" not in variables


def test_what_is_known_is_not_looked_up_again(fake, asked, monkeypatch):
    assert [fake("proven") for _ in range(3)] == [None] * 3
    assert len(asked) == 1
    monkeypatch.setattr(decide, "_known", {})  # as in another process
    assert fake("proven") is None
    assert len(asked) == 1
    assert fake("proven", check_again) is None
    assert len(asked) == 2


def test_a_check_that_hangs_is_ended(fake, tmp_path, monkeypatch):
    executable(monkeypatch, tmp_path, "echo ready; sleep 1000")
    monkeypatch.setattr(child, "LIMIT", 2)
    assert fake("proven") == "its check did not end within 2 s"
    assert len(kept_files(tmp_path)) == 1


@pytest.mark.parametrize("script", ["exit 1", "kill -9 $$", None])
def test_a_subprocess_without_the_device_says_nothing(
    script, fake, tmp_path, monkeypatch
):
    """Such as a GPU for one process only, or an interpreter that is not there."""
    if script:
        executable(monkeypatch, tmp_path, script)
    else:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    assert fake("proven") is None
    assert (tmp_path / "runs").exists()
    assert "RuntimeError: Failed to find" in fake("no_compiler", check_again)


def test_the_real_check_within_a_program_that_does_other_things(monkeypatch):
    """It runs in this process, and leaves its random numbers as they are."""
    from mmswinv2.ops.window_attention import self_check

    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setattr(self_check, "CASES", [((5, 5), (4, 4), (2, 2), 2)])
    state = torch.get_rng_state()
    with torch.inference_mode(), torch.autocast("cpu"), FakeTensorMode():
        assert refusal("window_attention", CPU, torch.float32, 16) is None
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["memory", "proven"])
def test_a_reason_from_outside_is_not_kept(name, fake, tmp_path, monkeypatch):
    """Neither memory that others have nor a signal that others send."""
    if name == "proven":
        executable(monkeypatch, tmp_path, "echo ready; kill -9 $$")
    reason = fake(name)
    assert "OutOfMemoryError" in reason or "ended by SIGKILL" in reason
    assert not kept_files(tmp_path)
    monkeypatch.setattr(child, "ask", None)
    assert fake(name) == reason  # and is not asked for in every step


def test_while_a_graph_is_captured_nothing_is_decided(monkeypatch, tmp_path):
    gpu = torch.device("cuda", 0)
    facts = circumstances.circumstances(
        circumstances.Question("window_attention", CPU, torch.float16, 32)
    )
    monkeypatch.setattr(decide, "unsupported", lambda device: None)
    monkeypatch.setattr(decide, "circumstances", lambda question: facts)
    monkeypatch.setattr(child, "ask", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    reason = refusal("window_attention", gpu, torch.float16, 32)
    assert "while a CUDA graph is being captured" in reason
    assert not kept_files(tmp_path)
    monkeypatch.setattr(child, "ask", lambda *_: child.Answer(None))
    assert refusal("window_attention", gpu, torch.float16, 32) is None


@pytest.mark.parametrize("damage", ["cut", "foreign", "version", "type", "folder"])
def test_a_damaged_verdict_is_made_anew(damage, fake, asked, tmp_path, monkeypatch):
    fake("proven")
    (file,) = kept_files(tmp_path)
    whole = file.read_text()
    if damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        other = json.loads(whole)
        other["facts"]["triton"] = "0.1"
        wrong = {
            "cut": whole[:20],
            "foreign": "[]",
            "version": json.dumps(other),
            "type": json.dumps({**json.loads(whole), "reason": 3}),
        }
        file.write_text(wrong[damage])
        file.chmod(0o444)
    monkeypatch.setattr(decide, "_known", {})
    assert fake("proven") is None
    assert len(asked) == 2
    assert damage == "folder" or file.read_text() == whole


def test_a_verdict_depends_on_gpu_driver_and_versions(monkeypatch):
    question = circumstances.Question("fake", CPU, torch.float16, 32)
    files = {verdicts.file_of(circumstances.circumstances(question))}
    for name in ("driver_version", "triton_version", "compiler", "_sources"):
        monkeypatch.setattr(circumstances, name, lambda: "another")
        files.add(verdicts.file_of(circumstances.circumstances(question)))
    for module, name in ((torch, "__version__"), (circumstances, "__version__")):
        monkeypatch.setattr(module, name, "another")
        files.add(verdicts.file_of(circumstances.circumstances(question)))
    assert len(files) == 7


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "MMSWINV2_HOME"])
def test_a_folder_that_cannot_be_written(variable, asked, logs, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    for channels in (16, 32, 32):
        assert refusal("window_attention", CPU, torch.float16, channels) is None
    assert len(asked) == 2
    assert len([line for line in logs if "is not kept" in line]) == 1


def test_static_reasons_need_no_check(asked, monkeypatch):
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert unsupported(gpu) == "PyTorch sees no CUDA device"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert "8.0 (Ampere) or newer, got 7.5" in unsupported(gpu)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert unsupported(gpu) is None
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert unsupported(gpu) == "it was never run on ROCm"
    assert refusal("window_attention", gpu, torch.float16, 32) == unsupported(gpu)
    monkeypatch.delenv("TRITON_INTERPRET")
    assert "needs a CUDA device, got cpu" in unsupported(CPU)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert unsupported(gpu) == "the package triton is not installed"
    assert not asked


def test_may_be_asked_while_a_model_is_compiled(fake, asked):
    constant = torch.compiler.assume_constant_result(lambda dtype: fake("proven"))

    @torch.compile(backend="eager", fullgraph=True)
    def step(x):
        return x + 1 if constant(x.dtype) is None else x

    assert step(torch.zeros(2)).sum() == 2
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (torch.ones(3), r"x has the shape \(3,\), expected \(4,\)"),
        (torch.ones(4).half(), "x is torch.float16, expected torch.float32"),
        (torch.full((4,), torch.nan), "x is not finite"),
        (torch.tensor([1, 1, 1, 0.9]), r"by 0\.05 \(allowed 0\.01\)"),
    ],
)
def test_what_is_compared(result, message):
    exact = torch.ones(4, dtype=torch.float64)
    require_near("x", exact.float(), exact, torch.float32, 0.01)
    with pytest.raises(RuntimeError, match=message):
        require_near("x", result, exact, torch.float32, 0.01)


def test_the_subprocess_finds_the_package_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [""])
    folders = child._environment()["PYTHONPATH"].split(":")
    assert folders == [str(tmp_path), str(Path(__file__).parents[2])]
