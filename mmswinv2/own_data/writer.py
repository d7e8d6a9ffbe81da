"""The text of a config, from what was decided."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmswinv2.apis import CONFIG_DIR

from .choices import Choice
from .rendering import WIDTH, Code, assign, commented

MOST_CLASSES = 240  # characters; more names go into a file of their own


@dataclass(frozen=True)
class Draft:
    """All that a config says.

    Attributes:
        head (str): The comment in the first line.
        bases (Sequence[str]): Files in configs/_base_.
        choices (Mapping[str, Choice | None]): By the names of their variables.
        constants (Mapping[str, object]): Other variables.
        classes (tuple[str, ...]): Names.
        model (dict): Changes to the model.
        train (dict): What the training set's dataset gets.
        val (dict): What the validation set's dataset gets.
        evaluator (dict): What the evaluator gets.
        resizes (tuple[int, int]): Places of Resize in the pipelines.
        crop (int, optional): Place of RandomCrop in the training pipeline.
        optimizer (dict): What optim_wrapper gets beside the learning rate.
        load_from (str, optional): A checkpoint to start from.
        nano (bool): Whether the run is a small one on a CPU.
    """

    head: str
    bases: Sequence[str]
    choices: Mapping[str, Choice | None]
    constants: Mapping[str, object]
    classes: tuple[str, ...]
    model: dict
    train: dict
    val: dict
    evaluator: dict | None
    resizes: tuple[int, int]
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
    bases = [_base(name, out) for name in draft.bases]
    names = _classes(draft, out)
    if names:
        bases.append(f"./{names.name}")
    lines = [f"# {draft.head}"[:WIDTH], *assign("_base_", bases)]
    for name, value in draft.constants.items():
        lines += assign(name, value)
    lines += assign("classes", Code("_base_.classes") if names else draft.classes)
    for name, choice in draft.choices.items():
        if choice is not None:
            lines += commented(name, choice.value, choice.reason)
    if draft.load_from:
        lines += assign("load_from", draft.load_from)
    lines += ["", *assign("model", draft.model), *_pipelines(draft)]
    if draft.nano:
        workers = dict(num_workers=0, persistent_workers=False)
        lines += commented("workers", workers, "the pictures are small")
    more = " **workers," if draft.nano else ""
    dataset = "dict(metainfo=dict(classes=classes), pipeline={}_pipeline, **{})"
    lines += [*assign("train", draft.train), *assign("val", draft.val)]
    lines += [
        "train_dataloader = dict(",
        f"    batch_size=batch_size,{more}",
        f"    dataset={dataset.format('train', 'train')},",
        ")",
    ]
    rest = f"    {more}\n".replace("\n", "").rstrip()
    lines += [
        "val_dataloader = test_dataloader = dict(",
        *([rest] if draft.nano else []),
        f"    dataset={dataset.format('test', 'val')},",
        ")",
    ]
    if draft.evaluator:
        lines += assign("val_evaluator = test_evaluator", draft.evaluator)
    wrapper = dict(optimizer=dict(lr=Code("lr"))) | (draft.optimizer or {})
    lines += assign("optim_wrapper", wrapper)
    lines += assign("auto_scale_lr", dict(base_batch_size=Code("batch_size")))
    lines += [
        "param_scheduler = _base_.param_scheduler",
        "param_scheduler[0].end = param_scheduler[1].begin = warmup",
        "param_scheduler[1].end = iterations",
    ]
    tenth = Code("max(iterations // 10, 1)")
    loop = dict(max_iters=Code("iterations"), val_interval=tenth)
    lines += assign("train_cfg", loop)
    hooks = dict(checkpoint=dict(interval=tenth))
    if draft.nano:
        hooks = dict(logger=dict(interval=10)) | hooks
    lines += assign("default_hooks", hooks)
    return "\n".join(lines) + "\n"


def _pipelines(draft: Draft) -> list[str]:
    train, test = draft.resizes
    lines = [
        "train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline",
        f"train_pipeline[{train}].scale = test_pipeline[{test}].scale = scale",
    ]
    if draft.crop is not None:
        lines.append(f"train_pipeline[{draft.crop}].crop_size = crop_size")
    return lines


def _classes(draft: Draft, out: Path) -> Path | None:
    """File of the names of classes, if they are many."""
    if len(repr(draft.classes)) <= MOST_CLASSES:
        return None
    return out.with_name(f"{out.stem}_classes.py")


def class_file(draft: Draft, out: Path) -> tuple[Path, str] | None:
    """The file of the names of classes and its text, if the config needs one."""
    path = _classes(draft, out)
    if path is None:
        return None
    lines = [f"# Classes of {out.name}.", *assign("classes", draft.classes)]
    return path, "\n".join(lines) + "\n"


def _base(name: str, out: Path) -> str:
    """A base as the config names it: relative inside the project, else absolute."""
    file = CONFIG_DIR / "_base_" / f"{name}.py"
    here = out.resolve().parent
    if here.is_relative_to(CONFIG_DIR.parent):
        return Path(os.path.relpath(file, here)).as_posix()
    return file.as_posix()
