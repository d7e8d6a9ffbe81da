"""Writes a picture of every prediction of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import mmcv
import numpy as np
from mmengine.fileio import get
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mmswinv2.checkpoints.whole_files import whole_file
from mmswinv2.drawing import draw_sample
from mmswinv2.registry import HOOKS


@HOOKS.register_module()
class PictureHook(Hook):
    """Draws truth and prediction beside each other, for all tasks in one way.

    A picture is named like the one it is of, as ``.jpg`` if that is, else ``.png``;
    where there is another of that name, its folders' names come first.

    Args:
        out_dir (str): Where the pictures go.
        score_thr (float): Detections below it are left out. Defaults to 0.3.

    Examples:
        >>> custom_hooks = [dict(type="mmswinv2.PictureHook", out_dir="out/test")]
    """

    def __init__(self, out_dir: str, score_thr: float = 0.3) -> None:
        self.out_dir = Path(out_dir)
        self.score_thr = score_thr
        self.written: dict[Path, str] = {}

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[BaseDataElement] | None = None,
    ) -> None:
        """Draws a batch."""
        for sample in outputs or ():
            drawn = self.draw(sample, runner.visualizer.dataset_meta)
            path = self._name(Path(sample.img_path))
            _, encoded = cv2.imencode(path.suffix, drawn[..., ::-1])
            with whole_file(path, flush=False) as unfinished:
                unfinished.write_bytes(encoded.data)

    def draw(self, sample: BaseDataElement, meta: Mapping) -> np.ndarray:
        """The picture of one sample, RGB."""
        content = get(sample.img_path)
        pixels = mmcv.imfrombytes(content, channel_order="rgb")
        return draw_sample(pixels, sample, meta, score_thr=self.score_thr)

    def _name(self, image: Path) -> Path:
        suffix = ".jpg" if image.suffix.lower() in (".jpg", ".jpeg") else ".png"
        name = image.stem
        for folder in image.parents:
            path = self.out_dir / f"{name}{suffix}"
            if self.written.setdefault(path, str(image)) == str(image):
                break
            name = f"{folder.name}_{name}"
        return path
