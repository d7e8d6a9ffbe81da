"""Predicted times beside those that were measured on one H200."""

from __future__ import annotations

import json
from pathlib import Path

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.planning.gpus import GPUS
from mmswinv2.planning.memory_model import Block, Training
from mmswinv2.planning.step_time import Logits, block_work, passes, seconds

RESULTS = Path(__file__).resolve().parents[1] / "gpu" / "results"
MEASURED = RESULTS / "nvidia-h200-first-tiles" / "eager.json"
# Rates of the first tiles of the attention kernels, from their own table of the H200:
# whole backbones were measured with these, and not again since.
FIRST_TILES = Logits(forward=0.32e12, backward=0.102e12, small=0.48e12)

# Kernels: batch, side, heads, window, ms forward, ms backward (the table of new tiles;
# window 8, whose backward kernel was not tiled anew, from the report).
KERNELS = (
    (1, 256, 4, 8, 0.049, 0.1709 - 0.0794),
    (4, 64, 16, 12, 0.133, 0.145 + 0.196 + 0.215),
    (1, 256, 4, 16, 0.098, 0.106 + 0.141 + 0.165),
    (4, 64, 16, 16, 0.106, 0.116 + 0.160 + 0.165),
    (1, 128, 8, 24, 0.134, 0.137 + 0.206 + 0.234),
    (1, 128, 8, 32, 0.172, 0.177 + 0.269 + 0.285),
)


def backbone_rows() -> list[tuple[str, float, float]]:
    """Case, predicted and measured ms of 'base' on an H200."""
    tables = json.loads(MEASURED.read_text())["tables"]
    cells, rows = tables[0]["cells"], []
    for kind in ("forward", "training"):
        for batch in (1, 4):
            case = f"{kind}, 1024 x 1024, window 16, batch {batch}"
            arch = ARCHITECTURES["base"]
            training = Training(arch, (1024, 1024), batch, ((16, 16),) * 4)
            times = passes(training, GPUS["h200"], FIRST_TILES)
            whole = times["forward"].total
            whole += times["backward"].total if kind == "training" else 0.0
            rows.append((case, whole * 1000, cells[case]["ours"]["values"]["ms"]))
    return rows


def kernel_rows() -> list[tuple[str, float, float]]:
    """Case, predicted and measured ms of the attention kernels on an H200."""
    rows = []
    for batch, side, heads, window, *measured in KERNELS:
        channels = 32 * heads
        sides, windows, shift = (side,) * 2, (window,) * 2, (window // 2,) * 2
        work = block_work(
            Block(batch, sides, windows, shift, channels, heads, 4 * channels, 2)
        )
        case = f"{batch} x {side} x {side}, {heads} heads, window {window}"
        for backward, time in zip((False, True), measured):
            predicted = seconds(work, GPUS["h200"], backward=backward).attention
            kind = "backward" if backward else "forward"
            rows.append((f"attention, {kind}, {case}", predicted * 1000, time))
    return rows
