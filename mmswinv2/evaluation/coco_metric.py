"""COCO's metric, whose limit of detections fits the data."""
# T thresholds of IoU, R of recall, K classes, A ranges of areas, M limits of detections

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
from mmdet.evaluation.metrics import coco_metric as host
from mmengine.logging import print_log

from mmswinv2.registry import METRICS

from .detection_limits import COCO_LIMIT

try:
    from faster_coco_eval import COCOeval_faster as COCOeval
except ImportError:
    from pycocotools.cocoeval import COCOeval


# What the host names COCO's statistics 0 to 11, in the order of pycocotools:
# what, IoU (None: the mean of all), area, which of the limits (None: that of AP)
STATISTICS = (
    ("precision", None, "all", None),
    ("precision", 0.5, "all", -1),
    ("precision", 0.75, "all", -1),
    *(("precision", None, area, -1) for area in ("small", "medium", "large")),
    *(("recall", None, "all", index) for index in range(3)),
    *(("recall", None, area, -1) for area in ("small", "medium", "large")),
)


class _FreeLimit:
    """A COCOeval whose AP may read another number of detections than 100.

    pycocotools looks for the literal 100 among ``maxDets``, and gives -1 without it.
    """

    params: Any  # these two are COCOeval's
    eval: dict

    def __init__(self, *args: Any, ap_limit: int) -> None:
        super().__init__(*args)
        self.ap_limit = ap_limit

    def summarize(self) -> None:
        """Fills ``stats`` and prints it, as pycocotools does."""
        limits, areas = self.params.maxDets, self.params.areaRngLbl
        self.stats = np.full(len(STATISTICS), -1.0)
        for row, (name, iou, area, index) in enumerate(STATISTICS):
            limit = self.ap_limit if index is None else limits[index]
            values = self.eval[name]  # precision (T, R, K, A, M), recall (T, K, A, M)
            if iou is not None:
                values = values[np.asarray(self.params.iouThrs) == iou]
            values = values[..., areas.index(area), limits.index(limit)]
            if (values > -1).any():
                self.stats[row] = values[values > -1].mean()
            threshold = "0.50:0.95" if iou is None else f"{iou:.2f}"
            print(
                f" Average {name.title():<9} @[ IoU={threshold:<9} | area={area:>6} | "
                f"maxDets={limit:>3} ] = {self.stats[row]:.3f}"
            )


class FreeCOCOeval(_FreeLimit, COCOeval):
    """The evaluation in this process."""


class FreeCOCOevalMP(_FreeLimit, host.COCOevalMP):
    """The host's, in several processes."""


@METRICS.register_module()
class CocoMetric(host.CocoMetric):
    """COCO's AP and AR of detections, as many per picture as the data have objects.

    The host's reads the best 100 of a class in each picture for ``mAP``, so that a
    perfect prediction of 300 objects scores a third. This one gives the host's numbers
    where no picture has more than 100 objects of a class, and otherwise reads more:
    ``mAP`` and all its parts, AR and the table by class are then of one limit, and AR
    is named by its limits. It evaluates with faster-coco-eval where that is installed.

    Args:
        max_dets (int | Sequence[int] | 'auto'): Detections of a class in a picture
            that count, the best first. 'auto' is 100, or else the next multiple of 100
            above the largest number of objects. Three numbers are those of AR, the
            largest of which is that of AP.
        **kwargs (Any): As for mmdet's ``CocoMetric``.

    Examples:
        >>> val_evaluator = dict(
        ...     type="mmswinv2.CocoMetric", ann_file="val.json", metric="bbox")
    """

    cat_ids: Any  # these two are the host's
    proposal_nums: Any

    def __init__(
        self,
        *args: Any,
        max_dets: int | Sequence[int] | str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        given = [max_dets] if isinstance(max_dets, int) else max_dets
        if given != "auto":
            numbers = not isinstance(given, str) and all(
                isinstance(n, int) and n > 0 for n in given
            )
            if not numbers or len(given) not in (1, 3):
                raise ValueError(
                    f"max_dets={max_dets!r}: expected 'auto', a number of detections "
                    "such as 400, or the three of AR such as (1, 10, 400)"
                )
            given = sorted(given)
        self.max_dets: Any = given
        self.wanted_nums: list[int] = sorted(self.proposal_nums)
        if len(self.wanted_nums) != 3 and self.metrics != ["proposal_fast"]:
            raise ValueError(
                f"proposal_nums={tuple(self.proposal_nums)}: expected three numbers, "
                "such as (100, 300, 1000); max_dets says how many count for mAP"
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The host's numbers, read with limits that fit the objects."""
        if self._coco_api is not None and self.cat_ids is None:
            classes = self.dataset_meta["classes"]
            self.cat_ids = self._coco_api.get_cat_ids(cat_names=classes)
        objects = self._count_objects(results)
        most = max(objects.values(), default=0)
        limit, self.proposal_nums = self._choose_limits(most)
        cut = {image for (image, _), count in objects.items() if count > limit}
        if cut:
            print_log(
                f"{len(cut)} of {len({image for image, _ in objects})} pictures have "
                f"more than max_dets={limit} objects of a class, up to {most}: what is "
                "above it counts as not found; set max_dets='auto' in the evaluator",
                "current",
                level=logging.WARNING,
            )
        free = partial(FreeCOCOeval, ap_limit=limit)
        free_mp = partial(FreeCOCOevalMP, ap_limit=limit)
        with patch.multiple(host, COCOeval=free, COCOevalMP=free_mp):
            metrics = super().compute_metrics(results)
        if "proposal_fast" in self.metrics:  # named by its limits already
            return metrics
        true = dict(zip(("100", "300", "1000"), self.proposal_nums))
        pattern = r"(?<=AR@)\d+$|(?<=AR_[sml]@)\d+$"
        return {
            re.sub(pattern, lambda m: str(true[m[0]]), k): v for k, v in metrics.items()
        }

    def _count_objects(self, results: list) -> Counter[tuple[int, int]]:
        """Objects by picture and class, crowds aside."""
        if self._coco_api is None:
            return Counter(
                (truth["img_id"], label["bbox_label"])
                for truth, _ in results
                for label in truth.get("anns", ())
                if not label.get("ignore_flag")
            )
        classes = set(self.cat_ids)
        return Counter(
            (label["image_id"], label["category_id"])
            for label in self._coco_api.anns.values()
            if label["category_id"] in classes and not label.get("iscrowd")
        )

    def _choose_limits(self, most: int) -> tuple[int, list[int]]:
        """The limit of AP and those of AR, for pictures with up to so many objects."""
        numbers = self.wanted_nums
        if self.max_dets == "auto":
            if most <= COCO_LIMIT:  # as the host
                return COCO_LIMIT if COCO_LIMIT in numbers else numbers[-1], numbers
            limit = math.ceil(most / COCO_LIMIT) * COCO_LIMIT
        else:
            limit = self.max_dets[-1]
            if len(self.max_dets) == 3:
                return limit, self.max_dets
        return limit, [*(min(n, limit) for n in numbers[:-1]), limit]
