"""What plan_memory.py prints about time: strategies side by side, and the whole run."""

from __future__ import annotations

from rich import box
from rich.table import Table

from .gpus import GPU, NODE
from .memory_plan import Memory
from .memory_report import gib
from .run_choice import DAY, Choice, spread
from .run_cost import Assumptions, step
from .run_data import DataSet

NAMES = {None: "none (DDP)", "zero1": "zero1", "fsdp": "fsdp"}
SLOW_NETWORK = 12.5e9  # bytes/s, 100 Gb/s
ASSUMED = """\
Times are reckoned; none was measured on several GPUs. A roofline fitted to one H200
('base', 1024 px, window 16, bf16) is carried over by data sheets; rings exchange, and
80 percent of a pass hides that; loading keeps up. Validation, checkpoints, launches,
operators of heads without products, such as RoIAlign, and teachers are left out.
docs/large_models.md has all of it."""


def duration(seconds: float) -> str:
    """Seconds in ms, or in s from ten on."""
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds * 1000:.3g} ms"


def days(value: float) -> str:
    """Days, or hours below two."""
    return f"{value:,.0f} days" if value >= 10 else f"{value:.2g} days"


def strategy_table(choices: dict[str | None, Choice], best: Choice | None) -> Table:
    """A row per strategy, the fastest that fits in bold."""
    table = Table(
        title="16 bits, the batch of the config on all GPUs: the fastest of every "
        "strategy",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
    )
    headers = ("strategy", "a GPU", "recomputed", "GiB", "step", "exchange", "a second")
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    for name, choice in choices.items():
        training, time = choice.plan.training, choice.step
        table.add_row(
            NAMES[name],
            f"{choice.accumulate} x {training.batch}",
            training.recompute(0) or "nothing",
            gib(choice.size) + ("" if choice.fits else ", no"),
            duration(time.total),
            f"{duration(time.communication)}, {duration(time.exposed)} seen",
            f"{choice.rate:,.4g}",
            style="bold" if choice is best else None if choice.fits else "dim",
        )
    return table


def shares(choice: Choice) -> str:
    """What takes the time of a step."""
    time, backbone = choice.step, choice.step.backbone
    parts = {
        "linear layers": backbone.products,
        "attention": backbone.attention,
        "norms": backbone.norms,
        "other memory traffic": backbone.memory,
        "recomputation": time.recomputation,
        "neck and heads": time.heads,
        "optimizer": time.optimizer,
        "exchange that nothing hides": time.exposed,
        "waiting for the host": time.waiting,
    }
    return ", ".join(
        f"{name} {part / time.total:.0%}"
        for name, part in parts.items()
        if part >= 0.005 * time.total
    )


def run_lines(
    memory: Memory,
    choice: Choice,
    gpu: GPU,
    images: int,
    *,
    batch: int,
    pictures: int | None,
    known: DataSet | None,
) -> list[str]:
    """The whole run with the fastest choice, and how far that may be off.

    Args:
        memory (Memory): Of the model.
        choice (Choice): What is run.
        gpu (GPU): Each of them.
        images (int): Of the config's batch, which heads were counted for.
        batch (int): Pictures of a step that the recipe wants.
        pictures (int, optional): Of the whole schedule.
        known (DataSet, optional): That they come from.
    """
    gpus, time = choice.plan.gpus, choice.step.total
    low, high = spread(memory, choice, gpu, images)
    lines = [
        f"The fastest that fits {gpu.label}: {NAMES[choice.plan.strategy]}; a step of "
        f"{choice.pictures} pictures in {duration(time)} ({duration(low)} to "
        f"{duration(high)})",
        f"  {shares(choice)}",
    ]
    if choice.pictures != batch:
        lines.append(
            f"  The config's batch has {batch}, which {gpus} GPUs do not share evenly"
        )
    if pictures is None:
        lines.append(
            "  The whole run: not reckoned, as the training set is none of the known; "
            "give --pictures"
        )
    else:
        cost = choice.gpu_days(pictures)
        scale = cost / time
        lines.append(
            f"  The whole run, {pictures:,} pictures: {days(cost)} of one GPU "
            f"({days(scale * low)} to {days(scale * high)}), "
            f"{days(pictures / choice.rate / DAY)} on {gpus}"
        )
    size = f", {choice.rate * known.size / 1e6:,.4g} MB/s of files" if known else ""
    lines.append(f"  Loaders must bring {choice.rate:,.4g} pictures/s{size}")
    changes = {"all kernels at 0.7 of their rates": Assumptions(efficiency=0.7)}
    if gpus > NODE and gpu.network > SLOW_NETWORK:
        slow = Assumptions(network=SLOW_NETWORK)
        changes["nodes joined by 100 Gb/s"] = slow
    other = []
    for name, assumed in changes.items():
        changed = step(
            memory,
            choice.plan,
            gpu,
            images,
            accumulate=choice.accumulate,
            assumed=assumed,
        )
        other.append(f"{name}: {changed.total / time:.2f} times")
    lines.append(f"  If {'; '.join(other)} the time of a step")
    return lines


def loading_line(rate: float, gpus: int, seconds: float, name: str, given: int) -> str:
    """Cores that keep up with a number of pictures a second.

    Args:
        rate (float): Pictures a second, on all GPUs.
        gpus (int): Number.
        seconds (float): Of one thread for a picture.
        name (str): Of the processor that they were measured on.
        given (int): Workers per GPU in the config.
    """
    workers = rate * seconds / gpus
    return (
        f"  Loading takes one thread {duration(seconds)} a picture ({name}): "
        f"{max(workers, 0.1):.1f} workers per GPU at least (the config has {given}), "
        f"{rate * seconds:,.4g} cores in all"
    )
