"""What a user asked for, and a config that fits the memory of a GPU."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from mmswinv2.config_types import read_config

from .choices import STEP, Choice, choose_batch_limit
from .memory_fit import MemoryFit
from .writer import Draft, class_file, write

LEAST = 3 * STEP  # px of a long side


@dataclass(frozen=True)
class Wishes:
    """What a user asked for; None where the data decide.

    Attributes:
        arch (str): Size of the backbone.
        memory (float): GiB of the GPU.
        weights (str, optional): What the backbone starts from; None: random weights.
        method (str, optional): One of :mod:`methods`.
        scale (int, optional): Long side of pictures in px.
        window (int, optional): Tokens.
        batch (int, optional): Pictures.
        iterations (int, optional): Steps.
        load_from (str, optional): A checkpoint of a whole model.
    """

    arch: str
    memory: float
    weights: str | None = None
    method: str | None = None
    scale: int | None = None
    window: int | None = None
    batch: int | None = None
    iterations: int | None = None
    load_from: str | None = None

    @property
    def suffix(self) -> str:
        """End of the names of bases for this size."""
        return "-nano" if self.arch == "nano" else ""

    def optimizer(self, method: str) -> dict | None:
        """What the optimizer of a method needs where the backbone learns from zero."""
        if self.weights or method not in ("dino", "mask2former"):
            return None
        keys = dict(backbone=dict(lr_mult=1.0))  # instead of a tenth
        return dict(paramwise_cfg=dict(custom_keys=keys))


def fit(
    make: Callable[[int, int, bool], Draft], wishes: Wishes, size: int, pictures: int
) -> tuple[Draft, Choice]:
    """The draft of the largest size, no more than asked, that fits the memory.

    Args:
        make (Callable): A draft for a size in px, a batch and recomputed blocks.
        wishes (Wishes): Of the user.
        size (int): px, such as the long side of pictures.
        pictures (int): In the training set.

    Returns:
        tuple[Draft, Choice]: With the batch, and what it takes.

    Raises:
        ValueError: Nothing fits.
    """
    most = wishes.batch or choose_batch_limit(pictures)
    first = size
    while size >= min(first, LEAST):
        planner = MemoryFit(load(make(size, 1, False)), wishes.memory)
        found = planner.batch(most)
        if found and not (wishes.batch and found[0] < wishes.batch):
            batch, with_cp = found
            gib = planner.gib(batch, with_cp=with_cp)
            amp = planner.gib(batch, with_cp=with_cp, amp=True)
            reason = (
                f"pictures: {gib:.2g} of {wishes.memory:g} GiB, {amp:.2g} with --amp"
            )
            reason += "; with_cp computes blocks twice to save memory" * with_cp
            if size < first:
                reason += f"; {first} px do not fit"
            return make(size, batch, with_cp), Choice(batch, reason)
        if size == wishes.scale:
            break
        size = size * 3 // 4 // STEP * STEP
    raise ValueError(
        f"no batch of {wishes.batch or 1} fits {wishes.memory:g} GiB at {size} px; "
        "take a smaller --arch or another --method, or give more --memory"
    )


def describe(method: str, classes: Sequence[str], count: tuple[int, int]) -> str:
    """The first line of a config."""
    number = f"{len(classes)} class{'es' * (len(classes) > 1)}"
    return (
        f"{method}, {number}; {count[0]} pictures to train on, {count[1]} to validate. "
        "By tools/new_config.py."
    )


def load(draft: Draft) -> Config:
    """The config of a draft."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "config.py")
        out.write_text(write(draft, out))
        if names := class_file(draft, out):
            names[0].write_text(names[1])
        return read_config(out)
