"""Where the fused residual norm runs, and what is said where it does not."""

from types import SimpleNamespace

import pytest
import torch

from mmswinv2.ops.residual_norm import choice

pytest.importorskip("triton", "3.2", reason="needs triton 3.2 or newer")
GPU = torch.cuda.is_available()
bf16 = torch.bfloat16


def make():
    """Main branch, branch, weight and bias."""
    shapes = 2 * [(1, 1, 2, 16)] + 2 * [(16,)]
    return [torch.rand(shape, device="cuda" if GPU else "cpu") for shape in shapes]


@pytest.fixture
def ask(monkeypatch):
    """The choice as MMSWINV2_RESIDUAL_NORM and the self-check have it."""

    def ask(value, reason=None, *, is_cuda=True):
        asked = []
        monkeypatch.setenv("MMSWINV2_RESIDUAL_NORM", value)
        monkeypatch.setattr(choice, "unsupported", lambda *_: None)
        refusal = SimpleNamespace(
            refusal=lambda *args: asked.append(args) or reason,
            unsupported=lambda device: reason,
        )
        monkeypatch.setattr(choice, "self_check", refusal)
        shape = SimpleNamespace(is_cuda=is_cuda, shape=(1, 2, 2, 96), device="cuda:0")
        branch = SimpleNamespace(dtype=bf16)
        return choice.is_fused(shape, branch, None, None), asked

    return ask


def test_the_variable_decides(ask, monkeypatch):
    assert ask("auto") == (True, [("residual_norm", "cuda:0", bf16, 1024)])
    assert ask("triton")[0]
    assert ask("plain") == (False, [])
    assert ask("auto", is_cuda=False) == (False, [])
    assert ask("triton", is_cuda=False) == (True, [])  # the interpreter
    with pytest.raises(ValueError, match="'fast': expected one of auto, triton, plain"):
        ask("fast")


def test_what_has_not_proven_itself_is_not_used(ask, logs):
    choice._warn_once.cache_clear()
    for _ in range(2):
        assert not ask("auto", "no compiler")[0]
    (warning,) = logs
    assert "cannot run: no compiler" in warning and "check_gpu.py" in warning
    for is_cuda in (True, False):
        with pytest.raises(RuntimeError, match="cannot run: no compiler"):
            ask("triton", "no compiler", is_cuda=is_cuda)


def test_says_on_what_it_cannot_run(monkeypatch):
    x, branch, weight, bias = make()

    def reason(x=x, branch=branch, weight=weight, bias=bias):
        return choice.unsupported(x, branch, weight, bias)

    assert "no weight or no bias" in reason(bias=None)
    assert "got torch.float64" in reason(branch=branch.double())
    assert "at most 8192 channels" in reason(torch.zeros(1).expand(1, 1, 1, 8193))
    assert "got Other" in reason(torch.zeros(1).as_subclass(Other))
    assert reason() is None
    monkeypatch.setenv("MMSWINV2_RESIDUAL_NORM", "triton")
    with pytest.raises(RuntimeError, match=r"got torch\.float64\. Without"):
        choice.is_fused(x.double(), branch, weight, bias)
    if not GPU:
        assert choice.is_fused(x, branch, weight, bias)
        monkeypatch.delenv("TRITON_INTERPRET")
        with pytest.raises(RuntimeError, match="needs a CUDA device, got cpu"):
            choice.is_fused(x, branch, weight, bias)


@pytest.mark.parametrize("transform", [torch.func.jvp, torch.func.vmap])
def test_transforms_find_plain_modules(transform):
    inputs = make()
    reasons = []

    def ask(x):
        reasons.append(choice.unsupported(x, *inputs[1:]))
        return x

    if transform is torch.func.vmap:
        transform(ask)(inputs[0])
    else:
        transform(ask, (inputs[0].detach(),), (torch.ones_like(inputs[0]),))
    assert "are no operators of torch" in reasons[0]


class Other(torch.Tensor):
    """A tensor that is more than its numbers."""
