"""What is wrong with pictures in folders of classes or in a list, as mmpretrain's.

Its ``CustomDataset`` and what derives from it: for classification, and without labels
for SimMIM.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.dataset import BaseDataset, Compose

from mmswinv2.models.blocks import PATCH_SIZE
from mmswinv2.own_data.files import list_files

from .findings import Finding, first
from .heads import kind_of
from .pictures import check_pictures, sample

LISTED = 1_000_000  # pictures of a list that are looked for; some have 14 million
COMPARED = 200_000  # pictures of a set from which on no other set is compared with it


class FolderCheck:
    """Looks at the pictures and classes of a dataset of mmpretrain.

    Args:
        built (BaseDataset): The dataset, not initialised.
        head_classes (int, optional): Classes that the model tells apart.
        obey_exif (bool): Whether the pipeline turns pictures as their EXIF data say.
        decoder (str): The pipeline's, 'cv2' or 'pillow'.
        key (str): The config's key of the dataset.

    Attributes:
        folders (list[str]): Names of folders of classes, in the order of labels.
        pictures (dict[str, int]): Bytes by path, of sets that are not too large.
        num_classes (int, optional): How many there are, where that is known.
        classes_from (str): What says so.
        example (dict | None): What the pipeline gets for one of the pictures.
    """

    def __init__(
        self,
        built: BaseDataset,
        *,
        head_classes: int | None,
        obey_exif: bool,
        decoder: str,
        key: str,
    ) -> None:
        self.built, self.key = built, key
        self.head_classes = head_classes
        self.obey_exif, self.decoder = obey_exif, decoder
        self.folder = os.path.normpath(built.img_prefix)
        self.folders: list[str] = []
        self.pictures: dict[str, int] = {}
        names = built.metainfo.get("classes")
        self.names = [*names] if names else []
        self.num_classes = len(self.names) or None
        self.classes_from = ""
        self.example: dict | None = None

    def findings(self) -> Iterator[Finding]:
        """All about this dataset."""
        cure = f"set {self.key}.data_root and data_prefix to where pictures are"
        if not os.path.isdir(self.folder):
            yield Finding("error", self.folder, "is no folder", cure)
            return
        if self.built.ann_file or not self._is_plain:
            yield from self._check_list()
            return
        files = list_files(self.folder)
        names = [
            name
            for name in files
            if self.built.is_valid_file(name)
            and not os.path.basename(name).startswith(".")
        ]
        if self.built.with_label:
            names = [name for name in names if os.path.dirname(name)]
        if not names:
            inside = " in folders of classes" if self.built.with_label else ""
            what = f"has no pictures{inside} ({self._suffixes()})"
            yield Finding("error", self.folder, what, cure)
            return
        others = {name for name in files if not self.built.is_valid_file(name)}
        others = {n for n in others if not os.path.basename(n).startswith(".")}
        if others:
            what = f"files that are not read, as none of {self._suffixes()}"
            cure = f"convert them, or set {self.key}.extensions"
            yield Finding(
                "warning", self.folder, what, cure, len(others), first(others)
            )
        if self.built.with_label:
            yield from self._check_classes({n.partition(os.sep)[0] for n in names})
        yield from self._check_pictures(names, files)

    def _suffixes(self) -> str:
        return " ".join(sorted(self.built.extensions))

    @property
    def _is_plain(self) -> bool:
        """Whether folders and lists are read by mmpretrain, not by own rules."""
        reader = type(self.built).load_data_list.__module__
        return reader == "mmpretrain.datasets.custom"

    def _check_classes(self, filled: set[str]) -> Iterator[Finding]:
        """Folders, each a label by its rank, against the names of classes."""
        with os.scandir(self.folder) as entries:
            self.folders = sorted(entry.name for entry in entries if entry.is_dir())
        count, names = len(self.folders), self.names
        if not names:
            self.num_classes, self.classes_from = count, self.folder
        elif len(names) != count:
            known = {*self.folders} & {*names}
            other = {*self.folders} ^ {*names} if known else ()
            what = f"has {count} folders of classes, but the dataset names {len(names)}"
            cure = (
                "make one folder for each; their ranks are the labels, so that one too "
                "many or too few moves those after it"
            )
            yield Finding("error", self.folder, what, cure, examples=first(other))
        elif names != self.folders and {*names} == {*self.folders}:
            what = f"{self.key} names classes in another order than their folders have"
            cure = f"sort them: {', '.join(self.folders[:4])} and so on"
            yield Finding("error", self.folder, what, cure)
        if all(name.isdecimal() for name in self.folders):
            yield from self._check_numbers()
        if empty := {*self.folders} - filled:
            what, cure = "folders of classes without a picture", "add pictures"
            yield Finding("warning", self.folder, what, cure, len(empty), first(empty))

    def _check_numbers(self) -> Iterator[Finding]:
        """Numbers, which are sorted as text."""
        pairs = zip(self.folders, sorted(self.folders, key=int))
        for label, (name, expected) in enumerate(pairs):
            if name == expected:
                continue
            digits = len(max(self.folders, key=len))
            what = f"has numbers for names, sorted as text: label {label} is {name!r}"
            cure = (
                f"call it {name.zfill(digits)!r} and so on, for labels that are these "
                f"numbers, or write a list as {self.key}.ann_file"
            )
            # Where folders name the classes, predictions are called right all the same.
            named = bool(self.names) and self.names != self.folders
            yield Finding("error" if named else "warning", self.folder, what, cure)
            return

    def _check_list(self) -> Iterator[Finding]:
        """Labels and files of a list, or of a dataset with rules of its own."""
        where = self.built.ann_file or self.folder
        try:
            data = self.built.load_data_list()
        except Exception as error:  # whatever a dataset raises
            cure = "see what the dataset expects"
            if self.built.ann_file and self._is_plain:
                cure = "write a picture's path and, after a space, its label a line"
            yield Finding("error", where, f"cannot be read: {error}", cure)
            return
        if not data:
            yield Finding("error", where, "lists no pictures", "write them into it")
            return
        classes = self.num_classes or self.head_classes
        labels = {item["gt_label"] for item in data if "gt_label" in item}
        if classes and (beyond := sorted(x for x in labels if not 0 <= x < classes)):
            what = f"labels out of range, which is 0 to {classes - 1}"
            cure = (
                "count classes from 0, and set model.head.num_classes to their number"
            )
            yield Finding("error", where, what, cure, len(beyond), first(beyond))
        yield from _check_twice(data, where)
        data = sample(data, LISTED)
        names = [os.path.relpath(item["img_path"], self.folder) for item in data]
        paths = {name: os.path.join(self.folder, name) for name in names}
        files = {n: os.path.getsize(p) for n, p in paths.items() if os.path.isfile(p)}
        if len(files) < len(paths):  # what else is there tells why
            files = list_files(self.folder)
        yield from self._check_pictures(names, files)

    def _check_pictures(
        self, names: Sequence[str], files: Mapping[str, int]
    ) -> Iterator[Finding]:
        yield from check_pictures(
            self.folder,
            dict.fromkeys(names),
            key=f"{self.key}.data_prefix",
            obey_exif=self.obey_exif,
            decoder=self.decoder,
            files=files,
        )
        self.example = dict(img_path=os.path.join(self.folder, names[0]), sample_idx=0)
        if self.built.with_label:
            self.example["gt_label"] = 0
        if len(names) <= COMPARED:
            paths = {
                os.path.join(self.folder, n): files[n] for n in names if n in files
            }
            self.pictures = {os.path.realpath(p): size for p, size in paths.items()}


def _check_twice(data: Sequence[Mapping], where: str) -> Iterator[Finding]:
    """Pictures that a list names with several labels."""
    labels: dict[str, Any] = {}
    twice = {
        item["img_path"]
        for item in data
        if labels.setdefault(item["img_path"], item.get("gt_label"))
        != item.get("gt_label")
    }
    if twice:
        what, cure = "pictures with several labels", "write one line for each"
        yield Finding("warning", where, what, cure, len(twice), first(twice))


def compare_folders(
    train: Sequence[str], val: Sequence[str], key: str
) -> Iterator[Finding]:
    """Folders of classes that are not the same in training and validation.

    Args:
        train (Sequence[str]): Their names in training.
        val (Sequence[str]): Their names in validation.
        key (str): The config's key of the validation set.
    """
    if other := {*train} ^ {*val}:
        what = (
            f"has {len(val)} folders of classes, training {len(train)}, and "
            f"{len(other)} are in one of them only"
        )
        cure = (
            "make the same in both, an empty one where a class has no picture: their "
            "ranks are the labels"
        )
        yield Finding("error", key, what, cure, examples=first(other))


def _check_labels(
    loads: bool, labelled: bool, model: Mapping, where: str
) -> Iterator[Finding]:
    """What Token Labeling needs of a pipeline."""
    if not loads:
        what = "loads no label maps"
        cure = (
            "add mmswinv2.LoadTokenLabels after LoadImageFromFile, and its fields to "
            "the algorithm_keys of PackInputs"
        )
        yield Finding("error", where, what, cure)
    if model.get("class_target") == "label" and not labelled:
        what = "has no labels, which model.class_target='label' needs"
        cure = "write with_label=True into the data set, or class_target='map'"
        yield Finding("error", where, what, cure)


def try_pipeline(
    dataset: Mapping, example: dict, model: Mapping, key: str
) -> Iterator[Finding]:
    """Sends a picture through a pipeline, to see whether it and SimMIM's masks fit.

    Args:
        dataset (Mapping): The config's.
        example (dict): What the pipeline gets.
        model (Mapping): The config's.
        key (str): The config's key of the dataset.
    """
    where = f"{key}.pipeline"
    try:
        pipeline = Compose(copy.deepcopy(dataset.get("pipeline", ())))
        packed = pipeline(dict(example))
    except ImportError:
        return  # what is missing is said where transforms are built
    except Exception as error:  # whatever a transform raises
        reason = f"nothing has set {error} before" if type(error) is KeyError else error
        what = f"fails on {example['img_path']}: {reason}"
        yield Finding("error", where, what, "change the transform that says so")
        return
    samples = packed.get("data_samples")
    if samples is None:
        what = "does not end with PackInputs, or another that packs data_samples"
        yield Finding("error", where, what, "add dict(type='PackInputs') at its end")
        return
    if kind_of(model) == "TokenLabelingClassifier" and key.startswith("train"):
        # those that load maps check their own fields
        loads = any(hasattr(step, "check_run") for step in pipeline.transforms)
        yield from _check_labels(loads, "gt_label" in samples, model, where)
    if model.get("store") and "teacher_features" not in samples:
        what = f"loads no features, which model.store={model['store']!r} promises"
        cure = (
            "add mmswinv2.LoadTeacherFeatures before PackInputs and its fields to the "
            "algorithm_keys of that, or leave model.store out"
        )
        yield Finding("error", where, what, cure)
    if kind_of(model) != "SimMIM":
        return
    height, width = packed["inputs"].shape[-2:]
    mask = samples.get("mask")
    stride = (model.get("neck") or {}).get("encoder_stride", 1)
    tokens = (height // PATCH_SIZE, width // PATCH_SIZE)
    if mask is None:
        what, cure = "masks nothing", "add mmswinv2.RandomPatchMask before PackInputs"
        yield Finding("error", where, what, cure)
    elif tuple(mask.shape) != tokens:
        what = f"has masks of {tuple(mask.shape)} tokens for pictures of {tokens}"
        cure = "put RandomPatchMask after all transforms that change the size"
        yield Finding("error", where, what, cure)
    elif height % stride or width % stride:
        what = f"gives pictures of {width} x {height} px, which the decoder cannot fill"
        cure = f"choose a multiple of model.neck.encoder_stride={stride}"
        yield Finding("error", where, what, cure)
