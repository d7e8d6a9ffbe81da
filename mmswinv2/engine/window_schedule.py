"""Windows and input resolutions over a run, as users write them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmswinv2.checkpoints.windows import PATCH_SIZE
from mmswinv2.models.window_fit import AXES, Window, is_int, is_list, parse_windows

KEYS = ("begin", "window_size", "scale")


@dataclass(frozen=True)
class Step:
    """One step of a schedule.

    Attributes:
        begin (int): First iteration, or epoch, that it is for.
        window_size (int | Sequence | None): As in :class:`SwinTransformerV2`; None
            keeps that of the model.
        scale (float): Size of training images over that from the data pipeline.
    """

    begin: int
    window_size: int | Sequence | None = None
    scale: float = 1.0


def parse_schedule(schedule: Sequence[dict]) -> tuple[Step, ...]:
    """Check a schedule; a step without a window or a scale keeps the one before it.

    Args:
        schedule (Sequence[dict]): Steps with ``begin``, ``window_size`` and ``scale``,
            in order, the first from 0.

    Returns:
        tuple[Step, ...]: The steps.

    Raises:
        ValueError: If it is no such thing.
    """

    def fail(what: str) -> ValueError:
        return ValueError(
            f"schedule: {what}. Expected steps in order, the first from 0, such as "
            "[dict(begin=0, window_size=8, scale=0.5), "
            "dict(begin=60000, window_size=16, scale=1.0)]"
        )

    if not is_list(schedule) or not schedule:
        raise fail(f"{schedule!r} is no list of steps")
    steps: list[Step] = []
    for i, given in enumerate(schedule):
        if not isinstance(given, dict):
            raise fail(f"step {i} is {given!r}, no dict")
        if unknown := sorted(set(given) - set(KEYS)):
            raise fail(f"step {i} has {unknown}, but only {', '.join(KEYS)} are known")
        begin: Any = given.get("begin")
        if not is_int(begin) or begin < 0:
            raise fail(f"step {i} has begin={begin!r}, no whole number from 0 up")
        if not steps and begin != 0:
            raise fail(f"it begins at {begin}, and nothing is said of what is before")
        if steps and begin <= steps[-1].begin:
            raise fail(f"step {i} begins at {begin}, not after {steps[-1].begin}")
        before = steps[-1] if steps else Step(0)
        scale = given.get("scale", before.scale)
        if not isinstance(scale, (int, float)) or not 0 < scale <= 1:
            raise fail(
                f"step {i} has scale={scale!r}, not over 0 and up to 1 (let the data "
                "pipeline give the largest resolution, and scale it down)"
            )
        window = given.get("window_size", before.window_size)
        if steps and (window, scale) == (before.window_size, before.scale):
            raise fail(f"step {i} changes neither window_size nor scale")
        steps.append(Step(begin, window, float(scale)))
    return tuple(steps)


def step_at(steps: Sequence[Step], now: int) -> Step:
    """The step that iteration, or epoch, ``now`` belongs to."""
    return next(step for step in reversed(steps) if step.begin <= now)


def scaled(length: int, scale: float) -> int:
    """A length in px at another resolution, rounded, at least 1."""
    return max(round(length * scale), 1)


def check_windows(
    steps: Sequence[Step],
    image_size: Window,
    current: Sequence[Window],
    num_stages: int | None = None,
) -> None:
    """Refuse windows that no image fills.

    Args:
        steps (Sequence[Step]): The schedule.
        image_size (tuple[int, int]): (height, width) in px of training images, from
            the data pipeline.
        current (Sequence[tuple[int, ...]]): The model's windows, one per stage.
        num_stages (int, optional): Of its architecture, where it has not all of them.

    Raises:
        ValueError: If the window of stage 0, where maps are largest, is higher and
            wider than that map.
    """
    axes = AXES[len(current[0])]
    for step in steps:
        windows = current
        if step.window_size is not None:
            stages = num_stages or len(current)
            windows = parse_windows(
                step.window_size, stages, built=len(current), axes=axes
            )
        image = [scaled(length, step.scale) for length in image_size]
        tokens = [-(-length // PATCH_SIZE) for length in image]
        if all(window > size for window, size in zip(windows[0][-2:], tokens)):
            raise ValueError(
                f"schedule: from {step.begin} the window is {windows[0]}, but images "
                f"of {image_size[0]} x {image_size[1]} px at scale {step.scale:g} have "
                f"a largest map of {tokens[0]} x {tokens[1]} tokens. Take a smaller "
                "window or a larger scale"
            )
