"""A full disk ends a command with one sentence, and leaves nothing half-written."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tiny import DET, Tool, load_tiny, save_weights

from mmswinv2.checkpoints.whole_files import UNFINISHED
from mmswinv2.models import SwinTransformerV2

CONVERT = ("tools/model_converters/convert_swinv2.py", "nano.pth")
TRANSFER = ("tools/transfer_window.py", "nano.pth")
# Command line, bytes that fit on the disk, and what shall be named.
COMMANDS = {
    "log": (("tools/train.py", DET, "--work-dir", "run", "{options}"), 2000, "a file"),
    "checkpoint": (
        ("tools/train.py", DET, "--work-dir", "run", "{options}"),
        200_000,
        "iter_1.pth",
    ),
    "pictures": (
        ("tools/test.py", DET, "det.pth", "--show-dir", "shown", "{options}"),
        50_000,
        "shown/",
    ),
    "official": ((*CONVERT, "out.pth", "--to", "official"), 1000, "out.pth"),
    "timm": (
        (*CONVERT, "out.safetensors", "--to", "timm"),
        1000,
        "out.safetensors",
    ),
    "folder": ((*CONVERT, "out", "--to", "hf"), 1000, "out/model.safetensors"),
    "transfer": ((*TRANSFER, "--window", "16", "--out", "out.pth"), 1000, "out.pth"),
}


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """No file of this process grows beyond a size, which needs no disk of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", COMMANDS)
def test_one_sentence_and_no_file(name: str, tool: Tool, data: Path) -> None:
    torch.save(dict(model=SwinTransformerV2("nano").state_dict()), "nano.pth")
    save_weights(load_tiny(DET), Path("det.pth"))
    options = ["--cfg-options", f"data_root={data / 'coco'}", "train_cfg.max_iters=1"]
    options.append("default_hooks.checkpoint.interval=1")
    command, size, named = COMMANDS[name]
    before = {*Path().rglob("*")}
    full = [*command[:-1], *options] if command[-1] == "{options}" else command
    with full_at(size):
        code, out, err = tool.run(*full)
    assert code == 1, out
    assert "Traceback" not in err + out and "Logging error" not in err
    message = err.split("error: ", 1)[1].strip()
    assert "\n" not in message and named in message and "File too large" in message
    made = {*Path().rglob("*")} - before
    suffixes = (".pth", ".jpg", ".safetensors", UNFINISHED)
    assert [path for path in made if path.suffix in suffixes] == []
    assert not Path("out").exists()
