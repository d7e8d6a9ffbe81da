"""Label maps in the data pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import mmpretrain.datasets.transforms as host
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.config import Config
from mmengine.logging import print_log

from mmswinv2.pretraining.map_store import TOKEN_LABELS, MapStore
from mmswinv2.registry import TRANSFORMS

from . import geometry
from .pipeline_check import check_pipeline

COMMAND = "python tools/dataset_converters/make_token_labels.py"
FIELDS = ("token_label_values", "token_label_ids", "token_label_kind", "geometry")


@TRANSFORMS.register_module()
class LoadTokenLabels(BaseTransform):
    """Adds the label map of a picture, which later transforms leave as it is.

    They note how they move pixels instead, see :func:`note`: maps are sampled once, on
    the device of the model. Twins and what moves no pixel may follow, nothing else, see
    :func:`check_pipeline`.

    Adds ``token_label_values``, fp16 ``(k, h, w)``, of the classes
    ``token_label_ids``, ``token_label_kind``, 'logits' or 'probabilities', and
    ``geometry``.

    Args:
        store (str): Folder that ``make_token_labels.py`` has written.
        data_root (str): Folder that it was made of, which the store's paths are
            relative to.
        coverage (str, optional): What of a picture a map is of: 'whole', or
            'centre-square', the largest square in its middle. The published maps are of
            that, but were read as if they were of the whole: write 'whole' to reproduce
            it. Defaults to None: as the store says.

    Raises:
        FileNotFoundError: If there is no such store.
        ValueError: If it is damaged, or of features.
    """

    geometry_known = True

    def __init__(self, store: str, data_root: str, coverage: str | None = None) -> None:
        if not os.path.isdir(store):
            raise FileNotFoundError(
                f"{store} does not exist, where label maps of {data_root} are "
                f"expected; make them: {COMMAND} --teacher dm_nfnet_f6.dm_in1k "
                f"--data {data_root} --out {store}"
            )
        self.store, self.data_root = MapStore(store), data_root
        self.store.check(kind=TOKEN_LABELS)
        self.coverage = coverage or self.store.coverage

    def transform(self, results: dict) -> dict:
        """Add the map of one picture."""
        path = os.path.relpath(results["img_path"], self.data_root)
        labels = self.store.read(Path(path).as_posix())
        results["token_label_values"], results["token_label_ids"] = labels
        results["token_label_kind"] = self.store.spec.values
        geometry.show_on(
            results, geometry.of_coverage(self.coverage, results["ori_shape"])
        )
        return results

    def check_run(self, cfg: Config, transforms: Sequence[Callable]) -> None:
        """Raises where a run would fail on its maps, or learn labels of other places.

        Args:
            cfg (Config): Of the run.
            transforms (Sequence[Callable]): Of the pipeline, built.

        Raises:
            ValueError: If a transform has no known geometry, a picture has no map, or
                the store is of other classes or another data folder.
        """
        check_pipeline(transforms)
        for transform in transforms:
            if isinstance(transform, LoadImageFromFile):
                self._check_orientation(transform)
            elif isinstance(transform, host.PackInputs):
                missing = [f for f in FIELDS if f not in transform.algorithm_keys]
                if missing:
                    raise ValueError(
                        f"PackInputs leaves {', '.join(missing)} out; give it "
                        f"algorithm_keys={[*FIELDS]}"
                    )
        classes = cfg.model.get("head", {}).get("num_classes")
        self.store.check(num_classes=classes, data=self.data_root)
        spec = self.store.spec
        print_log(
            f"Label maps of {len(self.store):,} pictures in {self.store.folder}: "
            f"{spec.grid[0]} x {spec.grid[1]} tokens, the {spec.top_k} likeliest of "
            f"{spec.num_classes} classes, by {spec.teacher.get('name', 'a teacher')}",
            "current",
        )

    def _check_orientation(self, loader: LoadImageFromFile) -> None:
        """Raises where pictures are turned as their EXIF says and maps not, or so."""
        keeps = ("unchanged", "_ignore_orientation")  # ends of kinds that do not turn
        turned = not loader.color_type.endswith(keeps)
        if turned != self.store.spec.exif_rotation:
            raise ValueError(
                f"LoadImageFromFile has color_type={loader.color_type!r}, but for the "
                f"maps of {self.store.folder} pictures were {'not ' * turned}turned as "
                "their EXIF says; write color_type="
                f"{'color_ignore_orientation' if turned else 'color'!r}"
            )
