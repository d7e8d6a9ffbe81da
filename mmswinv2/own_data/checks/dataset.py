"""Checks one dataset of a config, read as its class would read it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from mmswinv2.own_data.files import list_files, read_coco

from .annotations import CocoUse
from .coco import check_coco
from .findings import Finding, first
from .folders import FolderCheck, try_pipeline
from .heads import kind_of, parts, predicts_masks
from .labels import LabelUse, check_labels
from .limits import check_limits
from .pictures import check_pictures
from .videos import VideoCheck

STUFF = (
    ". These are the pixel maps of things and stuff of COCO-Stuff, "
    "stuffthingmaps_trainval2017.zip; the configs called 'without-semantic' need none"
)


def metrics_of(cfg: Mapping, split: str) -> list[Mapping]:
    """The metrics of a split; an evaluator is one or a list of them."""
    evaluator = cfg.get(f"{split}_evaluator")
    return evaluator if isinstance(evaluator, list) else [evaluator or {}]


class DatasetCheck:
    """One dataset of a config, read as its class would read it."""

    def __init__(self, cfg: Config, split: str, dataset: Mapping, key: str) -> None:
        self.cfg, self.split, self.dataset, self.key = cfg, split, dataset, key
        self.pictures: dict[str, int] = {}  # bytes by path
        self.class_folders: list[str] = []
        self.num_classes: int | None = None
        self.classes_from = ""  # where their number is from, if not from the config
        pipeline = [part for _, part in parts(dataset.get("pipeline") or ())]
        pipeline = [part for part in pipeline if "type" in part]
        self.loaders = [p for p in pipeline if kind_of(p) == "LoadAnnotations"]
        readers = [p for p in pipeline if kind_of(p) == "LoadImageFromFile"]
        colours = {p.get("color_type", "color") for p in readers}
        backends = {p.get("imdecode_backend", "cv2") for p in readers}
        self.obey_exif = colours <= {"color", "grayscale"} and backends <= {
            "cv2",
            "pillow",
        }  # as mmcv.imfrombytes says
        self.decoder = "pillow" if backends == {"pillow"} else "cv2"
        metrics = metrics_of(cfg, split) if split != "train" else []
        self.coco_metrics = [m for m in metrics if "Coco" in kind_of(m)]
        self.scored = split == "train" or any(
            not metric.get("format_only") for metric in metrics
        )

    def findings(self) -> Iterator[Finding]:
        """All about this dataset."""
        try:
            reader = dict(self.dataset, lazy_init=True, pipeline=[])
            built: BaseDataset = DATASETS.build(reader)
        except Exception as error:  # whatever a dataset raises
            what = f"cannot be built: {error}"
            cure = (
                "for classes of your own, take mmdet's CocoDataset or mmseg's "
                "BaseSegDataset with metainfo=dict(classes=(...)), which take any "
                "names, or mmpretrain's CustomDataset"
            )
            yield Finding("error", self.key, what, cure)
            return
        if hasattr(built, "with_label"):
            yield from self._check_folders(built)
            return
        if hasattr(built, "COCOAPI"):
            yield from self._check_coco(built)
        elif hasattr(built, "reduce_zero_label") and "img_path2" not in (
            built.data_prefix
        ):
            yield from self._check_segmentation(built)
        elif hasattr(built, "max_unreadable"):
            check = VideoCheck(
                built,
                self.dataset,
                self.cfg.model,
                key=self.key,
                training=self.split == "train",
            )
            yield from check.findings()
            self.pictures = check.videos
        classes = built.metainfo.get("classes")
        if isinstance(classes, (list, tuple)):
            self.num_classes = len(classes)

    def _check_folders(self, built: BaseDataset) -> Iterator[Finding]:
        check = FolderCheck(
            built,
            head_classes=(self.cfg.model.get("head") or {}).get("num_classes"),
            obey_exif=self.obey_exif,
            decoder=self.decoder,
            key=self.key,
        )
        found = [*check.findings()]
        yield from found
        self.num_classes, self.classes_from = check.num_classes, check.classes_from
        self.class_folders, self.pictures = check.folders, check.pictures
        if check.example and not any(x.severity == "error" for x in found):
            model = self.cfg.model
            yield from try_pipeline(self.dataset, check.example, model, self.key)

    def _check_coco(self, built: BaseDataset) -> Iterator[Finding]:
        from mmdet.datasets.api_wrappers import COCO

        if built.COCOAPI is not COCO:  # panoptic or LVIS: other records
            return
        try:
            content = read_coco(built.ann_file, annotated=self.scored)
        except ValueError as error:
            yield Finding("error", f"{self.key}.ann_file", str(error), "make it anew")
            return
        masked = any(part.get("with_mask") for part in self.loaders)
        if self.split == "train" and predicts_masks(self.cfg.model) and not masked:
            what = "loads no masks, but the model has a mask head"
            cure = "write LoadAnnotations(with_bbox=True, with_mask=True)"
            yield Finding("error", f"{self.key}.pipeline", what, cure)
        segm = any("segm" in m.get("metric", ()) for m in self.coco_metrics)
        use = CocoUse(
            classes=built.metainfo["classes"],
            own_classes="classes" in (self.dataset.get("metainfo") or {}),
            masks=masked or segm,
            poly2mask=all(part.get("poly2mask", True) for part in self.loaders),
            evaluated=bool(self.coco_metrics) and self.scored,
            filter_cfg={} if built.test_mode else built.filter_cfg or {},
            key=self.key,
        )
        if not self.scored:
            content.pop("annotations", None)
        found = [*check_coco(content, built.ann_file, use)]
        yield from found
        if not any(finding.severity == "error" for finding in found):
            yield from check_limits(
                content, use.classes or (), self.cfg, self.split, self.coco_metrics
            )
        sizes = {
            image["file_name"]: (image.get("width"), image.get("height"))
            for image in self._chosen(content["images"])
            if isinstance(image, dict) and isinstance(image.get("file_name"), str)
        }
        del content  # gigabytes, in a large set
        yield from self._check_pictures(built.data_prefix["img"], sizes, "img")
        if seg := built.data_prefix.get("seg"):
            pairs = {name: f"{name.rpartition('.')[0]}.png" for name in sizes}
            heads = dict(parts(self.cfg.model)).get("roi_head.semantic_head") or {}
            use = LabelUse(
                heads.get("num_classes"),
                own_classes=False,
                backend="cv2",
                obey_exif=self.obey_exif,
                key=self.key,
            )
            for finding in check_labels(built.data_prefix["img"], seg, pairs, use):
                cure = f"{finding.cure} ({self.key}.data_prefix.seg){STUFF}"
                yield replace(finding, cure=cure)

    def _check_segmentation(self, built: BaseDataset) -> Iterator[Finding]:
        images = built.data_prefix.get("img_path") or ""
        labels = built.data_prefix.get("seg_map_path")
        names = [*self._chosen(self._names(built, images))]
        if not names:
            others = sorted({Path(name).suffix for name in list_files(images)})
            what = f"has no {built.img_suffix} file, only {', '.join(others)}"
            cure = f"set {self.key}.img_suffix to the suffix of the pictures"
            yield Finding("error", images, what, cure)
            return
        prefix = "data_prefix.img_path"
        yield from self._check_pictures(images, dict.fromkeys(names), prefix)
        if not self.scored:
            return
        classes = built.metainfo.get("classes")
        if classes is None:
            what = "has no class names"
            cure = f"write {self.key}.metainfo=dict(classes=('...', '...'))"
            yield Finding("error", self.key, what, cure)
        if not labels:
            what, cure = "names no label maps", "set data_prefix.seg_map_path"
            yield Finding("error", self.key, what, cure)
            return
        for loader in self.loaders:
            reduce = loader.get("reduce_zero_label")
            if reduce not in (None, built.reduce_zero_label):
                what = f"LoadAnnotations has reduce_zero_label={reduce}, the dataset "
                what += f"{built.reduce_zero_label}, at which mmseg stops"
                cure = "write it in the dataset alone"
                yield Finding("error", f"{self.key}.pipeline", what, cure)
        head = self.cfg.model.get("decode_head") or {}
        head = head[-1] if isinstance(head, list) else head
        use = LabelUse(
            len(classes) if classes else None,
            own_classes="classes" in (self.dataset.get("metainfo") or {}),
            reduce_zero_label=built.reduce_zero_label,
            label_map=built.label_map,
            ignore_index=head.get("ignore_index", 255),
            backend=next(
                (
                    p["imdecode_backend"]
                    for p in self.loaders
                    if "imdecode_backend" in p
                ),
                "pillow",
            ),
            obey_exif=self.obey_exif,
            key=self.key,
        )
        ending = len(built.img_suffix)
        pairs = {name: name[:-ending] + built.seg_map_suffix for name in names}
        yield from check_labels(images, labels, pairs, use)
        whole = not built.ann_file and self.dataset.get("indices") is None
        if whole and not os.path.samefile(images, labels):
            maps = [n for n in list_files(labels) if n.endswith(built.seg_map_suffix)]
            alone = {*maps} - {*pairs.values()}
            what = "label maps without a picture of their name, which are not used"
            cure = f"copy the pictures to {images}, or take the label maps away"
            if alone:
                yield Finding("warning", labels, what, cure, len(alone), first(alone))

    def _names(self, built: BaseDataset, images: str) -> list[str]:
        """Names of pictures, relative to their folder, as BaseSegDataset finds them."""
        if built.ann_file and os.path.isfile(built.ann_file):
            lines = Path(built.ann_file).read_text().splitlines()
            return [line.strip() + built.img_suffix for line in lines]
        return [name for name in list_files(images) if name.endswith(built.img_suffix)]

    def _check_pictures(
        self, folder: str, sizes: Mapping[str, tuple | None], prefix: str
    ) -> Iterator[Finding]:
        key = f"{self.key}.data_prefix.{prefix.removeprefix('data_prefix.')}"
        reading: dict[str, Any] = dict(obey_exif=self.obey_exif, decoder=self.decoder)
        yield from check_pictures(folder, sizes, key=key, **reading)
        files = list_files(folder)
        found = {os.path.join(folder, n): files[n] for n in sizes if n in files}
        self.pictures = {os.path.realpath(path): size for path, size in found.items()}

    def _chosen(self, items: list) -> list:
        """The items that ``indices`` keeps."""
        indices = self.dataset.get("indices")
        if indices is None:
            return items
        if isinstance(indices, int):
            return items[:indices] if indices >= 0 else items[indices:]
        return [items[i] for i in indices if i < len(items)]
