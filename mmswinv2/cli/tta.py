"""Test-time augmentation, as a config describes it."""

from __future__ import annotations

from mmengine.config import Config, ConfigDict

from . import preflight


def use_tta(cfg: Config) -> None:
    """Wraps the model and replaces the pipeline by the config's TTA.

    mmdet's DetTTAModel merges boxes but no masks, so a mask branch is left out.
    """
    if not {"tta_model", "tta_pipeline"} <= cfg.keys():
        raise ValueError("--tta needs tta_model and tta_pipeline in the config")
    boxes_only = cfg.tta_model.type == "DetTTAModel"
    roi_head = cfg.model.get("roi_head", {})
    if boxes_only and roi_head.pop("mask_head", None):
        roi_head.pop("mask_roi_extractor", None)
        for metric in preflight.as_list(cfg.test_evaluator):
            if "segm" in metric.get("metric", []):
                metric.metric = "bbox"
        print("DetTTAModel merges boxes only: the mask branch is left out", flush=True)
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset = cfg.test_dataloader.dataset
    while "dataset" in dataset:
        dataset = dataset.dataset
    dataset.pipeline = cfg.tta_pipeline
