"""Time that a GPU takes for a training step, by a roofline that was calibrated.

Three bounds, added up: products by FLOPs, everything else by bytes that memory moves,
fused attention by its logits. Constants are of one H200 (benchmarks/README.md) and are
carried to other GPUs by their data sheets.
"""
# T tokens, P tokens with padding, C channels, N tokens of a window, n heads

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, prod

from .gpus import COPY_SHARE, FP32_SHARE, GPU, GPUS, HALF_SHARE
from .memory_model import HIDDEN_DIMS, Block, Training, merge

TILE = 64  # rows of the attention kernels' tiles, whole in their work
# Bytes per token and channel of a block: both norms; all else but attention's own.
# Forward from a profile of 'base', backward from its training at batch 4.
NORMS, OTHERS = (30, 55), (92, 238)
ATTENTION_BYTES = (8, 32)  # reads q, k, v and writes the output; three kernels backward
FP32_BYTES = 1.6  # times those of 16 bits, estimated
FP32_LOGITS = 0.5  # times the rate of 16 bits, estimated
OPTIMIZER_BYTES = 92  # per parameter: AdamW by foreach, clipping, zeros; counted


@dataclass(frozen=True)
class Logits:
    """Logits a second of the attention kernels on an H200, beside what they move.

    Attributes:
        forward (float): Of the forward kernel.
        backward (float): Of the three backward kernels together.
        small (float): Of the one kernel for windows of up to 64 tokens.
    """

    forward: float
    backward: float
    small: float


KERNELS = Logits(forward=0.78e12, backward=0.18e12, small=0.48e12)  # tiles of 64 rows


@dataclass(frozen=True)
class Work:
    """What a pass does.

    Attributes:
        products (float): FLOPs of linear layers, two for a multiply-add.
        attention (float): FLOPs of both products of attention, padding included.
        logits (float): Logits of the kernels, whole tiles.
        numbers (float): Tokens times channels, over all blocks.
        small (bool): Whether windows have up to 64 tokens.
    """

    products: float = 0.0
    attention: float = 0.0
    logits: float = 0.0
    numbers: float = 0.0
    small: bool = False

    @property
    def flops(self) -> float:
        """All of them."""
        return self.products + self.attention


@dataclass(frozen=True)
class Seconds:
    """Time of a pass, by what bounds it."""

    products: float = 0.0
    attention: float = 0.0
    norms: float = 0.0
    memory: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.products + self.attention + self.norms + self.memory

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(
            self.products + other.products,
            self.attention + other.attention,
            self.norms + other.norms,
            self.memory + other.memory,
        )

    def __mul__(self, factor: float) -> Seconds:
        return Seconds(
            self.products * factor,
            self.attention * factor,
            self.norms * factor,
            self.memory * factor,
        )


def block_work(block: Block, *, bias: bool = True) -> Work:
    """The forward pass of a block.

    Args:
        block (Block): Sizes.
        bias (bool): Whether a meta network computes its position bias.
    """
    C, T, N = block.channels, block.tokens, prod(block.window)
    products = 2.0 * T * C * (4 * C + 2 * block.hidden)
    if bias:
        offsets = prod(2 * length - 1 for length in block.window)
        inputs = len(block.window)
        products += 2 * offsets * HIDDEN_DIMS * (inputs + block.heads)
    windows = block.padded / N
    return Work(
        products=products,
        attention=4.0 * block.padded * N * C,
        logits=windows * block.heads * (ceil(N / TILE) * TILE) ** 2,
        numbers=float(T * C),
        small=N <= TILE,
    )


def stage_work(training: Training, stage: int) -> Work:
    """The forward pass of a stage's blocks; those shifted may have other windows."""
    depth, bias = training.arch.depths[stage], training.position_bias != "table"
    plain = block_work(training.block(stage), bias=bias)
    moved = block_work(training.block(stage, shifted=True), bias=bias)
    odd = depth // 2

    def both(name: str) -> float:
        return (depth - odd) * getattr(plain, name) + odd * getattr(moved, name)

    names = ("products", "attention", "logits", "numbers")
    return Work(**{name: both(name) for name in names}, small=plain.small)


