"""Loss curves of one training, by types and implementations of attention.

Same weights, same pictures: what differs is how a step is computed. How much two seeds
of the weights differ says how much of that matters.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import torch
import torch.nn.functional as F
from record import Case, Table
from section import NEEDS_GPU, arguments, open_record
from torch import Tensor, nn

from backbones import SMALLEST  # isort: skip  section lets these be found
from contenders import ours  # isort: skip

CURVE = "loss"
FIRST, LAST = "first loss", "last loss"
DIFFERENCE = "largest difference from the fp32 reference of the seed"
SPREAD = "largest difference between the references of two seeds"


HALF = torch.float16


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        attention (str): Implementation.
        dtype (torch.dtype): Of autocast.
        seed (int): Of the weights.
    """

    attention: str
    dtype: torch.dtype
    seed: int

    @property
    def name(self) -> str:
        """Heading of its line."""
        kind = {torch.float32: "fp32", torch.bfloat16: "bf16"}.get(
            self.dtype, "fp16 with GradScaler"
        )
        return f"{kind}, {self.attention}, seed {self.seed}"


RUNS = [
    Run("reference", torch.float32, 0),
    Run("reference", torch.float32, 1),
    Run("triton", torch.bfloat16, 0),
    Run("triton", HALF, 0),
    Run("sdpa", torch.bfloat16, 0),
    Run("triton", torch.bfloat16, 1),
    Run("triton", HALF, 1),
    Run("sdpa", torch.bfloat16, 1),
]


def pictures(count: int, side: int, device: str) -> list[tuple[Tensor, Tensor]]:
    """Batches of smooth noise, and what is to be told of each 32 px of it."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(count, 2, 3, side // 16, side // 16, generator=generator)
    batches = []
    for coarse in noise.to(device):
        image = F.interpolate(coarse, scale_factor=16, mode="bilinear")
        energy = F.avg_pool2d(image.square(), 32)
        # Of each place against all of the picture: attention must look around.
        batches.append((image, energy - energy.mean((2, 3), keepdim=True)))
    return batches


def train(run: Run, steps: int, args: Namespace) -> list[float]:
    """Loss of every step."""
    arch, side, window = ("nano", 128, 8) if not args.smoke else (SMALLEST, 32, 4)
    backbone = ours(arch, (side, side), window, run.attention, run.seed)
    head = nn.Conv2d(8 * backbone.embed_dims, 3, 1)
    model = nn.ModuleList([backbone, head]).to(args.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-4)
    halves = run.dtype == HALF
    # A larger first scale would skip steps, and shift the curve by as many.
    scaler = torch.amp.GradScaler(args.device, init_scale=2.0**10, enabled=halves)
    mixed = run.dtype != torch.float32
    batches = pictures(min(steps, 32), side, args.device)
    losses = []
    for count in range(steps):
        image, target = batches[count % len(batches)]
        with torch.autocast(args.device, run.dtype, enabled=mixed):
            guess = head(backbone(image)[-1])
        loss = (guess.float() - target).square().mean()
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.detach())
    return torch.stack(losses).tolist()


def difference(losses: list[float], others: list[float]) -> float:
    """Largest relative difference of the means over a tenth of the steps."""
    length = max(len(losses) // 10, 1)
    a, b = (torch.tensor(x).unfold(0, length, 1).mean(-1) for x in (losses, others))
    return float(((a - b).abs() / b).max())


def curve(table: Table, run: Run) -> list[float] | None:
    """Losses of a run that has been made."""
    entry = table.cells.get(run.name, {}).get(CURVE, {})
    return entry.get("values", {}).get("curve")


def measure(
    case: Case, run: Run, losses_of: Callable[[], list[float]], args: Namespace
) -> None:
    """Keep the curve of a training."""
    if args.device == "cpu" and run.attention == "triton" and run.dtype != HALF:
        case.skip(CURVE, NEEDS_GPU)  # products of bf16 are wrong in the interpreter
    elif CURVE in case.contenders():
        with case.attempt(CURVE):
            losses = losses_of()
            case.put(CURVE, "curve", losses)
            case.put(CURVE, FIRST, losses[0])
            case.put(CURVE, LAST, losses[-1])


def compare(curves: Table, differences: Table, smoke: bool) -> None:
    """All curves with the reference's, and those of the two seeds."""
    truths = [curve(curves, run) for run in RUNS[:2]]
    spread = None if None in truths else difference(*truths[::-1])
    runs = {run.name: run for run in RUNS}
    for case in differences.pending():
        if case.name == SPREAD:
            if spread is not None:
                case.put(DIFFERENCE, DIFFERENCE, spread)
            continue
        run = runs[case.name]
        own, truth = curve(curves, run), truths[run.seed]
        if own and truth:
            value = difference(own, truth)
            judged = run.attention == "triton" and spread is not None and not smoke
            wrong = judged and not value <= spread
            case.put(DIFFERENCE, DIFFERENCE, value, wrong=wrong)


def main() -> None:
    """Run the command line."""
    args = arguments()
    runs = {run.name: run for run in RUNS[: 5 if args.smoke else None]}
    others = [name for name, run in runs.items() if run not in RUNS[:2]]
    curves = Table(
        "Losses",
        "'nano' at 128 px, window 8, AdamW, 300 steps (smoke: smaller, 2 steps), on "
        "the same pictures, and of one seed from the same weights.",
        cases=runs,
        contenders=[CURVE],
        quantities=[FIRST, LAST],
        judged=True,
    )
    differences = Table(
        "Differences of losses",
        "Relative, of means over a tenth of the steps. Triton's is wrong if it is "
        "larger than that of the two seeds.",
        cases=[SPREAD, *others],
        contenders=[DIFFERENCE],
        quantities=[DIFFERENCE],
        judged=True,
    )
    record = open_record(args, [curves, differences])
    steps = 2 if args.smoke else 300
    jobs = {
        name: partial(train, run, steps, args)
        for name, run in runs.items()
        if name not in curves.finished
    }
    with ExitStack() as stack:
        if args.device == "cuda":  # all at once: the host is what they wait for
            pool = ProcessPoolExecutor(len(RUNS), get_context("spawn"))
            stack.enter_context(pool)
            jobs = {name: pool.submit(job).result for name, job in jobs.items()}
        for case in curves.pending():
            measure(case, runs[case.name], jobs[case.name], args)
    compare(curves, differences, args.smoke)
    record.finish()


if __name__ == "__main__":
    main()
