"""The views of TTA follow the test pipeline, and what it keeps follows the model."""

from __future__ import annotations

import copy

import pytest
from mmengine.config import Config
from tiny import DET, SEG

from mmswinv2.apis import find_config
from mmswinv2.cli.tta import use_tta


def load(name: str) -> Config:
    return Config.fromfile(find_config(name))


def scales(cfg: Config) -> list[tuple[int, int]]:
    """Of the views that a test would make."""
    return [
        step.scale for step in cfg.test_dataloader.dataset.pipeline[1].transforms[0]
    ]


@pytest.mark.parametrize("name", [DET, SEG])
def test_views_follow_the_size_of_the_test(name: str) -> None:
    """Whoever changes the test's size writes it once."""
    cfg = load(name)
    use_tta(cfg)
    assert scales(cfg) == [(128, 128), (160, 160)]
    cfg = load(name)
    cfg.merge_from_dict({"test_dataloader.dataset.pipeline.1.scale": (320, 200)})
    use_tta(cfg)
    assert scales(cfg) == [(320, 200), (400, 250)]


def test_each_of_several_sets_has_its_views() -> None:
    """A test may read sets one after the other."""
    cfg = load(SEG)
    dataset = cfg.test_dataloader.dataset
    both = [dataset, copy.deepcopy(dataset)]
    cfg.test_dataloader.dataset = dict(type="ConcatDataset", datasets=both)
    use_tta(cfg)
    for inner in cfg.test_dataloader.dataset.datasets:
        assert inner.pipeline[1].type == "TestTimeAug"


def test_views_with_sizes_of_their_own_keep_them() -> None:
    """A scale in the config's TTA is no ratio."""
    cfg = load(SEG)
    cfg.tta_pipeline[1].transforms[0] = [dict(type="Resize", scale=(96, 80))]
    use_tta(cfg)
    assert scales(cfg) == [(96, 80)]


def test_ratios_of_nothing_are_refused() -> None:
    """A test pipeline that keeps the size of each picture has no scale."""
    cfg = load(SEG)
    del cfg.test_dataloader.dataset.pipeline[1]
    with pytest.raises(ValueError, match=r"write scale=\(w, h\) in tta_pipeline"):
        use_tta(cfg)


@pytest.mark.parametrize(("given", "expected"), [(None, 300), (50, 50)])
def test_merged_views_keep_as_many_detections_as_the_model(
    given: int | None, expected: int
) -> None:
    """Unless the config says how many."""
    cfg = load(DET)
    cfg.model.test_cfg.rcnn.max_per_img = 300
    if given:
        cfg.tta_model.tta_cfg.max_per_img = given
    use_tta(cfg)
    assert cfg.model.tta_cfg.max_per_img == expected
