"""Test-time augmentation, as a config describes it."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.config import Config, ConfigDict

from mmswinv2.apis import is_of_videos
from mmswinv2.evaluation.detection_limits import find_limits
from mmswinv2.own_data.checks.config import inner_datasets

from . import preflight


def use_tta(cfg: Config) -> None:
    """Wraps the model and replaces the pipeline by the config's TTA.

    A ``Resize`` with ``ratio`` instead of ``scale`` gets the test pipeline's scale,
    times that. Without a ``max_per_img`` of its own, ``tta_cfg`` gets the model's.
    mmdet's DetTTAModel merges boxes but no masks, so a mask branch is left out.
    """
    if is_of_videos(cfg):
        raise ValueError(
            "a test of videos has its views in the test pipeline, and no --tta: set "
            "num_clips of SampleFrames and number of SpatialCrops there"
        )
    if not {"tta_model", "tta_pipeline"} <= cfg.keys():
        raise ValueError("--tta needs tta_model and tta_pipeline in the config")
    boxes_only = cfg.tta_model.type == "DetTTAModel"
    roi_head = cfg.model.get("roi_head", {})
    if boxes_only and roi_head.pop("mask_head", None):
        roi_head.pop("mask_roi_extractor", None)
        for metric in preflight.as_list(cfg.test_evaluator):
            if "segm" in metric.get("metric", []):
                metric["metric"] = "bbox"
        print("DetTTAModel merges boxes only: the mask branch is left out", flush=True)
    if "tta_cfg" in cfg.tta_model and "max_per_img" not in cfg.tta_model.tta_cfg:
        limits = find_limits(cfg).items()
        limits = [n for key, n in limits if "max_per_im" in key and ".rpn." not in key]
        if limits:
            cfg.tta_model.tta_cfg.max_per_img = min(limits)
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for _, dataset in inner_datasets(cfg.test_dataloader.dataset, ""):
        dataset.pipeline = _scale(cfg.tta_pipeline, dataset.pipeline)


def _scale(steps: Sequence, test_pipeline: Sequence[dict]) -> list:
    """Steps, nested as in TestTimeAug, with ratios turned into scales."""
    scaled = []
    for step in steps:
        if not isinstance(step, dict):
            step = _scale(step, test_pipeline)
        elif "transforms" in step:
            transforms = _scale(step["transforms"], test_pipeline)
            step = ConfigDict({**step, "transforms": transforms})
        elif "ratio" in step and step["type"].endswith("Resize"):
            size = _test_scale(test_pipeline)
            step = ConfigDict(step)
            ratio = step.pop("ratio")
            step.scale = tuple(int(side * ratio) for side in size)
        scaled.append(step)
    return scaled


def _test_scale(pipeline: Sequence[dict]) -> tuple[int, int]:
    for step in pipeline:
        if step["type"].endswith("Resize") and step.get("scale"):
            scale = step["scale"]
            return (scale, scale) if isinstance(scale, int) else tuple(scale)
    raise ValueError(
        "tta_pipeline has a Resize with ratio, which is of the scale of the test "
        "pipeline's Resize, and that has none; write scale=(w, h) in tta_pipeline"
    )
