"""A config for a set in COCO's format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mmswinv2.architectures import ARCHITECTURES

from . import choices as choose
from . import methods
from .choices import Choice
from .survey_coco import CocoSurvey
from .wishes import Wishes, describe, fit
from .writer import Draft

SCRATCH = 1e-3, 4  # learning rate and batch with which 'nano' learns from nothing


def draft_coco(
    train: CocoSurvey,
    val: CocoSurvey,
    wishes: Wishes,
    places: Mapping[str, Any],
) -> tuple[Draft, dict[str, Choice | None]]:
    """Decides about a detector.

    Args:
        train (CocoSurvey): Of the training set.
        val (CocoSurvey): Of the validation set.
        wishes (Wishes): Of the user.
        places (Mapping): Where the data are: 'data_root', 'data', 'train', 'val' and
            'ann_file' of :class:`Draft`.

    Returns:
        tuple[Draft, dict[str, Choice | None]]: The config, and all decisions.
    """
    method = choose.choose_method((train, val), wishes.method)
    recipe = methods.COCO[method.value]
    scale = choose.choose_scale(train, wishes.scale)
    fullest = int(max(train.counts.max(), val.counts.max()))
    classes = tuple(n for n in train.classes if n in {*train.used, *val.used})
    count = len(train.pictures), len(val.pictures)

    def make(size: int, batch: int, with_cp: bool) -> Draft:
        chosen = choose.choose_scale(train, size) if size != scale.value[0] else scale
        decided = _decide(train, fullest, wishes, method.value, chosen, batch)
        named = [name for name, choice in decided.items() if choice]
        norm = "norm_cfg" in named
        backbone = methods.backbone(
            wishes.arch, with_cp=with_cp, weights=wishes.weights is not None
        )
        heads = methods.detector(method.value, wishes.arch, named)
        return Draft(
            head=describe(method.value, classes, count),
            bases=(
                f"models/{recipe.model.format(wishes.suffix)}",
                f"own_data/{recipe.data}",
            ),
            choices=decided,
            classes=classes,
            model=dict(backbone=backbone) | heads,
            variables=methods.variables(method.value, wishes.weights, norm=norm),
            optimizer=wishes.optimizer(method.value),
            load_from=wishes.load_from,
            nano=wishes.arch == "nano",
            **places,
        )

    draft, batch = fit(make, wishes, scale.value[0], len(train.pictures) - train.empty)
    chosen = {**draft.choices, "batch": batch}
    return replace(draft, choices=chosen), {"method": method} | chosen


def _decide(
    survey: CocoSurvey,
    fullest: int,
    wishes: Wishes,
    method: str,
    scale: Choice,
    batch: int,
) -> dict[str, Choice | None]:
    """Decisions that follow from the size of pictures and the batch."""
    nano = wishes.arch == "nano"
    pictures = len(survey.pictures) - survey.empty
    image = tuple(sorted(scale.value))
    limit = choose.choose_limit(fullest)
    proposals = samples = anchors = None
    tokens = choose.count_tokens(survey, scale.value[0])
    if method == "dino":
        proposals = choose.choose_queries(limit.value, 300 if nano else 900, tokens)
        limit = replace(limit, value=min(limit.value, tokens))
    elif method == "retinanet":
        proposals = choose.choose_proposals(limit.value, 1000, 2)
    elif "rcnn" in method:
        usual, factor = (500, 2) if nano else (1000, 4)
        proposals = choose.choose_proposals(limit.value, usual, factor)
        if proposals:
            number = proposals.value
            each = dict(nms_pre=number, max_per_img=number)
            proposals = Choice(each, proposals.reason)
        samples = None if nano else choose.choose_samples(fullest)
    if method not in methods.WITHOUT_ANCHORS:
        first = methods.ANCHORS.get(method, 4)
        anchors = choose.choose_anchors(survey, scale.value[0], first)
        if anchors and method == "retinanet":
            anchors = Choice(anchors.value[0], anchors.reason)
    iterations = choose.choose_iterations(pictures, batch, wishes.iterations)
    recipe = methods.COCO[method]
    rate = SCRATCH if nano else (recipe.lr, 16)
    with_norm = method.startswith("cascade") and not nano
    arch = ARCHITECTURES[wishes.arch]
    return dict(
        scale=scale,
        window=choose.choose_window(arch, image, wishes.window, wishes.weights),
        batch=Choice(batch, "pictures"),
        lr=choose.choose_rate(rate[0], batch, rate[1]),
        iterations=iterations,
        warmup=choose.choose_warmup(iterations.value),
        max_per_img=limit,
        proposals=proposals,
        sampled=samples,
        anchors=anchors,
        norm_cfg=choose.choose_norm(batch, wishes.arch) if with_norm else None,
    )
