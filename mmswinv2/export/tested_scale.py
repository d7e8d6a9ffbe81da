"""What a config's test pipeline does to a picture before the network sees it."""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.config import Config

# These change no pixels, or are what reads the file.
SILENT = ("LoadImageFromFile", "LoadAnnotations", "InferencerLoader")
USUAL = (512, 512 * 4 // 3)  # px, where a pipeline tells no size


def picture_steps(cfg: Config) -> list[dict] | None:
    """Steps of the test pipeline that change a picture.

    Args:
        cfg (Config): Of a detector, segmentor or classifier.

    Returns:
        list[dict] | None: ``type`` and what it takes: 'Resize' to ``scale``, two sides
        in px, with ``keep_ratio`` within them (the long and the short one, rounded to
        the nearest px); 'ResizeEdge', the ``edge`` to ``scale``; 'CenterCrop' to
        ``crop_size``. None where there is another one.
    """
    steps: list[dict] = []
    for step in cfg.test_dataloader.dataset.pipeline:
        kind = str(step["type"]).rpartition(".")[2]
        if kind in SILENT or kind.startswith("Pack"):
            continue
        described = _describe(kind, step)
        if described is None:
            return None
        steps.append(described)
    return steps


def tested_size(cfg: Config) -> tuple[int, int]:
    """(height, width) in px of a picture 4:3 as the network sees it in tests."""
    height, width = USUAL
    for step in picture_steps(cfg) or ():
        if step["type"] == "CenterCrop":
            height = width = step["crop_size"]
        elif step["type"] == "ResizeEdge":
            height, width = step["scale"], step["scale"] * 4 // 3
        elif not step["keep_ratio"]:
            width, height = step["scale"]
        else:
            height = min(step["scale"])
            width = min(max(step["scale"]), height * 4 // 3)
    return height, width


def _describe(kind: str, step: Mapping) -> dict | None:
    how = dict(
        interpolation=step.get("interpolation", "bilinear"),
        backend=step.get("backend", "cv2"),
    )
    if kind == "Resize" and step.get("scale"):
        scale = step["scale"]
        scale = [scale, scale] if isinstance(scale, int) else [*scale]
        ratio = bool(step.get("keep_ratio", False))
        return dict(type=kind, scale=scale, keep_ratio=ratio, **how)
    edge = step.get("edge", "short")
    if kind == "ResizeEdge" and edge in ("short", "long"):
        return dict(type=kind, scale=step["scale"], edge=edge, **how)
    if kind == "CenterCrop" and isinstance(step.get("crop_size"), int):
        return dict(type=kind, crop_size=step["crop_size"])
    return None
