"""Pictures without labels: predicted and written, not scored."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.config import Config, ConfigDict


def is_unlabelled(cfg: Config) -> bool:
    """Whether a test only writes what is predicted.

    So say all of its evaluators, or, of a classifier, its data.
    """
    evaluators = cfg.test_evaluator
    evaluators = evaluators if isinstance(evaluators, list) else [evaluators]
    only_writes = all(metric.get("format_only") for metric in evaluators)
    return only_writes or not test_set(cfg).get("with_label", True)


def drop_labels(cfg: Config) -> None:
    """Lets the test read pictures alone.

    Args:
        cfg (Config): The config, changed in place: its test set, and its TTA; of a
            classifier its evaluators, of which none only writes.
    """
    dataset = test_set(cfg)
    if not dataset.get("with_label", True):
        cfg.test_evaluator = []
        return
    dataset.pipeline = without_labels(dataset.pipeline)
    dataset.get("data_prefix", {}).pop("seg_map_path", None)
    if "tta_pipeline" in cfg:
        cfg.tta_pipeline = without_labels(cfg.tta_pipeline)


def test_set(cfg: Config) -> ConfigDict:
    """The data set of a config's test, without wrappers."""
    dataset = cfg.test_dataloader.dataset
    while "dataset" in dataset:
        dataset = dataset.dataset
    return dataset


def without_labels(pipeline: Sequence) -> list:
    """A pipeline, or one inside of TestTimeAug, without the loading of annotations."""
    kept = []
    for step in pipeline:
        if isinstance(step, dict):
            if step["type"].startswith("Load") and step["type"].endswith("Annotations"):
                continue
            if "transforms" in step:
                step = {**step, "transforms": without_labels(step["transforms"])}
        else:
            step = without_labels(step)
            if not step:
                continue
        kept.append(step)
    return kept
