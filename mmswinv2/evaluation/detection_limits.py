"""How many objects of a picture a detector can find, and COCO's metric reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mmengine.config import Config

LIMITS = ("max_per_img", "max_per_image", "num_queries")  # as mmdet names them
COCO_LIMIT = 100  # detections of a class per picture that COCO's AP reads


def find_limits(cfg: Config, *, tta: bool = False) -> dict[str, int]:
    """What bounds the detections of a picture, by the key in the config.

    Args:
        cfg (Config): A detector's config.
        tta (bool): Whether its ``tta_model`` merges views.
    """
    limits = dict(_walk(cfg.model, "model"))
    if tta:
        merging = (cfg.get("tta_model") or {}).get("tta_cfg", {})
        limits |= dict(_walk(merging, "tta_model.tta_cfg"))
    return limits


def _walk(node: object, path: str) -> Iterator[tuple[str, int]]:
    pairs: Sequence = ()
    if isinstance(node, Mapping):
        pairs = [item for item in node.items() if item[0] != "train_cfg"]
    elif isinstance(node, (list, tuple)):
        pairs = list(enumerate(node))
    for key, value in pairs:
        name = f"{path}.{key}"
        if key in LIMITS and isinstance(value, int) and value > 0:  # -1: no limit
            yield name, value
        else:
            yield from _walk(value, name)
