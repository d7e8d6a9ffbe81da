"""Windows and batches side by side: what fits a GPU, and what it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.table import Table

from .auto_windows import estimate
from .memory_model import Training
from .memory_plan import Memory, Plan
from .memory_report import gib

WINDOWS = (8, 12, 16, 24, 32, 48)  # those of the paper
BATCHES = (1, 2, 4, 8, 16)
PATIENCE = 1.5  # times the time of the config that the best may take
RECOMPUTED = {None: "", "mlp": "m", "block": "b"}


@dataclass(frozen=True)
class Cell:
    """One window and batch, with as little recomputation as fits.

    Attributes:
        window (int): Tokens, at every stage with a map as large; over time it is that
            of the config.
        plan (Plan): How it is trained.
        size (int): Bytes at the peak.
        fits (bool): Whether they are within the budget.
        time (float): Estimated time per image over that of the config.
    """

    window: int
    plan: Plan
    size: int
    fits: bool
    time: float

    @property
    def text(self) -> str:
        """GiB, relative time and recomputation in short."""
        recomputed = self.plan.training.recompute(0)
        return f"{gib(self.size)} {self.time:.2f}x {RECOMPUTED[recomputed]:<1}"


def search(memory: Memory, plan: Plan, budget: float) -> list[list[Cell]]:
    """Rows of windows, columns of batches.

    Args:
        memory (Memory): Of the model.
        plan (Plan): What the config says.
        budget (float): Bytes.
    """
    given = plan.training
    longest = max(given.maps[0][-2:])
    *_, height, width = given.windows[0]
    windows = {w for w in WINDOWS if w <= longest} | ({height} & {width})
    batches = sorted({*BATCHES, given.batch})
    return [
        [_cell(memory, plan, budget, w, batch) for batch in batches]
        for w in sorted(windows)
    ]


def _cell(memory: Memory, plan: Plan, budget: float, window: int, batch: int) -> Cell:
    given = plan.training
    windows = given.windows  # smaller at late stages, it may be
    if {window} != {*windows[0][-2:]}:
        windows = tuple((*own[:-2], window, window) for own in windows)
    training = replace(given, windows=windows, batch=batch)
    for variant in _recomputations(training, sharded=plan.strategy == "fsdp"):
        other = replace(plan, training=variant)
        size = memory.total(other)
        if size <= budget:
            break
    time = seconds(other) / seconds(plan)
    return Cell(window, other, size, size <= budget, time)


def _recomputations(training: Training, *, sharded: bool) -> Iterator[Training]:
    """As in the config, and with more of it."""
    yield training
    if sharded:  # our strategy recomputes all stages
        return
    everywhere = (True,) * len(training.arch.depths)
    for checkpoint in ("mlp", "block"):
        yield replace(training, with_cp=everywhere, checkpoint=checkpoint)


def seconds(plan: Plan) -> float:
    """Estimated time of the backbone for one image, forward and backward."""
    once = estimate(plan.training).seconds / plan.training.batch
    return 3 * once * (1 + plan.recompute_time)


def best(rows: Sequence[Sequence[Cell]]) -> Cell | None:
    """Of those that fit in ``PATIENCE`` the largest window, then the largest batch.

    Where nothing is as fast, the fastest that fits.
    """
    cells = [cell for row in rows for cell in row if cell.fits]
    quick = [cell for cell in cells if cell.time <= PATIENCE]
    if quick:
        return max(quick, key=lambda c: (c.window, c.plan.training.batch))
    return min(cells, key=lambda cell: cell.time, default=None)


def search_table(rows: Sequence[Sequence[Cell]], chosen: Cell | None) -> Table:
    """GiB and relative time, what does not fit in grey, the best in bold."""
    table = Table(
        title="GiB at the peak and time per image over the config's (estimated); "
        "m, b: recomputes MLPs, blocks; -: does not fit",
        box=box.SIMPLE_HEAD,
        padding=0,
        title_justify="left",
    )
    table.add_column("window", no_wrap=True)
    for cell in rows[0]:
        table.add_column(
            f"batch {cell.plan.training.batch}", justify="right", no_wrap=True
        )
    for row in rows:
        texts = [
            f"[bold]{cell.text}[/bold]"
            if cell is chosen
            else cell.text
            if cell.fits
            else f"[dim]{gib(cell.size)} -[/dim]"
            for cell in row
        ]
        table.add_row(f"w{row[0].window}", *texts)
    return table
