"""Amplitudes of activations, block by block: the shape of the paper's Figure 2.

Trains a narrow Swin V2 on the scenes of ``run.py`` at two depths, with res-post-norm or
pre-norm blocks and with cosine or dot-product attention, and measures how large the
main branch is behind every block. Ends in a table and a figure; what has finished is
kept, so that a second call goes on where the first was.

Examples:
    >>> python benchmarks/window_transfer/amplitudes.py
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # works uninstalled

import torch  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from network import Net  # noqa: E402
from protocol import PRETRAIN, SIZES, Phase, Size, build, train  # noqa: E402
from reporting import row  # noqa: E402
from rich.progress import track  # noqa: E402
from scenes import draw, make_scenes  # noqa: E402
from scoring import evaluate  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from mmswinv2.models.blocks import SwinBlock  # noqa: E402
from mmswinv2.ops.window_attention import reference  # noqa: E402

DEPTHS = {"T": (2, 2, 6, 2), "S": (2, 2, 18, 2)}  # those of Swin V2-T and -S
NORMS = ("res-post-norm", "pre-norm")
ATTENTIONS = ("cosine", "dot product")
PHASE = Phase("log_cpb", 0, PRETRAIN, 8)
STYLES = {"cosine": "-", "dot product": "--"}
COLOURS = {"res-post-norm": "C0", "pre-norm": "C3"}


def size_of(depth: str, steps: int) -> Size:
    """A narrow backbone of a depth, on the pictures of the CPU size."""
    backbone = dict(
        embed_dims=32,
        depths=DEPTHS[depth],
        num_heads=(1, 2, 4, 8),
        attention="reference",
    )
    return replace(
        SIZES["cpu"], backbone=backbone, steps=(steps, 0), batch=(16, 16), lr=(1e-3, 0)
    )


def pre_norm(block: SwinBlock) -> None:
    """Make a block normalise what its branches are given, as Swin V1 does."""

    def forward(
        x: Tensor, table: Tensor, window: tuple, shift: tuple, **_: bool
    ) -> Tensor:
        x = x + block.attn(block.norm1(x), table, window=window, shift=shift)
        return x + block.mlp(block.norm2(x))

    for norm in (block.norm1, block.norm2):
        nn.init.ones_(norm.weight)
    block.forward = forward


def dot_product(block: SwinBlock) -> None:
    """Divide logits by the root of the channels of a head, and learn no other scale.

    Queries and keys keep their lengths where ``unit_length`` is patched out.
    """
    heads = len(block.attn.logit_scale)
    channels = block.attn.proj.in_features // heads
    nn.init.constant_(block.attn.logit_scale, math.log(channels**-0.5))
    block.attn.logit_scale.requires_grad_(False)


def blocks_of(net: Net) -> list[SwinBlock]:
    """All blocks in their order."""
    return [block for stage in net.backbone.layers for block in stage.blocks]


@torch.no_grad()
def measure(net: Net, side: int) -> list[float]:
    """Root mean square of the main branch behind every block, on 64 test scenes."""
    amplitudes: list[float] = []
    hooks = [
        block.register_forward_hook(
            lambda _, __, x: amplitudes.append(x.square().mean().sqrt().item())
        )
        for block in blocks_of(net)
    ]
    generator = torch.Generator().manual_seed(0)
    image, _ = draw(make_scenes(64, generator), side, generator)
    net.eval()(image)
    for hook in hooks:
        hook.remove()
    return amplitudes


def run_variant(norm: str, attention: str, size: Size) -> dict:
    """Train one variant; its amplitudes before and after, losses and mIoU."""
    torch.manual_seed(PHASE.seed)
    net = build(PHASE, size)
    for block in blocks_of(net):
        if norm == "pre-norm":
            pre_norm(block)
        if attention == "dot product":
            dot_product(block)
    lengths = (lambda x: x) if attention == "dot product" else reference.unit_length
    with patch.object(reference, "unit_length", lengths):
        before = measure(net, size.image)
        losses = train(net, PHASE, size, torch.Generator().manual_seed(PHASE.seed))
        after = measure(net, size.image)
        test = make_scenes(size.test_scenes, torch.Generator().manual_seed(1))
        scores = evaluate(net, test, size.image, size.batch[1])
    return dict(before=before, after=after, losses=losses, mIoU=scores["mIoU"])


def table(results: dict[tuple[str, str, str], dict]) -> str:
    """Amplitudes of the first and the last block, the largest, and their ratio."""
    columns = ["depths", "norm", "attention", "first block", "last block", "largest"]
    columns += ["largest / first", "mIoU"]
    lines = [row(columns), row(["---"] * len(columns))]
    for (depth, norm, attention), result in results.items():
        values = result["after"]
        numbers = (values[0], values[-1], max(values), max(values) / values[0])
        cells = [" ".join(map(str, DEPTHS[depth])), norm, attention]
        lines.append(
            row([*cells, *(f"{x:.2f}" for x in numbers), f"{result['mIoU']:.1f}"])
        )
    return "\n".join(lines)


def figure_of(results: dict[tuple[str, str, str], dict]) -> Figure:
    """Amplitudes over blocks, one panel per depth."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = dict(zip(DEPTHS, figure.subplots(1, len(DEPTHS), sharey=True)))
    for (depth, norm, attention), result in results.items():
        ax, values = panels[depth], result["after"]
        ax.plot(
            range(1, len(values) + 1),
            values,
            STYLES[attention],
            color=COLOURS[norm],
            label=f"{norm}, {attention}",
        )
        ends = itertools.accumulate(DEPTHS[depth])
        for end in [*ends][:-1]:
            ax.axvline(end + 0.5, color="0.85", linewidth=1, zorder=0)
        ax.set_title(f"depths {DEPTHS[depth]}", fontsize=10)
        ax.set_xlabel("block", fontsize=9)
    panels["T"].set_ylabel("root mean square of the main branch", fontsize=9)
    panels["T"].legend(fontsize=8)
    return figure


def main() -> None:
    """Run what is missing, then write table and figure."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "work_dirs" / "window_transfer" / "amplitudes",
        help="folder of results",
    )
    parser.add_argument("--steps", type=int, default=300, help="of each training")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    results = {}
    variants = [*itertools.product(DEPTHS, NORMS, ATTENTIONS)]
    for depth, norm, attention in track(variants, "amplitudes"):
        name = f"{depth}_{norm}_{attention}_{args.steps}.json".replace(" ", "-")
        file = args.out / name
        if not file.is_file():
            result = run_variant(norm, attention, size_of(depth, args.steps))
            file.write_text(json.dumps(result, indent=1))
        results[depth, norm, attention] = json.loads(file.read_text())
    (args.out / "amplitudes.md").write_text(table(results) + "\n")
    figure_of(results).savefig(args.out / "amplitudes.png", dpi=110)
    print(f"{table(results)}\n\nwritten to {args.out}")


if __name__ == "__main__":
    main()
