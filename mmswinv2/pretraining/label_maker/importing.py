"""Label maps that others have published, one file each, into a store."""
# K classes, k kept of them, h w map in tokens

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from torch.utils.data import DataLoader, Dataset

from mmswinv2.checkpoints.files import read_tensor
from mmswinv2.cli.out_dir import make_folder
from mmswinv2.cli.progress import progress_bar
from mmswinv2.cli.work_dir_lock import WorkDirLock
from mmswinv2.pretraining.map_store import (
    CENTRE_SQUARE,
    TOKEN_LABELS,
    MapSpec,
    MapStore,
    TokenLabelMap,
    begin_store,
    find_pictures,
)

from .making import finish

SUFFIX = ".pt"
BLOCK = 256  # maps written at once
EXACT = 2048  # whole numbers from 0 on that fp16 holds
TEACHER = dict(kind="published", name="dm_nfnet_f6", weights="unknown")


def read_published(file: str | Path, classes: int) -> TokenLabelMap:
    """A map of LV-ViT's authors: fp16 ``(2, k, h, w)``, logits and class ids.

    Args:
        file (str | Path): Written by ``torch.save``; no code in it is run.
        classes (int): K.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, of another shape, or an id is no class.
    """
    tensor = read_tensor(Path(file), str(file))
    if tensor.ndim != 4 or len(tensor) != 2 or not tensor.is_floating_point():
        raise ValueError(
            f"{file} has {tensor.dtype} of shape {tuple(tensor.shape)}, expected fp16 "
            "of (2, k, h, w), logits and class ids"
        )
    values, ids = tensor.float().numpy()
    wrong = (ids != np.round(ids)) | (ids < 0) | (ids >= classes)
    if wrong.any():
        raise ValueError(
            f"{file} has {ids[wrong][0]:g} as a class id, expected whole numbers from "
            f"0 to {classes - 1}"
        )
    return TokenLabelMap(values.astype(np.float16), ids.astype(np.int16))


class LabelFiles(Dataset):
    """Published maps by rows of a store.

    Args:
        folder (Path): That files are relative to.
        files (Sequence[str | None]): Of each row.
        spec (MapSpec): What all of them shall be.
    """

    def __init__(
        self, folder: Path, files: Sequence[str | None], spec: MapSpec
    ) -> None:
        self.folder, self.files, self.spec = folder, files, spec
        self.shape = (spec.top_k, *spec.grid)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> tuple[int, TokenLabelMap | str]:
        """A row and its map, or why it has none."""
        file = self.folder / str(self.files[row])  # rows without one are not asked for
        try:
            labels = read_published(file, self.spec.num_classes or 0)
        except (ValueError, FileNotFoundError) as error:
            return row, str(error)
        if labels.values.shape != self.shape:
            found = labels.values.shape
            return row, f"{file} has a map of {found}, others have {self.shape}"
        return row, labels


def import_labels(
    labels: Path,
    data: Path,
    out: Path,
    *,
    classes: int = 1000,
    workers: int = 0,
    console: Console | None = None,
) -> MapStore:
    """Makes a store of published maps, or goes on.

    Args:
        labels (Path): Has for each picture ``<wnid>/<name>.JPEG`` a file
            ``<wnid>/<name>.pt``.
        data (Path): Has the pictures.
        out (Path): Of the store.
        classes (int): Of the maps, K. Defaults to 1000.
        workers (int): Processes that read files. Defaults to 0: this one does.
        console (Console, optional): Where progress is shown. Defaults to stderr.

    Raises:
        FileNotFoundError, ValueError, RuntimeError: In one sentence; maps that are
        missing or damaged are named in ``unreadable.txt``.
    """
    console = console or Console(stderr=True)
    if not 1 <= classes <= EXACT:
        raise ValueError(
            f"--classes is {classes}; expected 1 to {EXACT}, which fp16 holds exactly"
        )
    if workers < 0:
        raise ValueError(f"--workers is {workers}; expected 0 or more")
    pictures = find_pictures(data)
    files = {picture.path: _label_of(picture.path) for picture in pictures}
    extra = sorted({*_find(labels)} - {*files.values()})
    if extra:
        console.print(
            f"warning: maps without a picture in {data}, left out: {len(extra):,}, "
            f"such as {labels / extra[0]}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    there = [f for f in files.values() if (labels / f).is_file()]
    if not there:
        raise FileNotFoundError(
            f"{labels} has no map for any picture in {data}, such as "
            f"{labels / next(iter(files.values()))}; give folders that belong together"
        )
    top_k, *grid = _first_sound(labels, there, classes).values.shape
    spec = MapSpec(
        TOKEN_LABELS,
        TEACHER,
        tuple(grid),
        num_classes=classes,
        top_k=top_k,
        coverage=CENTRE_SQUARE,
    )
    make_folder(out, "--out")
    with WorkDirLock(out, work="makes maps", option="--out"):
        writer = begin_store(out, spec, pictures, block=BLOCK)
        paths = writer.paths()
        faults: dict[str, str] = {}
        blocks = [[r for r in rows if paths[r] is not None] for rows in writer.blocks()]
        pictures = LabelFiles(labels, [p and files[p] for p in paths], spec)
        loader = DataLoader(
            pictures, batch_sampler=blocks, num_workers=workers, collate_fn=list
        )
        done, total = 0, sum(map(len, blocks))
        with progress_bar("", console, unit="maps") as show:
            for found in loader:
                faults |= {paths[row]: m for row, m in found if isinstance(m, str)}
                sound = [(row, m) for row, m in found if not isinstance(m, str)]
                if sound:
                    rows, maps = zip(*sound)
                    values, ids = map(np.stack, zip(*maps))
                    writer.write(rows, dict(values=values, ids=ids))
                done += len(found)
                show(done, total)
        writer.flush()
        return finish(writer, faults, console)


def _first_sound(labels: Path, files: Sequence[str], classes: int) -> TokenLabelMap:
    """What the others shall be like; a damaged one is told with them."""
    for file in files[:-1]:
        try:
            return read_published(labels / file, classes)
        except ValueError:
            continue
    return read_published(labels / files[-1], classes)


def _label_of(path: str) -> str:
    return os.path.splitext(path)[0] + SUFFIX


def _find(labels: Path) -> Iterator[str]:
    if not labels.is_dir():
        raise FileNotFoundError(f"{labels} is no folder; expected one of maps")
    for inside, _, names in os.walk(labels, followlinks=True):
        for name in names:
            if name.endswith(SUFFIX):
                path = os.path.relpath(os.path.join(inside, name), labels)
                yield path.replace(os.sep, "/")
