"""What plan_memory.py prints."""

from __future__ import annotations

from dataclasses import replace

from rich import box
from rich.table import Table

from .memory_model import AUTO, Training, block_kept, written
from .memory_plan import Memory, Plan, half_windows

GIB = 2**30
NAMES = {
    "weights": "weights, fp32",
    "optimizer": "state of the optimizer",
    "averages": "moving average of the weights",
    "buckets": "gradient buckets of DDP",
    "gathered": "gathered by FSDP (estimated)",
    "images": "images",
    "teacher": "weights of the teacher, fp32",
    "teacher_pass": "passing in the forward pass of the teacher (counted)",
    "backbone": "kept by the backbone (computed)",
    "heads": "kept by neck and heads (counted on zeros)",
    "passing": "passing in the backward pass, gradients (estimated)",
}


def gib(size: float) -> str:
    """Bytes in GiB."""
    return f"{size / GIB:.{1 if size >= 10 * GIB else 2}f}"


def describe(plan: Plan, name: str) -> str:
    """How a config trains, in three lines."""
    training = plan.training
    attention = training.attention
    if attention == "auto":
        attention = f"auto ({AUTO['cuda']})"
    precision = "16-bit autocast" if plan.amp else "fp32"
    if training.number == 2 and not plan.amp:
        precision = "backbone in 16 bits"
    kind = "image" if len(training.image) == 2 else "clip"
    images = f"{training.batch} {kind}{'s' * (training.batch > 1)}"
    gpus = "1 GPU" if plan.gpus == 1 else f"each of {plan.gpus} GPUs"
    return (
        f"{name}\n"
        f"{images} of {written(training.image)} px on {gpus}\n"
        f"{precision}, attention {attention}, strategy {plan.strategy or 'none'}"
    )


def stage_table(plan: Plan) -> Table:
    """What every stage keeps now, and with each switch by itself, in GiB."""
    now = plan.training
    depths = now.arch.depths
    everywhere = (True,) * len(depths)
    variants = {
        "now": now,
        "no cp": replace(now, with_cp=()),
        "mlp": replace(now, with_cp=everywhere, checkpoint="mlp"),
        "block": replace(now, with_cp=everywhere, checkpoint="block"),
        "w / 2": replace(now, windows=half_windows(now)),
    }
    if now.number == 4:
        variants["16 bits"] = replace(now, number=2)
    if now.attention not in ("auto", "triton"):
        variants["triton"] = replace(now, attention="triton")
    table = Table(
        title="kept for the backward pass, GiB; with_cp: off, of mlp, of block",
        box=box.SIMPLE_HEAD,
        padding=0,
        title_justify="left",
    )
    for header in ("stage", "map", "window", "blocks", "tokens", "attention"):
        table.add_column(header, justify="right", no_wrap=True)
    for header in variants:
        style = "bold" if header == "now" else None
        table.add_column(header, justify="right", no_wrap=True, style=style)
    kept = {header: by_stage(training) for header, training in variants.items()}
    for i, depth in enumerate(depths):
        block = now.block(i)
        table.add_row(
            f"{i}",
            "x".join(map(str, block.size)),
            "x".join(map(str, block.window)),
            f"{depth}",
            f"{block.tokens / 1000:.3g}k",
            gib(_attention(now, i)),
            *(gib(stages[i]) for stages in kept.values()),
        )
    sums = [gib(sum(stages)) for stages in kept.values()]
    attention = gib(sum(_attention(now, i) for i in range(len(depths))))
    table.add_row("all", "", "", f"{sum(depths)}", "", attention, *sums, style="bold")
    return table


def by_stage(training: Training) -> list[int]:
    """Bytes that every stage keeps."""
    parts = training.parts()
    return [
        sum(part.kept for part in parts if part.stage == i)
        for i in range(len(training.arch.depths))
    ]


def _attention(training: Training, stage: int) -> int:
    """What the attention of a stage keeps, its position biases included."""
    if stage < training.frozen_stages:
        return 0
    recompute = training.recompute(stage)
    if recompute == "block":
        return 0
    total = 0
    for i in range(training.arch.depths[stage]):
        block = training.block(stage, shifted=i % 2 == 1)
        kept = block_kept(
            block,
            attention=training.attention,
            device=training.device,
            recompute=recompute,
            position_bias=training.position_bias,
        )
        total += kept["attention"] + kept["bias"]
    return total


def breakdown(memory: Memory, plan: Plan, budget: float, gpu: float) -> Table:
    """What takes the memory of a GPU, in GiB."""
    table = Table(
        title="memory of a GPU, GiB",
        box=box.SIMPLE_HEAD,
        show_header=False,
        title_justify="left",
    )
    table.add_column()
    table.add_column(justify="right")
    sizes = memory.of(plan)
    for key, size in sizes.items():
        table.add_row(NAMES[key], gib(size))
    total = sum(sizes.values())
    verdict = "fits" if total <= budget else "does not fit"
    table.add_section()
    table.add_row(
        f"peak: {verdict} {gpu / GIB:g} GiB, of which tensors may take {gib(budget)}",
        gib(total),
        style="bold",
    )
    return table