def joints(training: Training) -> list[float]:
    """FLOPs of the patch embedding and of every patch merging."""
    first = training.block(0)
    flops = [2.0 * first.tokens * 3 * prod(training.patch) * first.channels]
    for stage in range(len(training.arch.depths) - 1):
        block = training.block(stage)
        merged = training.batch * prod(merge(block.size))
        flops.append(2.0 * merged * 8 * block.channels**2)
    return flops


def forward_flops(training: Training) -> float:
    """FLOPs of the backbone's forward pass, two for a multiply-add."""
    stages = range(len(training.arch.depths))
    return sum(joints(training)) + sum(stage_work(training, i).flops for i in stages)


def seconds(
    work: Work,
    gpu: GPU,
    *,
    backward: bool = False,
    number: int = 2,
    kernels: Logits = KERNELS,
) -> Seconds:
    """Time of a pass.

    Args:
        work (Work): Of the forward pass.
        gpu (GPU): That runs it.
        backward (bool): The backward pass instead, with twice the products.
        number (int): Bytes of a number of linear layers, 2 or 4.
        kernels (Logits): Rates of the attention kernels on an H200.
    """
    half = number == 2
    rate = HALF_SHARE * gpu.half if half else FP32_SHARE * gpu.fp32
    bytes_per_second = COPY_SHARE * gpu.bandwidth / (1.0 if half else FP32_BYTES)
    logits = kernels.forward
    if backward:
        logits = kernels.small if work.small else kernels.backward
    logits *= gpu.issue / GPUS["h200"].issue * (1.0 if half else FP32_LOGITS)

    def moved(sizes: tuple[int, int]) -> float:
        return sizes[backward] * work.numbers / bytes_per_second

    return Seconds(
        products=(2 if backward else 1) * work.products / rate,
        attention=work.logits / logits + moved(ATTENTION_BYTES),
        norms=moved(NORMS),
        memory=moved(OTHERS),
    )


def passes(
    training: Training, gpu: GPU, kernels: Logits = KERNELS
) -> dict[str, Seconds]:
    """Time of the backbone's 'forward', 'backward' and 'recomputation' for a batch."""
    number = training.number
    total = dict.fromkeys(("forward", "backward", "recomputation"), Seconds())
    for work, stage in _parts(training):
        forward = seconds(work, gpu, number=number, kernels=kernels)
        total["forward"] += forward
        if stage < training.frozen_stages:
            continue
        total["backward"] += seconds(
            work, gpu, backward=True, number=number, kernels=kernels
        )
        if work.numbers and training.recompute(stage) == "block":
            total["recomputation"] += forward
        elif work.numbers and training.recompute(stage) == "mlp":
            block = training.block(stage)
            first = block.hidden / (4 * block.channels + 2 * block.hidden)
            total["recomputation"] += replace(forward * first, attention=0.0, norms=0.0)
    return total


def _parts(training: Training) -> Iterator[tuple[Work, int]]:
    """Work of all parts, with the stage that it is frozen with."""
    embedding, *merging = joints(training)
    yield Work(products=embedding), -1
    for stage in range(len(training.arch.depths)):
        yield stage_work(training, stage), stage
    for stage, flops in enumerate(merging):
        yield Work(products=flops), stage


def block_seconds(
    block: Block, gpu: GPU, *, recompute: bool, kernels: Logits = KERNELS
) -> Seconds:
    """Training time of one more block, as HTC++ has it behind the backbone."""
    work = block_work(block)
    number = block.number
    forward = seconds(work, gpu, number=number, kernels=kernels)
    backward = seconds(work, gpu, backward=True, number=number, kernels=kernels)
    return forward * (2 if recompute else 1) + backward
