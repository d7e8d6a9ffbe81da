"""Ways to run the batch of a config on some GPUs, and the fastest that fits them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .gpus import GIB, GPU
from .memory_plan import SHARE, Memory, Plan
from .run_cost import Assumptions, Step, step

DAY = 86400  # seconds
ALIKE = 0.95  # of a rate: less than that is in doubt anyway


@dataclass(frozen=True)
class Choice:
    """A way to run a step, and what it takes.

    Attributes:
        plan (Plan): Of a micro-batch.
        accumulate (int): Micro-batches of a step.
        size (int): Bytes at the peak.
        fits (bool): Whether the GPU has them.
        step (Step): Seconds.
    """

    plan: Plan
    accumulate: int
    size: int
    fits: bool
    step: Step

    @property
    def pictures(self) -> int:
        """Of a step, on all GPUs."""
        return self.plan.gpus * self.plan.training.batch * self.accumulate

    @property
    def rate(self) -> float:
        """Pictures a second, on all GPUs."""
        return self.pictures / self.step.total

    def gpu_days(self, pictures: float) -> float:
        """Days of all GPUs together that a number of pictures takes."""
        return pictures / self.rate * self.plan.gpus / DAY


def choose(
    memory: Memory,
    plan: Plan,
    gpu: GPU,
    batch: int,
) -> dict[str | None, Choice]:
    """The fastest way of every strategy in 16 bits; of what does not fit the smallest.

    Args:
        memory (Memory): Of the model.
        plan (Plan): What the config says, for its number of GPUs.
        gpu (GPU): Each of them.
        batch (int): Pictures of a step that the recipe wants, on all GPUs; as many as
            there are GPUs at least.
    """
    chosen = {}
    for strategy in (None, "zero1", "fsdp") if plan.gpus > 1 else (None,):
        found = []
        for other in variants(plan, strategy, batch // plan.gpus):
            own = batch // (plan.gpus * other.training.batch)
            size = memory.total(other)
            time = step(
                memory,
                other,
                gpu,
                plan.training.batch,
                accumulate=own,
            )
            fits = size <= SHARE * gpu.memory * GIB
            found.append(Choice(other, own, size, fits, time))
        fitting = [choice for choice in found if choice.fits]
        if fitting:
            chosen[strategy] = max(fitting, key=lambda c: (c.rate, -c.size))
        else:
            chosen[strategy] = min(found, key=lambda c: c.size)
    return chosen


def variants(plan: Plan, strategy: str | None, most: int) -> Iterator[Plan]:
    """A plan with a strategy in 16 bits: micro-batches and recomputations to try."""
    given = plan.training
    depths = given.arch.depths
    fsdp = strategy == "fsdp"
    batches = {most, *(1 << i for i in range(most.bit_length()))}
    for batch in sorted(batches):
        training = replace(given, batch=batch, number=2)
        for how in ("block",) if fsdp else (None, "mlp", "block"):
            other = replace(
                training,
                with_cp=(how is not None,) * len(depths),
                checkpoint=how or given.checkpoint,
            )
            yield replace(plan, training=other, amp=not fsdp, strategy=strategy)


def fastest(choices: dict[str | None, Choice]) -> Choice | None:
    """The simplest strategy of those that fit and are about as fast as the fastest."""
    fitting = [choice for choice in choices.values() if choice.fits]
    if not fitting:
        return None
    best = max(choice.rate for choice in fitting)
    return next(choice for choice in fitting if choice.rate > ALIKE * best)


def spread(
    memory: Memory, choice: Choice, gpu: GPU, images: int
) -> tuple[float, float]:
    """Shortest and longest time of a step, within what is in doubt."""

    def total(efficiency: float, overlap: float) -> float:
        assumed = Assumptions(efficiency=efficiency, overlap=overlap)
        return step(
            memory,
            choice.plan,
            gpu,
            images,
            accumulate=choice.accumulate,
            assumed=assumed,
        ).total

    return total(1 + gpu.doubt, 1.0), total(1 - gpu.doubt, 0.5)
