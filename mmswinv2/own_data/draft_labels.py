"""A config for pictures with label maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mmswinv2.architectures import ARCHITECTURES

from . import choices as choose
from . import methods
from .choices import Choice
from .wishes import Wishes, describe, fit
from .writer import Draft

SCRATCH = 2e-3, 4  # learning rate and batch with which 'nano' learns from nothing
CROP = 512  # px, as for ADE20K; a picture that is little larger is taken whole


def draft_labels(
    pictures: np.ndarray,
    classes: tuple[str, ...],
    count: tuple[int, int],
    wishes: Wishes,
    places: Mapping[str, Any],
) -> tuple[Draft, dict[str, Choice | None]]:
    """Decides about a segmentor.

    Args:
        pictures (np.ndarray): Width and height in px of those to train on, (n, 2).
        classes (tuple[str, ...]): Names.
        count (tuple[int, int]): Pictures to train on and to validate.
        wishes (Wishes): Of the user.
        places (Mapping): As of :func:`draft_coco`.

    Returns:
        tuple[Draft, dict[str, Choice | None]]: The config, and all decisions.
    """
    nano = wishes.arch == "nano"
    method = Choice(wishes.method or "upernet", "as asked for")
    if wishes.method is None:
        method = Choice("upernet", "the paper's, and quicker to train than Mask2Former")
    recipe = methods.LABELS[method.value]
    scale = choose.choose_picture_scale(pictures, wishes.scale)
    whole = nano and method.value == "upernet"
    most = choose.up(scale.value[0]) if nano else max(CROP, wishes.scale or 0)

    def make(size: int, batch: int, with_cp: bool) -> Draft:
        crop = choose.choose_crop(scale.value, pictures, size)
        iterations = choose.choose_iterations(count[0], batch, wishes.iterations)
        rate = SCRATCH if nano else (recipe.lr, 16)
        arch = ARCHITECTURES[wishes.arch]
        norm = None
        if method.value == "upernet":
            norm = choose.choose_norm(batch, wishes.arch)
        decided = dict(
            scale=scale,
            crop_size=crop,
            window=choose.choose_window(
                arch, crop.value, wishes.window, wishes.weights
            ),
            batch=Choice(batch, "pictures"),
            lr=choose.choose_rate(rate[0], batch, rate[1]),
            iterations=iterations,
            warmup=choose.choose_warmup(iterations.value),
            norm_cfg=norm,
        )
        backbone = methods.backbone(
            wishes.arch, with_cp=with_cp, weights=wishes.weights is not None
        )
        return Draft(
            head=describe(method.value, classes, count),
            bases=(
                f"models/{recipe.model.format(wishes.suffix)}",
                f"own_data/{recipe.data}{'_whole' if whole else ''}",
            ),
            choices=decided,
            classes=classes,
            model=dict(backbone=backbone)
            | methods.segmentor(method.value, wishes.arch),
            variables=methods.variables(
                method.value, wishes.weights, norm=norm is not None
            ),
            crop=None if whole else 3,
            optimizer=wishes.optimizer(method.value),
            load_from=wishes.load_from,
            nano=nano,
            **places,
        )

    draft, batch = fit(make, wishes, most, count[0])
    chosen = {**draft.choices, "batch": batch}
    return replace(draft, choices=chosen), {"method": method} | chosen
