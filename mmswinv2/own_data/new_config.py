"""From a command line and data to a config and a page."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mmswinv2.checkpoints.whole_files import UnsavedError, write_whole
from mmswinv2.checkpoints.zoo import find_entry
from mmswinv2.checkpoints.zoo_entries import SCHEME

from .checks.annotations import CocoUse
from .checks.coco import check_coco
from .checks.findings import raise_errors
from .choices import Choice
from .classes import choose_classes
from .draft_coco import draft_coco
from .draft_labels import draft_labels
from .files import read_coco
from .page import coco_page, labels_page
from .rendering import Code
from .split import split_coco, split_names
from .survey_coco import find_pictures, survey_coco
from .survey_labels import find_pairs, survey_labels
from .wishes import Wishes
from .writer import Draft, class_file, write

WEIGHTS = {
    "tiny": "tiny-w8-256",
    "small": "small-w8-256",
    "base": "base-w12-192-22k",
    "large": "large-w12-192-22k",
}
GIB = 2**30
USUAL_MEMORY = 24.0  # GiB
LARGEST_SCALE = 4096  # px; planning larger ones takes minutes, training them days


def new_coco(args: argparse.Namespace) -> None:
    """Writes a config for a set in COCO's format."""
    wishes = _wishes(args)
    files = [args.train, args.val]
    content = _read_sound(args.train)
    find_pictures(content, args.images)
    train, told = content, [args.train, args.val]
    pictures = [args.images, args.val_images or args.images]
    if args.val:
        val = _read_sound(args.val)
        find_pictures(val, pictures[1])
    elif args.val_images:
        raise ValueError("--val-images needs --val, the annotations of these pictures")
    else:
        names = [image["file_name"] for image in content["images"]]
        parts = split_names(names, args.val_share, args.group)
        train, val = (split_coco(content, part) for part in parts)
        files = [_beside(args, f"{part}.json") for part in ("train", "val")]
        told = [f"{file} (a part of {args.train}; see --val-share)" for file in files]
    surveys = dict(train=survey_coco(train, told[0]), val=survey_coco(val, told[1]))
    root = _root([args.train, args.val or args.train, *pictures])
    sets: list[dict[str, Any]] = [
        dict(ann_file=_place(file, root), data_prefix=dict(img=_place(folder, root)))
        for file, folder in zip(files, pictures)
    ]
    places = dict(data_root=root, data={}, train=sets[0], val=sets[1])
    if pictures[0] == pictures[1]:
        places["data"] = dict(data_prefix=sets[0].pop("data_prefix"))
        del sets[1]["data_prefix"]
    ann_file = Code('data_root + val["ann_file"]')
    if Path(sets[1]["ann_file"]).is_absolute():
        ann_file = Code('val["ann_file"]')
    places["ann_file"] = ann_file
    draft, chosen = draft_coco(surveys["train"], surveys["val"], wishes, places)
    _write(args, draft)
    if not args.val:
        for file, part in zip(files, (train, val)):
            write_whole(file, json.dumps(part))
    console = Console(highlight=False)
    coco_page(console, surveys, chosen)
    unused = [name for name in surveys["train"].classes if name not in draft.classes]
    if unused:
        console.print(f"Classes without objects, left out: {', '.join(unused)}")
    _next(console, args)


def new_labels(args: argparse.Namespace) -> None:
    """Writes a config for pictures with label maps."""
    wishes = _wishes(args)
    if (args.val_images is None) != (args.val_labels is None):
        raise ValueError("--val-images and --val-labels need each other")
    folders = [(args.images, args.labels)] * 2
    pairs = [find_pairs(args.images, args.labels)] * 2
    names = [list(pairs[0].names)] * 2
    listed = bool(pairs[0].unlabelled)
    if args.val_images:
        folders[1] = args.val_images, args.val_labels
        pairs[1] = find_pairs(*folders[1])
        names[1] = list(pairs[1].names)
        listed = listed or bool(pairs[1].unlabelled)
        ends = [(pair.img_suffix, pair.seg_map_suffix) for pair in pairs]
        if ends[0] != ends[1]:
            raise ValueError(
                f"names end in {' and '.join(ends[0])} in {args.images} and "
                f"{args.labels}, but in {' and '.join(ends[1])} in {args.val_images} "
                f"and {args.val_labels}; rename them, a config has one pair of endings"
            )
    else:
        names = list(split_names(names[0], args.val_share, args.group))
        listed = True
    surveys = {
        part: survey_labels(pair, *folder, chosen)
        for part, pair, folder, chosen in zip(("train", "val"), pairs, folders, names)
    }
    values = sorted({*surveys["train"].labels, *surveys["val"].labels})
    classes = choose_classes(
        values, args.classes, args.labels, ignore_zero=args.ignore_zero
    )
    root = _root([folder for both in folders for folder in both])
    lists = [_beside(args, f"{part}.txt") for part in ("train", "val")]
    data: dict = {}
    if pairs[0].img_suffix != ".jpg":
        data |= dict(img_suffix=pairs[0].img_suffix)
    if pairs[0].seg_map_suffix != ".png":
        data |= dict(seg_map_suffix=pairs[0].seg_map_suffix)
    if classes.first:
        data |= dict(reduce_zero_label=True)
    prefixes = [
        dict(img_path=_place(images, root), seg_map_path=_place(labels, root))
        for images, labels in folders
    ]
    sets = [dict(ann_file=_place(file, root)) if listed else {} for file in lists]
    if prefixes[0] == prefixes[1]:
        data |= dict(data_prefix=prefixes[0])
    else:
        sets = [s | dict(data_prefix=prefix) for s, prefix in zip(sets, prefixes)]
    places = dict(data_root=root, data=data, train=sets[0], val=sets[1])
    count = len(names[0]), len(names[1])
    pictures = surveys["train"].pictures
    draft, chosen = draft_labels(pictures, classes.names, count, wishes, places)
    _write(args, draft)
    if listed:
        for file, part in zip(lists, names):
            write_whole(file, "\n".join(part) + "\n")
    console = Console(highlight=False)
    numbered = dict(enumerate(classes.names, classes.first))
    labels_page(console, surveys, numbered, {"classes": _count(classes)} | chosen)
    for pair, (folder, _) in {pairs[0]: folders[0], pairs[1]: folders[1]}.items():
        if pair.others:
            console.print(
                f"{pair.others} pictures in {folder} do not end in {pair.img_suffix} "
                "as most do: left out"
            )
    _next(console, args)


