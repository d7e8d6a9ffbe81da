"""Choose windows for an input size and a budget, from a model of their cost.

Memory is that of :mod:`memory_model`, for 16-bit training on a GPU. Time counts what
the forward pass moves and computes, fitted to published throughput of Swin V2 on five
GPUs (within 17 percent). Both are there to compare windows; the real peak has the
heads, the weights and their optimizer beside it.
"""
# T tokens with padding, C channels, N tokens of a window, n heads

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from mmengine.logging import print_log

from mmswinv2.architectures import Architecture
from mmswinv2.checkpoints.windows import per_stage
from mmswinv2.models.window_fit import Window, fit_axis, is_int, is_list

from .memory_model import PATCH_SIZE, Training, peak, stage_maps, written

GIB = 2**30
WINDOWS = range(4, 57)  # tokens; 56 is the largest that the paper tested
UNIT = 8  # slowdown is counted from this window, the smallest of published weights

# Forward pass on an H200; only ratios of times are used.
MOVED = 202  # bytes per token and channel
MOVED_PER_LOGIT = 42  # bytes, of 'reference', which writes logits to memory
BYTES_PER_SECOND = 4.3e12
FLOPS_PER_SECOND = 600e12
LOGITS_PER_SECOND = 1.2e12  # of the others: exponentials bound fused kernels


@dataclass(frozen=True)
class Cost:
    """Estimates for the backbone and a batch.

    Attributes:
        memory (float): GiB kept for the backward pass, at its peak.
        seconds (float): Duration of the forward pass on an H200.
    """

    memory: float
    seconds: float


OPTIONS = ("image_size", "memory", "slowdown", "batch_size")


def resolve_windows(window_size: Any, auto_windows: dict | None, **model: Any) -> Any:
    """``window_size`` as given, or for 'auto' what :func:`choose_windows` finds.

    Args:
        window_size (int | Sequence | str): As in :class:`SwinTransformerV2`.
        auto_windows (dict, optional): Input size and budget, for 'auto'.
        **model (Any): Other arguments of :func:`choose_windows`.

    Raises:
        ValueError: If the two do not belong together.
    """
    if window_size != "auto":
        if auto_windows is not None:
            raise ValueError(
                f"window_size={window_size!r} and auto_windows={auto_windows!r}: write "
                "window_size='auto', or leave auto_windows out"
            )
        return window_size
    given = dict(auto_windows or {})
    if unknown := sorted(set(given) - set(OPTIONS)):
        raise _malformed(f"auto_windows has {unknown}; known are {', '.join(OPTIONS)}")
    return choose_windows(image_size=given.pop("image_size", None), **given, **model)


def choose_windows(
    arch: Architecture,
    *,
    image_size: int | Window,
    memory: float | None = None,
    slowdown: float | None = None,
    batch_size: int = 1,
    attention: str = "auto",
    with_cp: Sequence[bool] = (),
    checkpoint: str = "block",
    patch: Window = (PATCH_SIZE, PATCH_SIZE),
) -> tuple[Window, ...]:
    """The largest windows within a budget, one per stage; the log says why.

    One window serves all stages, as in every published model. At each stage and along
    each axis it becomes the length of the map where that is smaller, else the length
    from half of it up to it that pads the map least.

    Args:
        arch (Architecture): Sizes of the backbone.
        image_size (int | tuple[int, ...]): Training images, (height, width) in px, or
            clips, (frames, height, width).
        memory (float, optional): Most GiB that a batch may keep for the backward pass
            in the backbone, in 16-bit training.
        slowdown (float, optional): Longest forward pass over that at window 8.
        batch_size (int): Images per GPU. Defaults to 1.
        attention (str): Implementation of attention. Defaults to 'auto'.
        with_cp (Sequence[bool]): Whether blocks are recomputed, one per stage.
            Defaults to (): none.
        checkpoint (str): What is recomputed, 'block' or 'mlp'. Defaults to 'block'.
        patch (tuple[int, ...]): What a token of stage 0 is made of, in px, of clips
            (frames, height, width). Defaults to (4, 4).

    Returns:
        tuple[tuple[int, ...], ...]: (height, width) in tokens of every stage, of clips
        (time, height, width).

    Raises:
        ValueError: If an argument is malformed, or no window is within the budget.
    """
    image: Any = (image_size, image_size) if is_int(image_size) else image_size
    if not is_list(image) or not all(map(is_int, image)) or len(image) != len(patch):
        raise _malformed(f"image_size is {image_size!r}")
    if min(image) < 1 or not is_int(batch_size) or batch_size < 1:
        raise _malformed(f"image_size is {image_size!r}, batch_size {batch_size!r}")
    budgets = [value for value in (memory, slowdown) if value is not None]
    if not budgets or not all(isinstance(b, (int, float)) and b > 0 for b in budgets):
        raise _malformed(f"memory is {memory!r} and slowdown {slowdown!r}")

    maps = stage_maps(image, len(arch.depths), patch)
    training = Training(
        arch,
        tuple(image),
        batch_size,
        windows=(),
        patch=patch,
        attention=attention,
        with_cp=tuple(with_cp),
        checkpoint=checkpoint,
    )

    def cost_of(window: int) -> Cost:
        return estimate(replace(training, windows=fitted(maps, window)))

    unit = cost_of(UNIT).seconds
    most_memory = float("inf") if memory is None else memory
    most_seconds = float("inf") if slowdown is None else slowdown * unit
    costs = {window: cost_of(window) for window in WINDOWS}
    within = [
        window
        for window, cost in costs.items()
        if cost.memory <= most_memory and cost.seconds <= most_seconds
    ]
    if not within:
        least = costs[WINDOWS[0]]
        raise ValueError(
            f"window_size='auto': no window from {WINDOWS[0]} up is within memory="
            f"{memory} GiB and slowdown={slowdown} for {batch_size} images of "
            f"{written(image)} px; window {WINDOWS[0]} takes "
            f"{least.memory:.3g} GiB and {least.seconds / unit:.3g} of the time of "
            f"window {UNIT}. Raise the budget, take smaller images or set with_cp"
        )
    best = max(within)
    windows = fitted(maps, best)
    print_log(
        _reasons(image, maps, windows, best, costs, unit, memory, slowdown),
        logger="current",
    )
    return windows


