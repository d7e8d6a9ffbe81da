"""What memory there is, and what a pass of a model without gradients takes of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

GIB = 2**30
LAYERS = 3  # maps like the largest layer's that are alive at once, workspaces included
# Of a container: its limit, what it uses, and what of that are caches of files that go
# first where memory is short; of the second and of the first version of cgroups.
CGROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def free_memory(device: torch.device) -> int:
    """Bytes that programs can still have on a device."""
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held
    if device.type != "cpu":
        return 4 * GIB  # other accelerators do not say
    file = Path("/proc/meminfo")
    if not file.exists():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    lines = dict(line.split(":") for line in file.read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    return min([free, *_left_in_containers(Path("/sys/fs/cgroup"))])


def _left_in_containers(root: Path) -> list[int]:
    """Bytes that the container has left, if it has a limit."""
    left = []
    for limit, used, statistics, caches in CGROUPS:
        try:
            allowed = int((root / limit).read_text())
            lines = (root / statistics).read_text().splitlines()
            cached = int(dict(line.split() for line in lines)[caches])
            used_now = int((root / used).read_text()) - cached
        except (OSError, ValueError, KeyError):  # no such file, or the limit 'max'
            continue
        left.append(max(allowed - used_now, 0))
    return left


def pass_bytes(run: Callable[[], object], modules: nn.Module) -> int:
    """Memory that a forward pass without gradients takes, about.

    Args:
        run (Callable): Runs it; what it returns counts.
        modules (nn.Module): That it runs.
    """
    largest = 0

    def measure(_: nn.Module, inputs: tuple, output: object) -> None:
        nonlocal largest
        largest = max(largest, _bytes(inputs) + _bytes(output))

    hooks = [module.register_forward_hook(measure) for module in modules.modules()]
    try:
        result = run()
    finally:
        for hook in hooks:
            hook.remove()
    return max(LAYERS * largest + _bytes(result), 1)


def _bytes(value: object) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return _bytes([*value.values()])
    if isinstance(value, (list, tuple)):
        return sum(map(_bytes, value))
    return 0
