"""What a frozen teacher takes of a GPU is counted without running it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from mmengine.config import Config
from tiny import SEG
from torch import Tensor, nn

from mmswinv2.apis import find_config
from mmswinv2.planning.config_plan import read_memory, read_plan
from mmswinv2.planning.memory_plan import Memory
from mmswinv2.planning.teacher_memory import teacher_memory


class Teacher(nn.Module):
    """A map of 8 channels through two of 64, the first of which is needed again."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 64, 4, 4), nn.Conv2d(64, 64, 1)
        self.last = nn.Conv2d(64, 8, 1)

    def features(self, images: Tensor) -> Tensor:
        """``(B, 8, H / 4, W / 4)``."""
        x = self.first(images)
        return self.last(x + self.second(x).add_(1))


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_peak_is_that_of_what_lives_at_the_same_time(
    amp: bool, device: str
) -> None:
    with torch.device(device):
        teacher = Teacher()
    peak, shape = teacher_memory(teacher, (2, 3, 400, 200), amp=amp)
    assert shape == (8, 100, 50)
    maps = 3 * 2 * 64 * 100 * 50 * (2 if amp else 4)  # x, its convolution, their sum
    others = 2 * 3 * 400 * 200 * 2 * amp  # pictures in bf16; weights are few
    assert maps <= peak <= 1.05 * (maps + others)
    assert teacher.last.weight.device.type == device


def test_it_is_the_peak_where_it_takes_most() -> None:
    """Weights lie beside those of the student; what passes comes before it."""
    cfg = Config.fromfile(find_config(SEG))
    model, plan = read_plan(cfg, gpus=1)
    plain = read_memory(cfg, model, plan.training)
    total = plain.total(plan)

    def of(teacher_pass: int) -> dict[str, int]:
        memory: Memory = replace(
            plain, teacher=10**6, teacher_pass=lambda plan: teacher_pass
        )
        return memory.of(plan)

    assert sum(of(10).values()) == total + 4 * 10**6
    most = of(10 * total)
    assert most["teacher_pass"] == 10 * total
    assert most["teacher"] == 4 * 10**6
    assert not {"backbone", "heads", "passing"} & most.keys()
