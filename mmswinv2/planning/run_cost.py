"""What a training step takes on some GPUs: compute, exchange, waiting."""

from __future__ import annotations

from dataclasses import dataclass

from .communication import bus, exchange
from .gpus import COPY_SHARE, FP32_SHARE, GPU, HALF_SHARE, HEADS_SHARE
from .memory_plan import Memory, Plan
from .step_time import KERNELS, OPTIMIZER_BYTES, Logits, Seconds, block_seconds, passes

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
        kernels = assumed.kernels
        time = block_seconds(block, gpu, recompute=recompute, kernels=kernels)
        heads += time.total
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
