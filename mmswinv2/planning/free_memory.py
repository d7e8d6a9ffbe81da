"""What memory there is, and what a pass of a model without gradients takes of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

GIB = 2**30
LAYERS = 3  # maps like the largest layer's that are alive at once, workspaces included
# Of a container or a job: its limit, what it uses, and what of that are caches of files
# that go first where memory is short; of the second and the first version of cgroups.
CGROUPS = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
}


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
    groups = Path("/proc/self/cgroup")
    lines = groups.read_text().splitlines() if groups.exists() else []
    return min([free, *_left_in_groups(Path("/sys/fs/cgroup"), lines)])


def _left_in_groups(root: Path, lines: Iterable[str]) -> Iterator[int]:
    """Bytes left in every group with a limit that the process is in.

    Args:
        root (Path): Where the groups are mounted; of a container, its own one.
        lines (Iterable[str]): Such as '0::/job/step', the group by the version.
    """
    for line in lines:
        _, version, path = line.split(":", 2)
        if version not in CGROUPS:
            continue
        limit, used, caches = CGROUPS[version]
        top = root / version
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            try:
                allowed = int((folder / limit).read_text())
                statistics = (folder / "memory.stat").read_text().splitlines()
                cached = int(dict(row.split() for row in statistics)[caches])
                used_now = int((folder / used).read_text()) - cached
            except (OSError, ValueError, KeyError):  # no such file, or the limit 'max'
                continue
            yield max(allowed - used_now, 0)


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
        with torch.no_grad():
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
