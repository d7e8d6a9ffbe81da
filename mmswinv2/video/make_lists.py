"""Lists of videos from folders of them, in Kinetics' layout or in one's own."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmswinv2.checkpoints.whole_files import write_whole
from mmswinv2.cli.out_dir import make_folder

from .lists import list_hash, read_classes
from .reading import import_av
from .survey import Surveyed, find_videos, survey

SPLITS = ("train", "val", "test")
ID_LENGTH = 11  # of a video of YouTube, with which names of Kinetics' files begin
UNREADABLE = "unreadable.txt"


@dataclass
class Split:
    """Videos of training, validation or testing.

    Args:
        name (str): Of its list.
        folder (Path): That its paths are relative to.
        names (list[str]): Paths of videos, ``class/file``.
        videos (list[Surveyed]): Those that can be read.
        faulty (list[Surveyed]): The others.
    """

    name: str
    folder: Path
    names: list[str]
    videos: list[Surveyed] = field(default_factory=list)
    faulty: list[Surveyed] = field(default_factory=list)


def class_of(name: str) -> str:
    """The class of a path ``class/file``, '' of a file alone."""
    return name.partition(os.sep)[0] if os.sep in name else ""


def plain(name: str) -> str:
    """A name of a class in the spelling that all copies of Kinetics share."""
    kept = "".join(c for c in name.lower().replace("_", " ") if c not in "\"'()")
    return " ".join(kept.split())


def find_splits(root: Path, val_share: float | None) -> list[Split]:
    """Videos in folders of splits, or in folders of classes, which are split.

    Raises:
        ValueError: If there are none, or both kinds, or classes have no folders.
    """
    if not root.is_dir():
        raise ValueError(f"{root} is no folder; expected one with train/ and val/")
    given = [name for name in SPLITS if (root / name).is_dir()]
    if given and val_share is not None:
        raise ValueError(
            f"{root} has {' and '.join(f'{n}/' for n in given)} already: leave out "
            "--val-share"
        )
    if given:
        splits = [Split(n, root / n, find_videos(root / n)) for n in given]
    elif val_share is None:
        raise ValueError(
            f"{root} has neither train/ nor val/; for folders of classes give "
            "--val-share, such as 0.1"
        )
    else:
        if not 0 < val_share < 1:
            raise ValueError(f"--val-share is {val_share}; expected between 0 and 1")
        names = find_videos(root)
        chosen = choose(names, val_share)
        train = [name for name in names if name not in chosen]
        splits = [Split("train", root, train), Split("val", root, sorted(chosen))]
    for split in splits:
        if not split.names:
            raise ValueError(f"{split.folder} has no videos for {split.name}.txt")
        for name in split.names:
            _check_name(split.folder, name)
        loose = [name for name in split.names if not class_of(name)]
        if loose and (split.name != "test" or len(loose) < len(split.names)):
            raise ValueError(
                f"{split.folder / loose[0]} is in no folder of a class; expected "
                f"{split.folder}/CLASS/{loose[0]}"
            )
    return splits


def _check_name(folder: Path, name: str) -> None:
    """That a line of a text can be this path."""
    text = name.encode(errors="replace").decode()
    if [name.strip()] != text.splitlines():
        raise ValueError(
            f"{folder} has {name!a}, but no list can have a name with a line break, a "
            "space at its start, or bytes that are no UTF-8; rename it"
        )


def choose(names: Iterable[str], share: float) -> set[str]:
    """A share of the videos of each class, the same ones each time; at least one."""
    by_class: dict[str, list[str]] = {}
    for name in names:
        by_class.setdefault(class_of(name), []).append(name)
    chosen: set[str] = set()
    for videos in by_class.values():
        videos.sort(key=lambda name: hashlib.sha256(name.encode()).digest())
        count = max(round(share * len(videos)), 1)
        chosen.update(videos[: min(count, len(videos) - 1)])
    return chosen


def label_folders(splits: Iterable[Split], file: Path | None) -> dict[str, int]:
    """Labels of folders: their places among the names of classes.

    Raises:
        ValueError: If a folder has none of the names in a file.
    """
    folders = sorted({class_of(name) for split in splits for name in split.names})
    folders = [folder for folder in folders if folder]
    if file is None:
        return {folder: label for label, folder in enumerate(folders)}
    labels = {plain(name): label for label, name in enumerate(read_classes(file))}
    if unknown := [folder for folder in folders if plain(folder) not in labels]:
        raise ValueError(
            f"{file} has no class {unknown[0]!r}, of which there is a folder "
            f"({len(unknown)} such folders); rename it, or add the class"
        )
    return {folder: labels[plain(folder)] for folder in folders}


def look(split: Split, workers: int, full: bool) -> None:
    """Opens all videos of a split."""
    found = survey(split.folder, split.names, workers=workers, full=full)
    for video in track(
        found,
        description=f"{split.name}: {len(split.names)} videos",
        total=len(split.names),
        console=Console(stderr=True),
        transient=True,
    ):
        (split.faulty if video.fault else split.videos).append(video)


def write(splits: list[Split], labels: dict[str, int], out: Path) -> None:
    """Writes a list of each split, and of what is left out."""
    for split in splits:
        lines = [
            f"{v.path} {labels[class_of(v.path)]}" if class_of(v.path) else v.path
            for v in split.videos
        ]
        write_whole(out / f"{split.name}.txt", "".join(f"{line}\n" for line in lines))
    faults = [f"{s.folder / v.path}\t{v.fault}\n" for s in splits for v in s.faulty]
    if faults:
        write_whole(out / UNREADABLE, "".join(faults))
    else:
        (out / UNREADABLE).unlink(missing_ok=True)


def show(splits: list[Split], labels: dict[str, int], frames: int) -> None:
    """Prints what is in the lists.

    Args:
        splits (list[Split]): Looked at.
        labels (dict[str, int]): Of folders.
        frames (int): Shorter videos are counted.
    """
    table = Table("", *(f"{split.name}.txt" for split in splits), box=None)
    columns = [_describe(split, labels, frames) for split in splits]
    for row in columns[0]:
        table.add_row(row, *(column[row] for column in columns))
    Console().print(table)


def _describe(split: Split, labels: dict[str, int], frames: int) -> dict[str, str]:
    videos = split.videos
    entries = [(v.path, labels.get(class_of(v.path))) for v in videos]
    return {
        "videos": f"{len(videos):,}",
        "unreadable, left out": f"{len(split.faulty):,}",
        "classes": f"{len({label for _, label in entries} - {None}):,}",
        "hours": f"{sum(v.seconds for v in videos) / 3600:,.1f}",
        "frames": _spread([v.frames for v in videos]),
        "frames a second": _spread([round(v.rate, 2) for v in videos]),
        "shorter side, px": _spread([min(v.width, v.height) for v in videos]),
        f"under {frames} frames": f"{sum(v.frames < frames for v in videos):,}",
        "hash of the list": list_hash(entries),
    }


def _spread(numbers: list[float]) -> str:
    if not numbers:
        return "-"
    least, most = min(numbers), max(numbers)
    if least == most:
        return f"{least:g}"
    return f"{least:g} to {most:g}, median {median(numbers):g}"


def warn_of_classes(splits: list[Split]) -> None:
    """Says which classes are in one list only."""
    by_split = {s.name: {class_of(v.path) for v in s.videos} - {""} for s in splits}
    for name, classes in by_split.items():
        for other, others in by_split.items():
            if classes and (missing := sorted(others - classes)):
                print(
                    f"warning: {name}.txt has no video of {len(missing)} classes that "
                    f"{other}.txt has, such as {missing[0]!r}"
                )


def read_official(files: Iterable[Path]) -> dict[str, str]:
    """Classes by ids of videos, from Kinetics' official csv files.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file has not their columns.
    """
    official: dict[str, str] = {}
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"{file} does not exist; expected Kinetics' csv")
        with file.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.DictReader(lines)
            if not {"label", "youtube_id"} <= {*(rows.fieldnames or ())}:
                raise ValueError(
                    f"{file} has the columns {rows.fieldnames}; expected label, "
                    "youtube_id, time_start, time_end, split"
                )
            official.update((row["youtube_id"], row["label"]) for row in rows)
    return official


def compare(splits: list[Split], official: dict[str, str]) -> None:
    """Says how videos differ from those of the official csv files."""
    videos = [video for split in splits for video in split.videos]
    found = {Path(v.path).stem[:ID_LENGTH]: class_of(v.path) for v in videos}
    known = found.keys() & official.keys()
    other = sorted(i for i in known if plain(found[i]) != plain(official[i]))
    print(
        f"of {len(official):,} videos in the csv {len(known):,} can be read; "
        f"{len(found.keys() - known):,} others are not in it"
    )
    if other:
        print(
            f"warning: {len(other)} are in a folder of another class, such as "
            f"{other[0]} in {found[other[0]]!r} instead of {official[other[0]]!r}"
        )


def make_lists(
    root: Path,
    out: Path,
    *,
    val_share: float | None = None,
    classes: Path | None = None,
    csv_files: Sequence[Path] = (),
    frames: int = 64,
    full: bool = False,
    workers: int = 1,
) -> None:
    """Opens all videos of a folder, writes lists of them, and prints what they hold.

    Args:
        root (Path): Has ``train/`` and ``val/``, or folders of classes.
        out (Path): Gets ``train.txt``, ``val.txt``, ``classes.txt`` and, if any are,
            ``unreadable.txt``.
        val_share (float, optional): Of each class to validate on, for folders of
            classes.
        classes (Path, optional): Names in the order of labels. By default names of
            folders, sorted.
        csv_files (Sequence[Path]): Kinetics' official ones, to compare with.
        frames (int): Videos of fewer are counted. Defaults to 64.
        full (bool): Whether to decode all frames, not the first and the last. Defaults
            to False.
        workers (int): Processes. Defaults to 1.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If videos are not where they are expected, or a file is none.
        RuntimeError: If PyAV is not installed.
    """
    import_av()
    official = read_official(csv_files)
    splits = find_splits(root, val_share)
    labels = label_folders(splits, classes)
    make_folder(out, "--out")  # it may take hours until something is written
    for split in splits:
        look(split, workers, full)
    write(splits, labels, out)
    names = read_classes(classes) if classes else [*labels]
    write_whole(out / "classes.txt", "".join(f"{name}\n" for name in names))
    show(splits, labels, frames)
    warn_of_classes(splits)
    if official:
        compare(splits, official)
    if faulty := sum(len(split.faulty) for split in splits):
        print(f"warning: {faulty} cannot be read, see {out / UNREADABLE}")
