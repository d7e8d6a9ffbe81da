"""Decisions about a run, each a value with the reason for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmswinv2.architectures import Architecture
from mmswinv2.checkpoints.zoo_entries import SCHEME
from mmswinv2.planning.auto_windows import estimate, fitted
from mmswinv2.planning.memory_model import Training, stage_maps

from .methods import COCO
from .survey_coco import CocoSurvey

STEP = 32  # px; sizes are multiples of it, as the last stage has a token for each
SMALL = 16  # px that a small object should have: 4 tokens of the first stage
LEAST, USUAL, MOST = 96, 640, 2048  # px of a long side
ENLARGED = 4  # pictures gain nothing from more
TOO_SLOW = 1.5  # times the forward pass at window 8
USUAL_LIMIT = 100  # detections of a picture, COCO's
TOO_FEW = 8  # pictures in a batch for batch norm
PICTURES, PASSES = 40_000, (12, 100)  # of a run; COCO's shortest schedule has 12


@dataclass(frozen=True)
class Choice:
    """A value and the reason for it.

    Attributes:
        value (Any): What the config gets.
        reason (str): Why, in a few words.
    """

    value: Any
    reason: str


def choose_method(surveys: Sequence[CocoSurvey], asked: str | None) -> Choice:
    """Mask R-CNN where every object has a mask, else Faster R-CNN.

    Raises:
        ValueError: Masks are asked for, but some objects have none.
    """
    objects = sum(len(survey.sizes) for survey in surveys)
    bare = objects - sum(survey.masks for survey in surveys)
    if asked:
        if bare and COCO[asked].masks:
            boxes = ", ".join(name for name, method in COCO.items() if not method.masks)
            raise ValueError(
                f"--method {asked} learns masks, but {bare} of {objects} objects have "
                f"no 'segmentation'; draw these, or take one of {boxes}"
            )
        return Choice(asked, "as asked for")
    if bare:
        why = f"boxes only: {bare} of {objects} objects have no mask"
        return Choice("faster-rcnn", why)
    return Choice("mask-rcnn", "every object has a mask")


def choose_scale(survey: CocoSurvey, asked: int | None) -> Choice:
    """(long, short) side in px at which the small objects can be seen.

    A tenth of the objects is smaller than what is asked to have :data:`SMALL` px. The
    short side is that of the squarest picture, so that the long one decides.
    """
    long_sides = survey.pictures.max(axis=1)
    ratio = (survey.pictures.min(axis=1) / long_sides).max()
    small = max(float(np.percentile(survey.shares, 10)), 1e-6)
    if asked:
        size = asked
    else:
        typical = float(np.median(long_sides))
        size = max(SMALL / small, min(typical, USUAL), LEAST)
        size = min(up(size), up(ENLARGED * typical), MOST)
    reason = f"px: 9 of 10 objects are {small * size:.0f} px or larger at it"
    return Choice((size, short_side(size, ratio)), reason)


def choose_picture_scale(pictures: np.ndarray, asked: int | None) -> Choice:
    """(long, short) side in px of pictures with label maps: the usual size."""
    long_sides = pictures.max(axis=1)
    ratio = float((pictures.min(axis=1) / long_sides).max())
    typical = float(np.median(long_sides))
    size = asked or min(up(typical), MOST)
    kind = "as asked for" if asked else "the median of the pictures"
    if not asked and typical > MOST:
        kind = f"half of the pictures have {typical:.0f} px or more: the most here"
    return Choice((size, short_side(size, ratio)), f"px: {kind}")


def short_side(size: int, ratio: float) -> int:
    """Short side of pictures with a long side, a multiple of :data:`STEP`."""
    return min(up(size * ratio), size)


def choose_crop(scale: tuple[int, int], pictures: np.ndarray, most: int) -> Choice:
    """(height, width) in px of what training sees of a picture."""
    long, short = (min(up(side), most) for side in scale)
    wide = pictures[:, 0] >= pictures[:, 1]
    square = pictures[:, 0] == pictures[:, 1]
    if (wide | square).all():
        crop = (short, long)
    elif (~wide | square).all():
        crop = (long, short)
    else:
        crop = (long, long)
    whole = most >= up(scale[0])
    return Choice(crop, f"px: {'a whole picture' if whole else 'a part of a picture'}")


def choose_window(
    arch: Architecture, image: tuple[int, int], asked: int | None, weights: str | None
) -> Choice:
    """Tokens of a window: the part of a picture that it had in pre-training."""
    window, size = pretrained(weights)
    wanted = max(round(window * max(image) / size), window)
    if asked:
        return Choice(_fitted(asked), "tokens: as asked for")
    training = Training(arch, image, 1, windows=())
    maps = stage_maps(image, len(arch.depths))

    def seconds(tokens: int) -> float:
        return estimate(replace(training, windows=fitted(maps, tokens))).seconds

    allowed = TOO_SLOW * seconds(8)
    fit = [w for w in range(window, wanted + 1) if seconds(w) <= allowed]
    best = max(fit, default=window)
    if best == wanted:
        why = f"tokens: as {window} in pictures of {size} px"
        return Choice(_fitted(best), why)
    # the window really used where one pads less than the largest allowed
    best = max(max(sizes) for sizes in fitted(maps, best))
    return Choice(_fitted(best), f"tokens: more take over {TOO_SLOW} x the time of 8")


def _fitted(window: int) -> dict:
    return dict(window_size=window, window_fit="divide")


def pretrained(weights: str | None) -> tuple[int, int]:
    """Window and px of published weights, by their name; 8 and 256 without."""
    parts = (weights or "").removeprefix(SCHEME).split("-")
    windows = [p.split("to")[-1].lstrip("w") for p in parts if p.startswith("w")]
    sizes = [p for p in parts[2:] if p.isdigit()]
    if not (weights or "").startswith(SCHEME) or not windows or not sizes:
        return 8, 256
    return int(windows[0]), int(sizes[0])


def choose_limit(fullest: int) -> Choice:
    """Detections of a picture: half as many again as objects in the fullest one."""
    limit = math.ceil(1.5 * fullest)
    if limit <= USUAL_LIMIT:
        why = f"detections: the usual number, for at most {fullest} objects"
        return Choice(USUAL_LIMIT, why)
    return Choice(limit, f"detections: 1.5 x the {fullest} objects of one picture")


def choose_proposals(limit: int, usual: int, factor: int) -> Choice | None:
    """Proposals of a picture, where the usual number is too few for its objects."""
    number = -(-factor * limit // 100) * 100
    if number <= usual:
        return None
    return Choice(number, f"{factor} for each detection, not {usual}")


def choose_queries(limit: int, usual: int, tokens: int) -> Choice | None:
    """Queries of DINO, which are tokens of the picture, where not the usual number."""
    number = min(max(limit, usual), tokens)
    if number == usual:
        return None
    if number == tokens:
        return Choice(number, "queries: all tokens of the smallest picture")
    return Choice(number, f"queries: one for each detection, not {usual}")


def count_tokens(survey: CocoSurvey, size: int) -> int:
    """Tokens of the four levels of DINO, in the smallest picture of a long side."""
    pictures = survey.pictures
    ratio = (pictures.min(axis=1) / pictures.max(axis=1)).min()
    strides = (8, 16, 32, 64)  # px
    return sum(math.ceil(size / s) * math.ceil(size * ratio / s) for s in strides)


def choose_samples(fullest: int) -> Choice | None:
    """Boxes of a picture that the head trains on, a quarter of them objects."""
    if fullest * 2 <= 256:
        return None
    number = min(-(-fullest * 4 // 512) * 512, 2048)
    return Choice(number, f"boxes: a quarter are objects; 512 for {fullest} are few")


def choose_anchors(survey: CocoSurvey, scale: int, first: int) -> Choice | None:
    """Scales of the anchors, where those of COCO are too large.

    Args:
        survey (CocoSurvey): Of the data.
        scale (int): Long side of pictures in px.
        first (int): Stride in px of the first anchors, whose usual length is 32 px.
    """
    small, large = np.percentile(survey.shares, (10, 99)) * scale
    usual = 32 // first
    # an anchor 1.6 times as long as an object overlaps it by 0.4
    found = next((s for s in (usual, usual // 2) if s * first <= 1.6 * small), 0)
    found = found or max(usual // 4, 1)
    if found == usual:
        return None
    scales = [found]
    if large > found * first * 16 * 1.4:  # of the last of five levels
        scales.append(4 * found)
    return Choice(scales, f"x {first} px: COCO's 32 px are large for {small:.0f} px")


def choose_batch_limit(pictures: int) -> int:
    """The largest batch: 20 steps in a pass, and no more than the recipes' 16."""
    return max(2 ** min(int(math.log2(max(pictures / 20, 1))), 4), 1)