def _count(classes: Any) -> Choice:
    return Choice(len(classes.names), classes.reason)


def _wishes(args: argparse.Namespace) -> Wishes:
    """What the command line asks for.

    Raises:
        ValueError: It cannot be had, or the config is there already.
    """
    if args.method not in (None, *args.methods):
        known = ", ".join(args.methods)
        raise ValueError(f"--method {args.method}: expected one of {known}")
    # one batch of warm-up and one after it; a token of the last stage
    least = dict(memory=0.1, scale=32, window=1, batch=1, iterations=2)
    for name, bound in least.items():
        value = getattr(args, name)
        if value is not None and value < bound:
            raise ValueError(f"--{name} {value}: expected {bound} or more")
    if args.scale and args.scale > LARGEST_SCALE:
        raise ValueError(f"--scale {args.scale}: expected {LARGEST_SCALE} px or less")
    if args.out.suffix != ".py":
        raise ValueError(f"--out {args.out}: a config is a .py file")
    if args.out.exists() and not args.force:
        raise ValueError(f"{args.out} is there already; --force replaces it")
    weights = args.weights or WEIGHTS.get(args.arch, "none")
    if weights == "none":
        weights = None
    elif not Path(weights).exists() and "://" not in weights.removeprefix(SCHEME):
        weights = SCHEME + find_entry(weights).name
    return Wishes(
        arch=args.arch,
        weights=weights,
        memory=args.memory or _memory(),
        method=args.method,
        scale=args.scale,
        window=args.window,
        batch=args.batch,
        iterations=args.iterations,
        load_from=args.load_from,
    )


def _memory() -> float:
    if not torch.cuda.is_available():
        return USUAL_MEMORY
    return round(torch.cuda.get_device_properties(0).total_memory / GIB, 1)


def _read_sound(path: Path) -> dict:
    """The content of an annotation file without faults that would stop a run."""
    content = read_coco(path)
    raise_errors(check_coco(content, str(path), CocoUse()))
    return content


def _root(paths: Sequence[Path]) -> str:
    """The folder that all of them are in, with a slash at its end; '' for none."""
    folders = [str(path if path.is_dir() else path.parent) for path in paths]
    try:
        root = os.path.commonpath(folders)
    except ValueError:  # absolute and relative ones
        return ""
    return f"{root}/" if root not in ("", "/", ".") else ""


def _place(path: Path, root: str) -> str:
    """A path from the root of the data, or an absolute one where it is not in there."""
    text = path.as_posix()
    if not root:
        return text
    if (text + "/").startswith(root):
        return text.removeprefix(root.rstrip("/")).lstrip("/")
    if path.is_absolute() or Path(root).is_absolute():
        return path.absolute().as_posix()
    return Path(os.path.relpath(path, root)).as_posix()


def _beside(args: argparse.Namespace, end: str) -> Path:
    return (args.split_dir or args.out.parent) / f"{args.out.stem}_{end}"


def _write(args: argparse.Namespace, draft: Draft) -> None:
    text = write(draft, args.out)
    try:
        for folder in (args.out.parent, args.split_dir or args.out.parent):
            folder.mkdir(parents=True, exist_ok=True)
        write_whole(args.out, text)
        if names := class_file(draft, args.out):
            write_whole(*names)
    except (OSError, UnsavedError) as error:
        raise ValueError(f"--out {args.out} cannot be written: {error}") from error


def _next(console: Console, args: argparse.Namespace) -> None:
    console.print(f"Wrote {args.out}. Train with: python tools/train.py {args.out}")
