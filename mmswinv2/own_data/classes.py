"""Which values of label maps are classes, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SPARSE = 4  # values up to this many times their number are classes with gaps


@dataclass(frozen=True)
class Classes:
    """Names of classes and the value of the first one.

    Attributes:
        names (tuple[str, ...]): In the order of their values.
        first (int): 0, or 1 where 0 is no class (``reduce_zero_label``).
        reason (str): Where they come from.
    """

    names: tuple[str, ...]
    first: int
    reason: str


def choose_classes(
    values: Sequence[int],
    names: Path | None,
    labels: str | Path,
    *,
    ignore_zero: bool = False,
) -> Classes:
    """Classes of the values in label maps.

    0 is a class, such as the background, unless it is to be ignored, there are names
    for the values from 1 on only, or it never occurs.

    Args:
        values (Sequence[int]): Found in label maps, sorted, without 255.
        names (Path, optional): A file with a name in each line.
        labels (str | Path): Folder of the maps, for messages.
        ignore_zero (bool): Whether 0 is no class. Defaults to False.

    Raises:
        ValueError: The values are no numbers of classes, or do not fit the names.
    """
    shown = ", ".join(map(str, values[:8])) + ", ..." * (len(values) > 8)
    if len(values) < 2:
        raise ValueError(
            f"label maps in {labels} have the values {shown or 'none'} beside 255, "
            "which is ignored; expected two classes at least, such as 0 and 1. Maps of "
            "0 and 255: divide them by 255"
        )
    most = values[-1]
    if names is not None:
        given = _read(names)
        if len(given) == most or (ignore_zero and len(given) > most):
            return Classes(given, 1, f"of {names.name}; 0 is no class: ignored")
        if len(given) > most:
            return Classes(given, 0, f"of {names.name}, from 0 on")
        raise ValueError(
            f"{names} has {len(given)} names, but label maps in {labels} have values "
            f"up to {most} ({shown}); expected {most + 1} names, the first of them for "
            f"0, or {most}, the first for 1 and 0 without a class"
        )
    if most + 1 > SPARSE * len(values):
        raise ValueError(
            f"label maps in {labels} have the values {shown}: too few up to {most} to "
            "be numbers of classes. Number the classes 0, 1, 2, ..., or give the names "
            "of all with --classes"
        )
    first = int(ignore_zero or values[0] > 0)
    found = tuple(f"class_{value}" for value in range(first, most + 1))
    zero = "; 0 is no class: ignored" if first else ""
    return Classes(found, first, f"values {shown}{zero}; --classes names them")


def _read(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected names of classes")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}") from error
    names = tuple(line.strip() for line in lines)
    names = tuple(name for name in names if name)
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path} has the name {twice!r} more than once")
    return names
