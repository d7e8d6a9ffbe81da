"""Label maps in the data pipeline."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mmpretrain.datasets.transforms as host
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.config import Config
from mmengine.logging import print_log

from mmswinv2.pretraining.map_store import (
    CENTRE_SQUARE,
    TOKEN_LABELS,
    WHOLE,
    MapStore,
    TokenLabelMap,
)
from mmswinv2.registry import TRANSFORMS

from . import geometry
from .pipeline_check import check_pipeline

COMMAND = "python tools/dataset_converters/make_token_labels.py"
FIELDS = ("token_label_values", "token_label_ids", "token_label_kind", "geometry")


class LoadMaps(BaseTransform, ABC):
    """Adds the map of a picture, which later transforms leave as it is.

    They note how they move pixels instead, see :func:`note`: maps are sampled once, on
    the device of the model. Twins and what moves no pixel may follow, nothing else, see
    :func:`check_pipeline`.

    Args:
        store (str): Folder that ``make_token_labels.py`` has written.
        data_root (str): Folder that it was made of, which the store's paths are
            relative to.
        coverage (str, optional): What of a picture a map is of: 'whole', or
            'centre-square', the largest square in its middle. Defaults to None: as the
            store says.

    Attributes:
        kind (str): Of the store.
        fields (Sequence[str]): What is added to a sample.
        options (str): Of the command that makes such a store.

    Raises:
        FileNotFoundError: If there is no such store.
        ValueError: If it is damaged, or of another kind, or ``coverage`` is unknown.
    """

    geometry_known = True
    kind: str
    fields: Sequence[str]
    options: str

    def __init__(self, store: str, data_root: str, coverage: str | None = None) -> None:
        if coverage not in (None, WHOLE, CENTRE_SQUARE):
            raise ValueError(
                f"coverage={coverage!r}: expected {WHOLE!r}, {CENTRE_SQUARE!r} or None"
            )
        if not os.path.isdir(store):
            raise FileNotFoundError(
                f"{store} does not exist, where {self.kind.replace('_', ' ')} of "
                f"{data_root} are expected; make them: {COMMAND} {self.options} "
                f"--data {data_root} --out {store}"
            )
        self.store, self.data_root = MapStore(store), data_root
        self.store.check(kind=self.kind)
        self.coverage = coverage or self.store.coverage

    @abstractmethod
    def add(self, results: dict, found: Any) -> None:
        """Put what the store has for a picture among the results of its pipeline."""

    def transform(self, results: dict) -> dict:
        """Add the map of one picture."""
        path = os.path.relpath(results["img_path"], self.data_root)
        self.add(results, self.store.read(Path(path).as_posix()))
        geometry.show_on(
            results, geometry.of_coverage(self.coverage, results["ori_shape"])
        )
        return results

    def check_run(self, cfg: Config, transforms: Sequence[Callable]) -> None:
        """Raises where a run would fail on its maps, or learn those of other places.

        Args:
            cfg (Config): Of the run.
            transforms (Sequence[Callable]): Of the pipeline, built.

        Raises:
            ValueError: If a transform has no known geometry, maps are loaded twice, a
                picture has no map, or the store is of other classes or another data
                folder.
        """
        check_pipeline(transforms)
        loaders = [type(t).__name__ for t in transforms if isinstance(t, LoadMaps)]
        if len(loaders) > 1:
            raise ValueError(f"{' and '.join(loaders)} load maps; leave one of them")
        for transform in transforms:
            if isinstance(transform, LoadImageFromFile):
                self._check_orientation(transform)
            elif isinstance(transform, host.PackInputs):
                missing = [f for f in self.fields if f not in transform.algorithm_keys]
                if missing:
                    raise ValueError(
                        f"PackInputs leaves {', '.join(missing)} out; give it "
                        f"algorithm_keys={[*self.fields]}"
                    )
        self.store.check(num_classes=self.num_classes(cfg), data=self.data_root)

    def num_classes(self, cfg: Config) -> int | None:
        """How many classes the store must have; None: it has none."""
        return None

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


@TRANSFORMS.register_module()
class LoadTokenLabels(LoadMaps):
    """Adds the label map of a picture, see :class:`LoadMaps`.

    Adds ``token_label_values``, fp16 ``(k, h, w)``, of the classes
    ``token_label_ids``, ``token_label_kind``, 'logits' or 'probabilities', and
    ``geometry``. Arguments are those of :class:`LoadMaps`. The published maps are of
    the centre square, but were read as if they were of the whole picture:
    ``coverage='whole'`` reproduces it.
    """

    kind, fields = TOKEN_LABELS, FIELDS
    options = "--teacher dm_nfnet_f6.dm_in1k"

    def add(self, results: dict, found: TokenLabelMap) -> None:
        """Add values, ids and what values are."""
        results["token_label_values"], results["token_label_ids"] = found
        results["token_label_kind"] = self.store.spec.values

    def num_classes(self, cfg: Config) -> int | None:
        """Those of the head."""
        return cfg.model.get("head", {}).get("num_classes")

    def check_run(self, cfg: Config, transforms: Sequence[Callable]) -> None:
        """As of :class:`LoadMaps`; the log says what the labels are."""
        super().check_run(cfg, transforms)
        spec = self.store.spec
        print_log(
            f"Label maps of {len(self.store):,} pictures in {self.store.folder}: "
            f"{spec.grid[0]} x {spec.grid[1]} tokens, the {spec.top_k} likeliest of "
            f"{spec.num_classes} classes, by {spec.teacher.get('name', 'a teacher')}",
            "current",
        )
