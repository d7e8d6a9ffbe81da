"""How many pictures fit into memory at once."""
# B batch, H W px

from __future__ import annotations

from collections.abc import Callable

import torch
from rich.filesize import decimal
from torch import Tensor, nn

from mmswinv2.planning.free_memory import free_memory, pass_bytes

MOST = dict(cpu=32)  # pictures; more are no faster there
MOST_ELSEWHERE = 256
SHARE = dict(cpu=0.5)  # of what is free; a GPU has nothing else to do
SHARE_ELSEWHERE = 0.9

Run = Callable[[Tensor], dict[str, Tensor]]


def choose_batch(
    run: Run,
    modules: nn.Module,
    size: tuple[int, int],
    device: torch.device,
    *,
    processes: int,
    pictures: int,
) -> tuple[int, str]:
    """A power of two that fits, tried out on a GPU, and why it is that.

    Args:
        run (Callable): From images of 8 bits to maps.
        modules (nn.Module): That it runs.
        size (tuple[int, int]): (H, W) of images.
        device (torch.device): Where it runs.
        processes (int): That share the device.
        pictures (int): In all; no batch is larger.
    """
    one = torch.zeros(1, 3, *size, dtype=torch.uint8)
    each = pass_bytes(lambda: run(one), modules)
    free = free_memory(device) // processes
    share = SHARE.get(device.type, SHARE_ELSEWHERE)
    most = min(MOST.get(device.type, MOST_ELSEWHERE), pictures)
    batch = 1
    while batch * 2 <= min(free * share / each, most):
        batch *= 2
    why = f"one takes about {decimal(each)}, {decimal(free)} are free"
    while batch > 1 and device.type != "cpu":
        try:
            run(torch.zeros(batch, 3, *size, dtype=torch.uint8))
            break
        except torch.cuda.OutOfMemoryError:
            batch //= 2
            why += f"; {batch * 2} did not fit"
            torch.cuda.empty_cache()
    return batch, why


def halving(run: Run, images: Tensor, tell: Callable[[str], None]) -> dict[str, Tensor]:
    """Maps of a batch, in smaller parts where it does not fit any more."""
    try:
        return run(images)
    except torch.cuda.OutOfMemoryError:
        if len(images) == 1:
            raise RuntimeError(
                f"not even one picture of {images.shape[2]} x {images.shape[3]} px "
                "fits into the memory of the device; give a smaller --size"
            ) from None
    torch.cuda.empty_cache()
    tell(f"a batch of {len(images)} did not fit into memory: computed in halves")
    halves = [halving(run, half, tell) for half in images.tensor_split(2)]
    return {name: torch.cat([half[name] for half in halves]) for name in halves[0]}
