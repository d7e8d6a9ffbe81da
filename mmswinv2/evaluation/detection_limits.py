"""How many objects of a picture a detector and its evaluation can find."""

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
        limits |= dict(_walk(cfg.tta_model.get("tta_cfg", {}), "tta_model.tta_cfg"))
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


def describe_cuts(limits: Mapping[str, int], objects: Sequence[int]) -> list[str]:
    """A sentence for each limit that is below the objects of some picture.

    Args:
        limits (Mapping[str, int]): As :func:`find_limits` gives them.
        objects (Sequence[int]): Objects of each picture.
    """
    most = max(objects, default=0)
    wanted = -(-most // 100) * 100
    return [
        f"{key}={limit}: {sum(count > limit for count in objects)} of {len(objects)} "
        f"pictures have more objects, up to {most}, of which no more than {limit} can "
        f"ever be found; set {key}={wanted}"
        for key, limit in limits.items()
        if most > limit
    ]


def describe_evaluators(
    evaluators: Sequence[Mapping], objects: Sequence[int], key: str
) -> list[str]:
    """A sentence for each evaluator whose mAP cannot see all objects of a picture.

    Args:
        evaluators (Sequence[Mapping]): The metrics of a config.
        objects (Sequence[int]): Objects of one class in each picture.
        key (str): Where they are in the config, such as 'val_evaluator'.
    """
    most = max(objects, default=0)
    cut = sum(count > COCO_LIMIT for count in objects)
    return [
        f"{key}.type='{metric['type']}' reads {COCO_LIMIT} detections of a class in a "
        f"picture for mAP, and {cut} of {len(objects)} pictures have more objects, up "
        f"to {most}; set {key}.type='mmswinv2.CocoMetric'"
        for metric in evaluators
        if cut and metric.get("type") in ("CocoMetric", "mmdet.CocoMetric")
    ]