def fitted(maps: Sequence[Window], window: int) -> tuple[Window, ...]:
    """A window at every stage, no larger than the map, fitted to pad little."""
    return tuple(
        tuple(fit_axis(size, window, shifted=False, fit="divide")[0] for size in sizes)
        for sizes in maps
    )


def padding(size: Window, window: Window) -> float:
    """Tokens of a map that is padded to whole windows, over its real tokens."""
    return prod(-(-length // w) * w for length, w in zip(size, window)) / prod(size)


def estimate(training: Training) -> Cost:
    """Cost of the windows of a training."""
    times = (forward_seconds(training, i) for i in range(len(training.arch.depths)))
    return Cost(peak(training.parts()) / GIB, sum(times))


def forward_seconds(training: Training, stage: int) -> float:
    """Duration of the forward pass of all blocks of a stage on an H200."""
    block = training.block(stage)
    numbers = block.padded * block.channels
    flops = numbers * (24 * block.channels + 4 * prod(block.window))
    seconds = MOVED * numbers / BYTES_PER_SECOND + flops / FLOPS_PER_SECOND
    if training.attention == "reference":
        seconds += MOVED_PER_LOGIT * block.logits / BYTES_PER_SECOND
    else:
        seconds += block.logits / LOGITS_PER_SECOND
    return training.arch.depths[stage] * seconds


def _reasons(
    image: Window,
    maps: Sequence[Window],
    windows: Sequence[Window],
    best: int,
    costs: dict[int, Cost],
    unit: float,
    memory: float | None,
    slowdown: float | None,
) -> str:
    def describe(window: int) -> str:
        cost = costs[window]
        return f"{cost.memory:.3g} GiB, {cost.seconds / unit:.3g} x window {UNIT}"

    budget = [f"memory={memory} GiB"] if memory is not None else []
    budget += [f"slowdown={slowdown}"] if slowdown is not None else []
    lines = [
        f"window_size='auto' for images of {written(image)} px: {per_stage(windows)}",
        f"  up to {best} tokens is the most within {', '.join(budget)}: "
        f"{describe(best)} ("
        + (
            f"{best + 1}: {describe(best + 1)})"
            if best + 1 in costs
            else "none larger was tested in the paper)"
        ),
    ]
    for i, (size, window) in enumerate(zip(maps, windows)):
        plain = tuple(min(best, length) for length in size)
        lines.append(
            f"  stage {i}: map {written(size)}, window {written(window)}, padded to "
            f"{padding(size, window):.0%} of its tokens "
            f"({best}: {padding(size, plain):.0%})"
        )
    return "\n".join(lines)


def _malformed(what: str) -> ValueError:
    return ValueError(
        f"window_size='auto': {what}. Expected a size and a budget, such as "
        "auto_windows=dict(image_size=(800, 1333), memory=8, batch_size=2), memory in "
        "GiB, or dict(image_size=1024, slowdown=1.5), over the time at window 8; of "
        "clips image_size is (frames, height, width)"
    )
