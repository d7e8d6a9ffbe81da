"""A teacher from what a command line or a config says."""

from __future__ import annotations

from pathlib import Path

from mmswinv2.apis import CONFIG_SUFFIXES, list_models
from mmswinv2.registry import MODELS

from .base import Teacher

HUB = "hf:"  # before a name of Hugging Face


def build_teacher(
    spec: str | Path | dict,
    *,
    weights: str | Path | None = None,
    input_size: tuple[int, int] | None = None,
) -> Teacher:
    """Builds a teacher.

    Args:
        spec (str | Path | dict): A config file or a name of :func:`list_models`;
            ``hf:`` and a name or folder of Hugging Face; any other text is a name of
            timm. A dict has a ``type``: 'mmswinv2.ConfigTeacher',
            'mmswinv2.TransformersTeacher' or 'mmswinv2.TimmTeacher'.
        weights (str | Path, optional): A file; of a dict, unless it names one.
        input_size (tuple[int, int], optional): (h, w) in px of pictures. Defaults to
            the teacher's own.

    Returns:
        Teacher: On the CPU, frozen.

    Raises:
        FileNotFoundError, RuntimeError, ValueError: In one sentence.

    Examples:
        >>> teacher = build_teacher("resnet50.a1_in1k")
        >>> teacher.logits(torch.rand(1, 3, 288, 288)).shape
        torch.Size([1, 1000, 9, 9])
    """
    if not isinstance(spec, dict):
        spec = _parse(str(spec))
    given = dict(weights=weights, input_size=input_size)
    given = {key: value for key, value in given.items() if value is not None}
    return MODELS.build({**spec, **given})


def _parse(name: str) -> dict:
    if name.startswith(HUB):
        return dict(type="mmswinv2.TransformersTeacher", model=name.removeprefix(HUB))
    if name.endswith(CONFIG_SUFFIXES) or name in list_models():
        return dict(type="mmswinv2.ConfigTeacher", config=name)
    return dict(type="mmswinv2.TimmTeacher", model=name)
