"""One page about a set and what was chosen for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .choices import Choice
from .rendering import flat
from .survey_coco import CocoSurvey
from .survey_labels import IGNORED, LabelSurvey

SHOWN = 20  # classes
QUANTILES = {"least": 0, "10 %": 10, "median": 50, "90 %": 90, "most": 100}
FEW = 10  # objects or pictures, of which a class is hardly learned
BAR = 30  # characters


def coco_page(
    console: Console,
    surveys: Mapping[str, CocoSurvey],
    chosen: Mapping[str, Choice | None],
) -> None:
    """Prints counts, sizes, classes by frequency and decisions."""
    counts = Table("", *surveys, title="Pictures and objects")
    rows = {
        "pictures": lambda s: len(s.pictures),
        "without objects": lambda s: s.empty,
        "objects": lambda s: len(s.sizes),
        "with masks": lambda s: s.masks,
        "crowds": lambda s: s.crowds,
    }
    for name, number in rows.items():
        counts.add_row(name, *(f"{number(s):,}" for s in surveys.values()))
    console.print(counts)
    first = next(iter(surveys.values()))
    sizes = _quantiles("Sizes in the training set")
    _add_pictures(sizes, first.pictures)
    _add(sizes, "side of an object, px", first.sizes)
    _add(sizes, "the same, % of the picture", 100 * first.shares)
    _add(sizes, "objects in a picture", first.counts)
    console.print(sizes)
    total = len(first.sizes)
    shares = {name: count / total for name, count in first.classes.items()}
    numbers = {name: f"{count:,}" for name, count in first.classes.items()}
    _classes(console, "objects", shares, numbers)
    few = [name for name, count in first.classes.items() if 0 < count < FEW]
    _rare(console, few, "objects")
    _choices(console, chosen)


def labels_page(
    console: Console,
    surveys: Mapping[str, LabelSurvey],
    classes: Mapping[int, str],
    chosen: Mapping[str, Choice | None],
) -> None:
    """Prints counts, sizes, classes by frequency and decisions."""
    first = next(iter(surveys.values()))
    numbers = [f"{len(s.pictures):,} {name}" for name, s in surveys.items()]
    console.print(f"Pictures with label maps: {', '.join(numbers)}")
    sizes = _quantiles("Sizes in the training set")
    _add_pictures(sizes, first.pictures)
    console.print(sizes)
    names = {**classes, IGNORED: "(ignored)"}
    shares = {
        f"{value} {names.get(value, '(no class)')}": share
        for value, share in first.values.items()
    }
    found = {
        name: f"{first.found[value]} of {first.read}"
        for name, value in zip(shares, first.values)
    }
    _classes(console, "in maps", shares, found)
    few = [name for value, name in classes.items() if first.found.get(value, 0) < FEW]
    _rare(console, few, "pictures")
    _choices(console, chosen)


def _rare(console: Console, names: list[str], kind: str) -> None:
    if names:
        console.print(
            f"Less than {FEW} {kind} to learn from: {escape(', '.join(names[:SHOWN]))}"
        )


def _quantiles(title: str) -> Table:
    return Table("", *QUANTILES, title=title)


def _add(table: Table, name: str, values: np.ndarray) -> None:
    numbers = np.percentile(values, list(QUANTILES.values()))
    table.add_row(name, *(f"{n:.3g}" if n < 100 else f"{n:.0f}" for n in numbers))


def _add_pictures(table: Table, pictures: np.ndarray) -> None:
    _add(table, "width of a picture, px", pictures[:, 0])
    _add(table, "height of a picture, px", pictures[:, 1])


def _classes(
    console: Console, kind: str, shares: Mapping[str, float], numbers: Mapping[str, str]
) -> None:
    table = Table("class", kind, "share", "", title="Classes by frequency")
    order = sorted(shares, key=lambda name: -shares[name])
    most = max(shares.values())
    for name in _ends(order):
        if name is None:
            table.add_row(f"... {len(order) - SHOWN} more", "", "", "")
            continue
        bar = "#" * round(BAR * shares[name] / most)
        table.add_row(escape(name), numbers[name], f"{shares[name]:.2%}", bar)
    console.print(table)


def _ends(order: list[str]) -> Iterable[str | None]:
    """The most and the least frequent classes; None for those between."""
    if len(order) <= SHOWN:
        return order
    half = SHOWN // 2
    return [*order[:half], None, *order[-half:]]


def _choices(console: Console, chosen: Mapping[str, Choice | None]) -> None:
    table = Table("", "chosen", "why", title="Chosen")
    for name, choice in chosen.items():
        if choice is not None:
            value = (
                choice.value if isinstance(choice.value, str) else flat(choice.value)
            )
            table.add_row(name, escape(value), escape(choice.reason))
    console.print(table)
