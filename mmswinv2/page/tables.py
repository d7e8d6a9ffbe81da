"""Tables of the page, as HTML; whatever comes from files or people is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from mmengine.structures import BaseDataElement

from mmswinv2.drawing import palette_of
from mmswinv2.large_images.inferencer import TILED

from .findings import rows_of
from .inputs import write_window
from .models import LoadedModel
from .passes import Pass

MOST_ROWS = 100


def message(text: str) -> str:
    """What went wrong, which screen readers say at once."""
    return f'<p role="alert">{escape(text)}</p>'


def sentence(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>"


def found_table(
    title: str, sample: BaseDataElement, meta: Mapping, score: float
) -> str:
    """What a pass has found, in colours as it is drawn."""
    heads, rows = rows_of(sample, meta, score)
    colors = palette_of(meta)
    body = []
    for index, cells in rows[:MOST_ROWS]:
        mark = f'<i style="background: rgb{colors[index]}"></i>'
        body.append([mark + escape(cells[0]), *map(escape, cells[1:])])
    if len(rows) > MOST_ROWS:
        body.append([f"and {len(rows) - MOST_ROWS} more", *[""] * (len(heads) - 1)])
    if not rows:
        body.append(["nothing", *[""] * (len(heads) - 1)])
    return _table(heads, body, title)


def costs_table(passes: Sequence[Pass], model: LoadedModel) -> str:
    """With what passes were made, and what they cost; they are named A and B."""
    where = "growth of this process"
    if model.device.type == "cuda":
        where = "of PyTorch on the GPU, weights included"
    heads = ("pass", "windows", "seen at", "time", "memory")
    rows = []
    for name, taken in zip("AB", passes):
        windows = [write_window(window) for window in taken.settings.windows or ()]
        if len(set(windows)) == 1:
            windows = [f"{windows[0]} in all stages"]
        side = taken.settings.short_side or model.short_side
        seen = f"short side {side} px" if side else "as it is"
        if TILED in taken.sample.metainfo:
            seen = f"tiles of {taken.sample.metainfo[TILED]} px"
        memory = "not measured"
        if taken.memory is not None:
            memory = f"{taken.memory / 2**20:.0f} MiB"
        rows.append(
            [
                name,
                ", ".join(windows) or "not of Swin V2",
                seen,
                f"{taken.seconds:.2f} s",
                memory,
            ]
        )
    return _table(heads, rows, f"passes (memory: {where}, at its peak)")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """A table that scrolls, by keyboard too; cells are HTML."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f'<div class="scrolls" tabindex="0" role="region" aria-label="{caption}">'
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )
