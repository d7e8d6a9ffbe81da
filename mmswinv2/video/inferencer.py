"""Names what happens in videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmpretrain.registry import TRANSFORMS
from mmpretrain.structures import DataSample

from mmswinv2.pictures import VIDEO_SUFFIXES, find_files
from mmswinv2.pretraining.inferencer import ClassifierInferencer

from .strips import draw_strip


def use_views(cfg: Config, clips: int, crops: int) -> None:
    """Lets a test look at other views of each video.

    Args:
        cfg (Config): Of a classifier of videos, changed in place.
        clips (int): Spread over a video.
        crops (int): Of each: 1, 3 or 5.

    Raises:
        ValueError: If its test pipeline makes no views.
    """
    steps = {
        step["type"].rpartition(".")[-1]: step
        for step in cfg.test_dataloader.dataset.pipeline
    }
    if not {"SampleFrames", "SpatialCrops"} <= steps.keys():
        raise ValueError(
            "the test pipeline of the config has no SampleFrames and SpatialCrops, "
            "whose views could be set; write both, as the configs of "
            "configs/kinetics400 do"
        )
    steps["SampleFrames"].update(num_clips=clips, test_mode=True)
    steps["SpatialCrops"].number = crops


class VideoInferencer(ClassifierInferencer):
    """A classifier of videos, called as the inferencers of pictures are.

    Views are those of the config's test pipeline, see :func:`use_views`.
    """

    def _inputs_to_list(self, inputs: object) -> list[str]:
        """Videos that are given one by one, in a list or as a folder."""
        if isinstance(inputs, (str, Path)) and Path(inputs).is_dir():
            inputs = find_files(inputs, VIDEO_SUFFIXES, "videos")
        inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        for video in inputs:
            if not isinstance(video, (str, Path)):
                raise ValueError(
                    f"a video is given as {type(video).__name__}; expected its path, "
                    "or a list of paths"
                )
        return [str(video) for video in inputs]

    def _init_pipeline(self, cfg: Config) -> Compose:
        """The test pipeline, which gets paths."""
        steps = cfg.test_dataloader.dataset.pipeline
        return Compose([_as_results, *map(TRANSFORMS.build, steps)])

    def visualize(
        self,
        inputs: Sequence[str],
        preds: Sequence[DataSample],
        out_dir: str | Path = "",
        return_vis: bool = False,
    ) -> list[np.ndarray] | None:
        """Draws a strip of frames of each video."""
        if not (out_dir or return_vis):
            return None
        drawn = []
        meta = self.visualizer.dataset_meta
        for path, sample in zip(inputs, preds):
            drawn.append(draw_strip(path, sample, meta, with_truth=False))
            if out_dir:
                file = Path(out_dir) / "vis" / f"{Path(path).stem}.png"
                mmcv.imwrite(drawn[-1][..., ::-1], str(file))
        return drawn


def _as_results(path: str) -> dict:
    return dict(filename=path)
