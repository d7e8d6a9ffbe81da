"""Whether a hand-written kernel is to be used on a device, and why not."""

import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor

import torch
from mmengine.logging import print_log

from . import child, verdicts
from .child import Answer
from .circumstances import Question, circumstances

# Kernel -> function (device, dtype, channels) -> None that raises where it is wrong.
CHECKS = {
    "window_attention": "mmswinv2.ops.window_attention.self_check:check",
    "window_attention_3d": "mmswinv2.ops.window_attention.self_check:check_clips",
    "residual_norm": "mmswinv2.ops.residual_norm.self_check:check",
}

_known: dict[tuple, str | None] = {}


def refusal(
    kernel: str, device: torch.device, dtype: torch.dtype, channels: int
) -> str | None:
    """Why a kernel is not to be used; None once it has proven itself.

    The first call in a process takes the verdict from the user's cache folder. Where
    there is none yet, a small case runs forward and backward in a subprocess, is
    compared with the reference, and the verdict is kept. Nothing of this raises, and
    a compiler that crashes or hangs harms that subprocess only. Of several processes
    that ask at the same time one checks and the others wait.

    Args:
        kernel (str): One of ``CHECKS``.
        device (torch.device): Where it would run.
        dtype (torch.dtype): Of the tensors it would get.
        channels (int): Of the map for 'residual_norm', else of a head.

    Returns:
        str | None: The reason as a part of a sentence, such as 'its check failed:
        RuntimeError: Failed to find C compiler'.
    """
    try:
        return _known[kernel, device, dtype, channels]
    except KeyError:
        return _ask(_question(kernel, device, dtype, channels), anew=False)


def check_again(
    kernel: str, device: torch.device, dtype: torch.dtype, channels: int
) -> str | None:
    """As :func:`refusal`, but whatever was known is forgotten and found out anew."""
    return _ask(_question(kernel, device, dtype, channels), anew=True)


def unsupported(device: torch.device) -> str | None:
    """Why no kernel can run on a device, as far as that is known without trying.

    Args:
        device (torch.device): 'cuda', or with TRITON_INTERPRET=1 also 'cpu'.
    """
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    if device.type != "cuda":
        if device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1":
            return None
        return f"it needs a CUDA device, got {device.type}"
    if not torch.cuda.is_available():
        return "PyTorch sees no CUDA device"
    if torch.version.hip:
        return "it was never run on ROCm"
    if (found := torch.cuda.get_device_capability(device)) < (8, 0):
        needed = "it needs compute capability 8.0 (Ampere) or newer"
        return f"{needed}, got {found[0]}.{found[1]}"
    return None


def _question(
    kernel: str, device: torch.device, dtype: torch.dtype, channels: int
) -> Question:
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return Question(kernel, device, dtype, channels)


def _ask(question: Question, *, anew: bool) -> str | None:
    if not anew and question in _known:  # the current GPU, whose index was not given
        return _known[question]
    answer = _find_answer(question, anew)
    if answer.holds != "now":
        _known[question] = answer.reason
    return answer.reason


def _find_answer(question: Question, anew: bool) -> Answer:
    if reason := unsupported(question.device):
        return Answer(reason)
    facts = circumstances(question)
    if not anew and (kept := verdicts.read(facts)):
        return Answer(kept.reason)
    with verdicts.alone(facts):
        if not anew and (kept := verdicts.read(facts)):  # another process was faster
            return Answer(kept.reason)
        kernel, device, dtype, channels = question
        print_log(
            f"Checking the kernels of {kernel} ({str(dtype)[6:]}, {channels} channels) "
            f"on {facts['gpu']}: they are compiled and compared with the reference, "
            "once, which may take a minute",
            logger="current",
        )
        target = CHECKS[kernel]
        answer = child.ask(target, device, dtype, channels) or _check_here(
            target, device, dtype, channels
        )
        if answer.holds in ("always", "hour"):
            verdicts.write(facts, answer.reason, for_an_hour=answer.holds == "hour")
    return answer


def _check_here(
    target: str, device: torch.device, dtype: torch.dtype, channels: int
) -> Answer:
    """The check in this process: where no other could use the device."""
    if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        reason = "it cannot prove itself while a CUDA graph is being captured"
        return Answer(reason, "now")
    # A new thread has no autocast, no inference mode and no fake tensors.
    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(child.check, target, device, dtype, channels)
        try:
            return Answer(work.result())
        except torch.cuda.OutOfMemoryError as error:
            return Answer(f"its check failed: {child.explain(error)}", "run")
