"""How long GPUs take to exchange gradients and parameters, in seconds.

Rings, as NCCL has them: in a node over its links, beyond one as fast as the slower of
links and the network of a node, which all its GPUs share. Sizes are bytes of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from .gpus import GPU, LINK_SHARE, NETWORK_SHARE, NODE
from .memory_model import FP32
from .memory_plan import Parameters

BUCKET = 25 * 2**20  # bytes, DDP's default
LATENCY = 30e-6  # seconds of one call, estimated
UNITS_PER_BLOCK = 2  # of FSDP: a block, and the meta network in it


def bus(gpu: GPU, gpus: int, network: float | None = None) -> float:
    """Bytes/s that a ring of GPUs passes on.

    Args:
        gpu (GPU): Each of them.
        gpus (int): Number.
        network (float, optional): Of a node, bytes/s; else that of the GPU's usual one.
    """
    link = LINK_SHARE * gpu.link
    if gpus <= NODE:
        return link
    return min(link, NETWORK_SHARE * (network or gpu.network))


def gather_seconds(size: float, gpus: int, rate: float, calls: int = 1) -> float:
    """An all-gather, or a reduce-scatter: (n - 1) / n of the size goes round."""
    if gpus == 1:
        return 0.0
    return size * (gpus - 1) / gpus / rate + calls * LATENCY


def all_reduce_seconds(size: float, gpus: int, rate: float, calls: int = 1) -> float:
    """A reduce-scatter and an all-gather: 2 (n - 1) / n of the size."""
    return 2 * gather_seconds(size, gpus, rate, calls)


@dataclass(frozen=True)
class Exchange:
    """Seconds of communication in a step.

    Attributes:
        forward (float): While the forward pass runs, once per micro-batch.
        backward (float): While the backward pass runs, once per micro-batch.
        last (float): While the backward pass of the last micro-batch runs.
        after (float): After it, with nothing beside it.
    """

    forward: float = 0.0
    backward: float = 0.0
    last: float = 0.0
    after: float = 0.0


def exchange(
    strategy: str | None,
    numbers: Parameters,
    blocks: int,
    gpus: int,
    rate: float,
) -> Exchange:
    """What a strategy exchanges; parameters and gradients are fp32 in all of ours.

    Args:
        strategy (str, optional): 'zero1', 'fsdp' or None, which is DDP.
        numbers (Parameters): Of the model.
        blocks (int): Of the backbone.
        gpus (int): That share the work.
        rate (float): As :func:`bus` gives it.
    """
    trainable = FP32 * sum(numbers.trainable.values())
    if strategy == "fsdp":
        units = UNITS_PER_BLOCK * blocks + 1
        whole = gather_seconds(FP32 * numbers.total, gpus, rate, units)
        again = gather_seconds(FP32 * numbers.blocks, gpus, rate, units)  # not the rest
        scattered = gather_seconds(trainable, gpus, rate, units)
        return Exchange(forward=whole, backward=again + scattered)
    buckets = ceil(trainable / BUCKET)
    reduced = all_reduce_seconds(trainable, gpus, rate, buckets)
    if strategy == "zero1":  # every GPU hands its updated share to all others
        return Exchange(last=reduced, after=gather_seconds(trainable, gpus, rate, gpus))
    return Exchange(last=reduced)
