"""The text of a config, from what was decided."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmswinv2.places import CONFIG_DIR, ROOT

from .choices import Choice
from .rendering import WIDTH, Code, assign, commented

LINES = 40  # of a config
WIDTHS = (WIDTH, 100, 120, 150, 200)  # characters, where lines are too many
MOST_CLASSES = 4 * WIDTH  # characters; more names go into a file of their own
INLINE = ("lr", "warmup")  # choices that are no variables


@dataclass(frozen=True)
class Draft:
    """All that a config says.

    Attributes:
        head (str): The comment in the first line.
        bases (Sequence[str]): Files in configs/_base_.
        choices (Mapping[str, Choice | None]): By the names of their variables.
        classes (tuple[str, ...]): Names.
        model (dict): Changes to the model.
        variables (dict): What changes to the model name, without a reason of its own.
        data_root (str): Folder of all data.
        data (dict): What both datasets get.
        train (dict): What the dataset to train on gets.
        val (dict): What the dataset to validate with gets.
        ann_file (str | Code, optional): What the evaluator reads.
        crop (int, optional): Place of RandomCrop in the training pipeline.
        optimizer (dict): What optim_wrapper gets beside the learning rate.
        load_from (str, optional): A checkpoint to start from.
        nano (bool): Whether the run is a small one on a CPU.
    """

    head: str
    bases: Sequence[str]
    choices: Mapping[str, Choice | None]
    classes: tuple[str, ...]
    model: dict
    variables: dict
    data_root: str
    data: dict
    train: dict
    val: dict
    ann_file: str | Code | None = None
    crop: int | None = None
    optimizer: dict | None = None
    load_from: str | None = None
    nano: bool = False


def write(draft: Draft, out: Path) -> str:
    """The config's text, in at most 40 lines.

    Args:
        draft (Draft): All that it says.
        out (Path): Where it will be, to which the bases are relative.
    """
    for width in WIDTHS:
        lines = _lines(draft, out, width)
        if len(lines) <= LINES:
            break
    return "\n".join(lines) + "\n"


def class_file(draft: Draft, out: Path) -> tuple[Path, str] | None:
    """The file of the names of classes and its text, if there are many."""
    if len(repr(draft.classes)) <= MOST_CLASSES:
        return None
    lines = [f"# Classes of {out.name}.", *assign("classes", draft.classes)]
    return out.with_name(f"{out.stem}_classes.py"), "\n".join(lines) + "\n"


def _lines(draft: Draft, out: Path, width: int) -> list[str]:
    lines = [f"# {draft.head}"]

    def add(name: str, value: object, reason: str = "") -> None:
        lines.extend(commented(name, value, reason, width))

    bases = [_base(name, out) for name in draft.bases]
    classes = draft.classes
    if names := class_file(draft, out):
        bases.append(f"./{names[0].name}")
        classes = Code("_base_.classes")
    add("_base_", bases)
    add("data_root", draft.data_root)
    add("classes", classes)
    for name, choice in draft.choices.items():
        if choice is not None and name not in INLINE:
            add(name, choice.value, choice.reason)
    for name, value in draft.variables.items():
        add(name, value)
    if draft.load_from:
        add("load_from", draft.load_from)
    add("model", draft.model)
    pipelines = Code("_base_.train_pipeline, _base_.test_pipeline")
    add("train_pipeline, test_pipeline", pipelines)
    add("train_pipeline[2].scale = test_pipeline[1].scale", Code("scale"))
    if draft.crop is not None:
        add(f"train_pipeline[{draft.crop}].crop_size", Code("crop_size"))
    shared = dict(data_root=Code("data_root"), metainfo=dict(classes=Code("classes")))
    add("data", shared | draft.data)
    loader: dict = {}
    if draft.nano:
        loader = dict(num_workers=0, persistent_workers=False)
        add("workers", loader, "the pictures are small")
        loader = {"**workers": None}
    for name, dataset in dict(train=draft.train, val=draft.val).items():
        add(name, {"**data": None} | dataset)
    dataset = {"**train": None, "pipeline": Code("train_pipeline")}
    batch = dict(batch_size=Code("batch"))
    add("train_dataloader", batch | loader | dict(dataset=dataset))
    dataset = {"**val": None, "pipeline": Code("test_pipeline")}
    add("val_dataloader", loader | dict(dataset=dataset))
    add("test_dataloader", Code("val_dataloader"))
    if draft.ann_file:
        add("val_evaluator = test_evaluator", dict(ann_file=draft.ann_file))
    rate: Any = draft.choices["lr"]
    warmup: Any = draft.choices["warmup"]
    wrapper = dict(optimizer=dict(lr=rate.value)) | (draft.optimizer or {})
    add("optim_wrapper", wrapper, rate.reason)
    add("auto_scale_lr", dict(base_batch_size=Code("batch")))
    add("param_scheduler", Code("_base_.param_scheduler"))
    ends = "param_scheduler[0].end = param_scheduler[1].begin"
    add(ends, warmup.value, warmup.reason)
    add("interval", Code("max(iterations // 10, 1)"), "evaluations and checkpoints")
    loop = dict(max_iters=Code("iterations"), val_interval=Code("interval"))
    add("train_cfg", loop)
    hooks = dict(checkpoint=dict(interval=Code("interval")))
    add(
        "default_hooks", dict(logger=dict(interval=10)) | hooks if draft.nano else hooks
    )
    return lines


def _base(name: str, out: Path) -> str:
    """A base as the config names it: relative inside the project, else absolute."""
    file = CONFIG_DIR / "_base_" / f"{name}.py"
    here = out.resolve().parent
    if here.is_relative_to(ROOT):
        return Path(os.path.relpath(file, here)).as_posix()
    return file.as_posix()
