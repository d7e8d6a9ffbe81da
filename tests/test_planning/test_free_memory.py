from pathlib import Path

import pytest
import torch
from torch import nn

from mmswinv2.planning.free_memory import _left_in_groups, pass_bytes


def _write(folder: Path, **texts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.mark.parametrize("path", ["/", "/job/step", "/not/there"])
def test_every_group_that_a_process_is_in_may_limit_its_memory(path, tmp_path):
    statistics = "anon 10\ninactive_file 20\n"
    _write(tmp_path, memory__max="max\n", memory__current="70", memory__stat=statistics)
    job = tmp_path / "job"
    _write(job, memory__max="100\n", memory__current="50", memory__stat=statistics)
    left = [*_left_in_groups(tmp_path, [f"0::{path}", "2:cpu:/job"])]
    assert left == ([70] if path == "/job/step" else [])


def test_of_the_first_version_the_groups_of_memory_count(tmp_path):
    names = ("limit_in_bytes", "usage_in_bytes", "stat")
    texts = ("100", "150", "total_inactive_file 20\n")
    _write(tmp_path / "memory", **{f"memory__{n}": t for n, t in zip(names, texts)})
    assert [*_left_in_groups(tmp_path, ["4:memory:/elsewhere", "0::/"])] == [0]


def test_a_pass_is_measured_without_what_gradients_would_keep():
    kept = []
    layer = nn.Linear(2, 3)
    layer.register_forward_hook(lambda *args: kept.append(args[2].requires_grad))
    assert pass_bytes(lambda: layer(torch.zeros(1, 2)), layer) > 0
    assert kept == [False]
