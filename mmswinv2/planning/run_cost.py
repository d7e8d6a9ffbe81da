"""What a step, and a whole run, take on some GPUs: time, exchange, GPU-days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .communication import bus, exchange
from .gpus import COPY_SHARE, FP32_SHARE, GIB, HALF_SHARE, HEADS_SHARE, GPU
from .memory_plan import SHARE, Memory, Plan
from .step_time import KERNELS, OPTIMIZER_BYTES, Logits, Seconds, block_seconds, passes

DAY = 86400  # seconds
ALIKE = 0.95  # of a rate: less than that is in doubt anyway
HEADS_PASSES = 5  # of what heads keep: two in the forward pass, three in the backward
# Processor time of a block, its launches not included: training under autocast and
# what recomputation adds, measured on an AMD EPYC ("Host time", benchmarks/README.md).
HOST, HOST_AGAIN = 26.9e-3 / 24, 6.7e-3 / 24


@dataclass(frozen=True)
class Assumptions:
    """What no data sheet says.

    Attributes:
        efficiency (float): Over that of the calibration.
        overlap (float): Share of a pass that hides communication.
        network (float, optional): Of a node, bytes/s; else the usual one of the GPU.
        kernels (Logits): Rates of the attention kernels.
    """

    efficiency: float = 1.0
    overlap: float = 0.8
    network: float | None = None
    kernels: Logits = KERNELS


@dataclass(frozen=True)
class Step:
    """Seconds of a step of the optimizer on every GPU.

    Attributes:
        backbone (Seconds): Forward and backward pass, by what bounds them.
        recomputation (float): Of blocks in the backward pass.
        heads (float): Necks, heads and losses, both passes.
        optimizer (float): Clipping and update.
        communication (float): All exchange, hidden or not.
        exposed (float): What of it nothing hides.
        waiting (float): For a host that launches kernels more slowly than they run.
    """

    backbone: Seconds
    recomputation: float
    heads: float
    optimizer: float
    communication: float
    exposed: float
    waiting: float

    @property
    def compute(self) -> float:
        """What one GPU computes, whatever the others do."""
        return self.backbone.total + self.recomputation + self.heads

    @property
    def total(self) -> float:
        """All of it."""
        return self.compute + self.optimizer + self.exposed + self.waiting


def heads_seconds(memory: Memory, plan: Plan, images: int, gpu: GPU) -> float:
    """Training time of necks and heads for a batch.

    Args:
        memory (Memory): Of the model.
        plan (Plan): Of a step.
        images (int): Of the config's batch, which they were counted for.
        gpu (GPU): That runs them.
    """
    if memory.heads is None:
        return 0.0
    heads = memory.heads(plan.amp)
    half = HALF_SHARE * gpu.half
    convolutions = HEADS_SHARE * (gpu.half if plan.amp else gpu.tf32)
    products = half if plan.amp else FP32_SHARE * gpu.fp32
    flops = heads.convolutions / convolutions + heads.products / products
    moved = HEADS_PASSES * heads.kept / (COPY_SHARE * gpu.bandwidth)
    return (3 * flops + moved) * plan.training.batch / images


def step(
    memory: Memory,
    plan: Plan,
    gpu: GPU,
    images: int,
    *,
    accumulate: int = 1,
    assumed: Assumptions = Assumptions(),
) -> Step:
    """Time of a step.

    Args:
        memory (Memory): Of the model.
        plan (Plan): Of a micro-batch.
        gpu (GPU): Each of those of the plan.
        images (int): Of the config's batch, which heads were counted for.
        accumulate (int): Micro-batches of a step.
        assumed (Assumptions): What no data sheet says.
    """
    training, numbers = plan.training, memory.parameters
    slower = 1 / assumed.efficiency
    times = {
        name: time * slower
        for name, time in passes(training, gpu, assumed.kernels).items()
    }
    heads = heads_seconds(memory, plan, images, gpu)
    for block in memory.more_blocks(plan) if memory.more_blocks else []:
        recompute = training.recompute(-1) is not None
        how = dict(recompute=recompute, kernels=assumed.kernels)
        heads += block_seconds(block, gpu, **how).total
    heads *= slower

    forward = times["forward"].total + heads / 3
    backward = times["backward"].total + times["recomputation"].total + heads * 2 / 3
    blocks = sum(training.arch.depths)
    rate = bus(gpu, plan.gpus, assumed.network)
    sent = exchange(plan.strategy, numbers, blocks, plan.gpus, rate)

    def exposed(sent: float, computed: float) -> float:
        return max(sent - assumed.overlap * computed, 0.0)

    most = accumulate - 1  # micro-batches before the last
    shown = accumulate * exposed(sent.forward, forward) + sent.after
    shown += most * exposed(sent.backward, backward)
    shown += exposed(sent.backward + sent.last, backward)
    again = sum(
        depth
        for stage, depth in enumerate(training.arch.depths)
        if training.recompute(stage)
    )
    host = blocks * HOST + again * HOST_AGAIN
    shards = 1 if plan.strategy is None else plan.gpus
    trainable = sum(numbers.trainable.values())
    moved = OPTIMIZER_BYTES * trainable / shards
    return Step(
        backbone=(times["forward"] + times["backward"]) * accumulate,
        recomputation=times["recomputation"].total * accumulate,
        heads=heads * accumulate,
        optimizer=moved / (COPY_SHARE * gpu.bandwidth) * slower,
        communication=accumulate * (sent.forward + sent.backward)
        + sent.last
        + sent.after,
        exposed=shown,
        waiting=accumulate * max(host - forward - backward, 0.0),
    )


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
    *,
    assumed: Assumptions = Assumptions(),
) -> dict[str | None, Choice]:
    """The fastest way of every strategy in 16 bits; of what does not fit the smallest.

    Args:
        memory (Memory): Of the model.
        plan (Plan): What the config says, for its number of GPUs.
        gpu (GPU): Each of them.
        batch (int): Pictures of a step that the recipe wants, on all GPUs; as many as
            there are GPUs at least.
        assumed (Assumptions): What no data sheet says.
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
                assumed=assumed,
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
