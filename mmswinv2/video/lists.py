"""Lists of videos and of classes: text, one a line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

WRITER = "tools/dataset_converters/kinetics.py writes lists from folders of videos"
NUMBERED = (r"(?P<label>\d+)[\s,]+(?P<name>.+)", r"(?P<name>.+?)[\s,]+(?P<label>\d+)")
CSV = re.compile(r"(label,)?\"?youtube_id\b|[^/]+,[\w-]{11},\d+,\d+,")  # official


def read_list(
    path: str | Path,
    *,
    delimiter: str = " ",
    labelled: bool = True,
    classes: int | None = None,
) -> list[tuple[str, int | None]]:
    """Paths of videos and their labels.

    Args:
        path (str | Path): Of lines ``path label``; empty ones are left out.
        delimiter (str): Between the two; a path may have it too. Defaults to ' '.
        labelled (bool): Whether there are labels; else a line is a path. Defaults to
            True.
        classes (int, optional): How many there are, if that is known.

    Returns:
        list[tuple[str, int | None]]: As in the list.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: A line is none of a list; the message has its number.
    """
    entries: list[tuple[str, int | None]] = []
    lines: dict[str, int] = {}  # of paths
    for number, line in enumerate(_lines(path, "a list of videos"), 1):
        line = line.strip()
        if not line:
            continue
        where = f"{path}, line {number}:"
        if CSV.match(line):
            raise ValueError(
                f"{where} {line[:60]!r} is of Kinetics' csv, which names no files; "
                f"expected 'path{delimiter}label'. {WRITER}"
            )
        video, label = line, None
        if labelled:
            video, _, text = line.rpartition(delimiter)
            video = video.rstrip()
            if not video or not re.fullmatch(r"-?\d+", text):
                raise ValueError(
                    f"{where} {line[:60]!r} has no label that is a number; expected "
                    f"'path{delimiter}label'. {WRITER}"
                )
            label = int(text)
            if not 0 <= label < (classes or label + 1):
                expected = f"0 to {classes - 1}" if classes else "0 or more"
                raise ValueError(
                    f"{where} {video} has the label {label}, expected {expected}, its "
                    "place among the names of classes"
                )
        if video in lines:
            raise ValueError(
                f"{where} {video} was in line {lines[video]} already; leave one out"
            )
        lines[video] = number
        entries.append((video, label))
    if not entries:
        raise ValueError(f"{path} names no video; {WRITER}")
    return entries


def list_hash(entries: Iterable[tuple[str, int | None]]) -> str:
    """Eight letters that say which videos a list has, with which labels.

    They do not depend on the order of the lines.
    """
    lines = sorted(f"{video} {label}" for video, label in entries)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]


def read_classes(path: str | Path) -> tuple[str, ...]:
    """Names of classes, of which a label is the place.

    Args:
        path (str | Path): Of lines that are names; with the labels before or after all
            of them, in any order.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It has no names, or one twice.
    """
    lines = [line.strip() for line in _lines(path, "names of classes, one a line")]
    names = [line for line in lines if line]
    for pattern in NUMBERED:
        found = [re.fullmatch(pattern, name) for name in names]
        if all(found):
            by_label = {int(match["label"]): match["name"] for match in found if match}
            if sorted(by_label) == [*range(len(names))]:
                names = [by_label[label] for label in range(len(names))]
                break
    if not names:
        raise ValueError(f"{path} has no names of classes; expected one a line")
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path} names {twice!r} twice; each class has one line")
    return tuple(names)


def _lines(path: str | Path, expected: str) -> list[str]:
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected {expected}")
    if not path.is_file():
        raise ValueError(f"{path} is no file; expected {expected}")
    try:
        return path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text: {error}; expected {expected}") from error
