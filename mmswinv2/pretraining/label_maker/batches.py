"""How many pictures fit into memory at once."""
# B batch, H W px

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from rich.filesize import decimal
from torch import Tensor, nn

GIB = 2**30
MOST = dict(cpu=32)  # pictures; more are no faster there
MOST_ELSEWHERE = 256
SHARE = dict(cpu=0.5)  # of what is free; a GPU has nothing else to do
SHARE_ELSEWHERE = 0.9
LAYERS = 3  # maps like the largest layer's that are alive at once, workspaces included

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
    each = picture_bytes(run, modules, size, device)
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


def picture_bytes(
    run: Run, modules: nn.Module, size: tuple[int, int], device: torch.device
) -> int:
    """Memory of one picture in a forward pass without gradients, about."""
    largest = 0

    def measure(_: nn.Module, inputs: tuple, output: object) -> None:
        nonlocal largest
        largest = max(largest, _bytes(inputs) + _bytes(output))

    hooks = [module.register_forward_hook(measure) for module in modules.modules()]
    try:
        maps = run(torch.zeros(1, 3, *size, dtype=torch.uint8))
    finally:
        for hook in hooks:
            hook.remove()
    return max(LAYERS * largest + _bytes([*maps.values()]), 1)


def _bytes(value: object) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, (list, tuple)):
        return sum(map(_bytes, value))
    return 0


def free_memory(device: torch.device) -> int:
    """Bytes that programs can still have on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "cpu":
        file = Path("/proc/meminfo")
        if file.exists():
            lines = dict(line.split(":") for line in file.read_text().splitlines())
            return int(lines["MemAvailable"].split()[0]) * 1024
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return 4 * GIB  # other accelerators do not say


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
