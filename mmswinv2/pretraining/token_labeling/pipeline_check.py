"""Whether it is known where every transform of a pipeline moves the pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import mmcv.transforms
import mmpretrain.datasets.transforms as host

from .transforms import TWINS

# Relative to the picture, these move no pixel; what is erased keeps its label, as in
# the authors' code.
STILL = (
    mmcv.transforms.LoadImageFromFile,
    mmcv.transforms.Normalize,
    mmcv.transforms.RandomChoiceResize,
    mmcv.transforms.RandomGrayscale,
    mmcv.transforms.RandomResize,
    mmcv.transforms.Resize,
    host.AutoContrast,
    host.Brightness,
    host.ColorJitter,
    host.ColorTransform,
    host.Contrast,
    host.Cutout,
    host.Equalize,
    host.GaussianBlur,
    host.Invert,
    host.Lighting,
    host.PackInputs,
    host.Posterize,
    host.RandomErasing,
    host.ResizeEdge,
    host.Sharpness,
    host.Solarize,
    host.SolarizeAdd,
)
KNOWN = "geometry_known"  # True in classes that call note(), or move nothing


def check_pipeline(transforms: Iterable[Callable]) -> None:
    """Raises where a map would not go where its picture goes.

    A transform of one's own is taken where its class has ``geometry_known = True``: it
    calls :func:`note`, or moves no pixel.

    Args:
        transforms (Iterable[Callable]): Of a pipeline, built.

    Raises:
        ValueError: If one of them may move pixels and does not note where.
    """
    for transform in _flat(transforms):
        kind = type(transform)
        if kind in STILL or getattr(kind, KNOWN, False):
            continue
        advice = (
            f"write type='{TWINS[kind.__name__]}', which does"
            if kind.__name__ in TWINS
            else f"take it out, or give its class {KNOWN} = True if it moves no pixel "
            "or calls mmswinv2.pretraining.token_labeling.note()"
        )
        raise ValueError(
            f"{kind.__name__} may move pixels and does not note where, so that a map "
            f"could not follow its picture: {advice}"
        )


def _flat(transforms: Iterable[Callable]) -> Iterator[Callable]:
    """Transforms, and what is in those that hold others."""
    holders = (
        mmcv.transforms.Compose,
        mmcv.transforms.RandomApply,
        mmcv.transforms.RandomChoice,  # AutoAugment is one
        host.RandAugment,
    )
    for transform in transforms:
        if isinstance(transform, holders):
            inside = transform.transforms
            yield from _flat(inside if isinstance(inside, list) else [inside])
        else:
            yield transform
