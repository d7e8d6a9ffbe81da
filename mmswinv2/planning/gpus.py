"""GPUs, how they are joined, and what of their data sheets training reaches."""

from __future__ import annotations

import re
from dataclasses import dataclass

GIB = 2**30
NODE = 8  # GPUs that share a node, as in DGX and HGX


@dataclass(frozen=True)
class GPU:
    """A GPU by its data sheet, dense products, and the usual node around it.

    Attributes:
        label (str): As people call it.
        memory (int): GiB, as sold.
        half (float): 16-bit products with fp32 sums, FLOP/s.
        tf32 (float): Products in TF32, FLOP/s.
        fp32 (float): Products in fp32, FLOP/s.
        bandwidth (float): Of its memory, bytes/s.
        processors (int): Streaming multiprocessors.
        clock (float): Their boost, Hz.
        link (float): To the other GPUs of a node, bytes/s in each direction.
        network (float): Of a node to the others, bytes/s in each direction.
        doubt (float): Share by which rates may be off: more where none was measured.
    """

    label: str
    memory: int
    half: float
    tf32: float
    fp32: float
    bandwidth: float
    processors: int
    clock: float
    link: float
    network: float
    doubt: float

    @property
    def issue(self) -> float:
        """Clocks of all processors a second, which bound fused attention."""
        return self.processors * self.clock


# NVIDIA's data sheets of H100 and H200 SXM, A100 SXM and white papers of Ada and
# Ampere (GA102); nodes are DGX H100 (8 x 400 Gb/s), DGX A100 (8 x 200 Gb/s) and a
# server with PCIe 4.0 and one port of 100 Gb/s. RTX cards reach each other through the
# host, at about a third of PCIe's 32 GB/s (estimated).
GPUS = {
    "h200": GPU(
        *("H200", 141, 989e12, 494e12, 67e12, 4.8e12, 132, 1.98e9, 450e9, 400e9, 0.2)
    ),
    "h100": GPU(
        *("H100", 80, 989e12, 494e12, 67e12, 3.35e12, 132, 1.98e9, 450e9, 400e9, 0.25)
    ),
    "a100-80": GPU(
        *("A100 80 GB", 80, 312e12, 156e12, 19.5e12, 2.039e12),
        *(108, 1.41e9, 300e9, 200e9, 0.35),
    ),
    "a100-40": GPU(
        *("A100 40 GB", 40, 312e12, 156e12, 19.5e12, 1.555e12),
        *(108, 1.41e9, 300e9, 200e9, 0.35),
    ),
    "rtx4090": GPU(
        *("RTX 4090", 24, 165e12, 82.6e12, 82.6e12, 1.008e12),
        *(128, 2.52e9, 10e9, 12.5e9, 0.35),
    ),
    "rtx3090": GPU(
        *("RTX 3090", 24, 71e12, 35.6e12, 35.6e12, 0.936e12),
        *(82, 1.695e9, 10e9, 12.5e9, 0.35),
    ),
}
BY_MEMORY = {24: "rtx4090", 40: "a100-40", 80: "h100", 141: "h200"}

# What of that is reached. The first three are of the H200 in benchmarks/README.md:
# products of 8192 x 8192 in bf16 and in fp32, copies. The next is what an operator's
# share of convolutions in heads is taken for; links and networks are shares that users
# report of NCCL: 208 of 300 GB/s (NVIDIA/nccl-tests#178), 46 to 48 of 50 (#290).
HALF_SHARE, FP32_SHARE, COPY_SHARE = 789.3 / 989, 51.3 / 67, 4.246 / 4.8
HEADS_SHARE = 0.5
LINK_SHARE, NETWORK_SHARE = 0.7, 0.9


def read_gpu(text: str) -> tuple[float, GPU | None]:
    """Bytes of a GPU's memory, and the GPU where it is known.

    Args:
        text (str): A name, such as 'h100', or a memory: '80GB', '80' or '23.6GiB', all
            in GiB, as sold.

    Raises:
        ValueError: If it is neither.
    """
    name = text.lower()
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(gb|gib|g)?", name)
    if name in GPUS:
        return GPUS[name].memory * GIB, GPUS[name]
    if not match or not float(match[1]):
        raise ValueError(
            f"--gpu {text}: expected its memory, such as 80GB or 24GB, or one of "
            f"{', '.join(GPUS)}"
        )
    size = float(match[1])
    known = BY_MEMORY.get(int(size)) if size.is_integer() else None
    return size * GIB, GPUS[known] if known else None