def choose_iterations(pictures: int, batch: int, asked: int | None) -> Choice:
    """Steps that show about 40 000 pictures, in 12 to 100 passes."""
    low, high = PASSES
    passes = min(max(PICTURES / pictures, low), high)
    steps = asked or max(-(-passes * pictures // batch), 100)
    steps = steps if asked else up(steps, 100)
    passes = steps * batch / pictures
    return Choice(int(steps), f"batches: {passes:.3g} passes over {pictures} pictures")


def choose_warmup(iterations: int) -> Choice:
    """A tenth of the steps, at most the 1000 of Swin's recipes."""
    warmup = min(max(iterations // 10, 1), 1000)
    return Choice(warmup, "batches: a tenth, or 1000")


def choose_rate(base: float, batch: int, base_batch: int) -> Choice:
    """Learning rate of AdamW, which goes with the root of the batch."""
    rate = float(f"{base * math.sqrt(batch / base_batch):.2g}")
    return Choice(rate, f"{base:g} at {base_batch} pictures, by the root")


def choose_norm(batch: int, arch: str) -> Choice | None:
    """Group norm, where a GPU sees too few pictures for batch norm."""
    if batch >= TOO_FEW:
        return None
    groups = 8 if arch == "nano" else 32
    norm = dict(type="GN", num_groups=groups)
    return Choice(norm, f"batch norm needs more pictures than {batch}")


def up(size: float, step: int = STEP) -> int:
    """The next multiple of a step."""
    return int(-(-size // step) * step)
