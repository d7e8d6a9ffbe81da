"""Shows what another window does to the position bias of weights, and writes them.

Per stage: the window, the normaliser (the unit of the coordinates), by which part the
coordinates reach further than in training, and the largest change of the bias at
offsets that both windows have.

Examples:
    >>> python tools/transfer_window.py swinv2://tiny-w8-256 --window 32
    >>> python tools/transfer_window.py work_dirs/x/epoch_12.pth --window 32,32,32,16 \
    ...     --out w32.pth --plot maps --heads 0 2
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from mmengine.logging import MMLogger

from mmswinv2.checkpoints import SwinWeights, read_checkpoint, read_swin_weights
from mmswinv2.checkpoints.position_biases import position_bias_of
from mmswinv2.checkpoints.tensors import STEM, num_axes
from mmswinv2.checkpoints.whole_files import save_whole
from mmswinv2.checkpoints.windows import WINDOW_RECORD, Window, record_of, short
from mmswinv2.cli import launch
from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.bias_pictures import draw_stage
from mmswinv2.models.window_transfer import StageTransfer, stage_transfers

# (window of training, larger window) that the paper tests. As pre-trained: Table 1, at
# 768 px. Fine-tuned: a table and linear coordinates in Table 1, COCO; log-spaced ones
# in Table 3, where the last stage comes from a window of 6 (192 px) and has one of 32.
TESTED_AS_PRETRAINED = (8, 24)
TESTED_FINE_TUNED = {"log_cpb": (6, 32), "linear_cpb": (8, 32), "table": (8, 32)}


def extrapolation(kind: str, before: Window, after: Window) -> float:
    """By which part the coordinates grow beyond those of training (section 3.3).

    From 8 to 16 it is 0.33 for log-spaced coordinates and 1.14 for linear ones; of a
    table, which is stretched, it is that of the offsets.

    Args:
        kind (str): 'log_cpb', 'linear_cpb' or 'table'.
        before (tuple[int, ...]): Window that the weights were trained at, in tokens.
        after (tuple[int, ...]): New window.

    Returns:
        float: That of the axis that grows most; 0 for windows that do not grow.
    """
    parts = [0.0]
    for old, new in zip(before, after):
        if new > old:
            if kind == "log_cpb":
                reach, known = math.log(new), math.log(old)
            else:
                reach, known = new - 1, old - 1
            parts.append(reach / known - 1 if known else math.inf)
    return max(parts)


def remark(kind: str, stage: int, transfer: StageTransfer) -> str | None:
    """One sentence where a stage goes further than the paper's own tests."""
    part = extrapolation(kind, transfer.before, transfer.after)
    old, new = TESTED_FINE_TUNED[kind]
    change = f"stage {stage}: {short(transfer.before)} -> {short(transfer.after)}"
    if part > (most := extrapolation(kind, (old, old), (new, new))) + 1e-9:
        return (
            f"warning: {change} extrapolates by {part:.2f}, further than anything the "
            f"paper tested ({old} -> {new}, {most:.2f}, fine-tuned); use a smaller "
            "window, or two steps with fine-tuning between"
        )
    old, new = TESTED_AS_PRETRAINED
    if part > extrapolation(kind, (old, old), (new, new)) + 1e-9:
        return (
            f"note: {change} is further than the paper tests without fine-tuning "
            f"({old} -> {new}): fine-tune at this window"
        )
    return None


def build_backbone(weights: SwinWeights, window: Sequence) -> SwinTransformerV2:
    """A backbone of the size that weights have, at a window, with these weights."""
    tensors = weights.tensors
    first = "layers.0.blocks.0"
    stages = range(len(weights.architecture.depths))
    norms = [stage for stage in stages if f"norm{stage}.weight" in tensors]
    try:
        fc1 = tensors[f"{first}.mlp.fc1.weight"]
        in_channels = tensors[STEM].shape[1]
    except KeyError as error:
        raise RuntimeError(
            f"these are no complete weights: {error} is missing"
        ) from None
    build, options = SwinTransformerV2, {}
    if num_axes(tensors) == 3:
        from mmswinv2.video.backbone import VideoSwinTransformerV2

        build = VideoSwinTransformerV2
        options = dict(temporal_patch_size=tensors[STEM].shape[2])
    backbone = build(
        **options,
        **asdict(weights.architecture),
        in_channels=in_channels,
        mlp_ratio=len(fc1) / fc1.shape[1],
        qkv_bias=f"{first}.attn.q_bias" in tensors,
        patch_norm="patch_embed.norm.weight" in tensors,
        position_bias=position_bias_of(tensors),
        window_size=window,
        out_indices=norms or stages[-1:],
    )
    backbone.load_state_dict({**tensors, WINDOW_RECORD: record_of(weights.windows)})
    return backbone.eval()


def save(
    backbone: SwinTransformerV2, weights: SwinWeights, args: argparse.Namespace
) -> None:
    """Write the whole checkpoint with the backbone at its new windows.

    Neck and heads, if there are any, stay as they are; the optimizer's state and the
    like are left out, since a run that goes on has the old window in them.
    """
    checkpoint = read_checkpoint(args.checkpoint)
    names = {*backbone.state_dict()} - {*backbone.loaded.absent}
    own = {k: v for k, v in backbone.state_dict().items() if k in names}
    extra = {
        name: tensor
        for name, tensor in weights.tensors.items()
        if name not in own and not name.startswith("head.")  # head.fc. in others
    }
    state = {f"backbone.{k}": v for k, v in {**own, **extra}.items()}
    others = checkpoint["state_dict"].items()
    state |= {k: v for k, v in others if not k.startswith("backbone.")}
    save_whole({"state_dict": state, "meta": checkpoint.get("meta", {})}, args.out)


def parse_window(text: str, option: str) -> list[int | Window]:
    """Windows from the command line: '32', '16x8', '8x16x16' or '32,32,32,16'.

    Raises:
        ValueError: If it is none of these.
    """
    windows: list[int | Window] = []
    for part in text.split(","):
        sides = part.lower().split("x")
        if len(sides) > 3 or not all(side.isdigit() and int(side) for side in sides):
            raise ValueError(
                f"{option} {text}: expected tokens, such as 32, 16x8 (height x width), "
                "of videos 8x16x16 (time first), or one of these per stage, 32,32,32,16"
            )
        windows.append(tuple(map(int, sides)) if len(sides) > 1 else int(part))
    return windows


def per_stage(text: str, option: str, weights: SwinWeights) -> list[Window]:
    """Windows of every stage of some weights from the command line.

    Raises:
        ValueError: If there are neither one nor one per stage, or axes are missing.
    """
    stages, axes = len(weights.architecture.depths), num_axes(weights.tensors) or 2
    windows = parse_window(text, option)
    if len(windows) not in (1, stages):
        raise ValueError(
            f"{option} {text}: {len(windows)} windows, but the weights have {stages} "
            "stages; give one window, or one per stage"
        )
    windows = [(w,) * axes if isinstance(w, int) else w for w in windows]
    if any(len(window) != axes for window in windows):
        given, form = ("videos", "8x16x16") if axes == 3 else ("images", "16x8")
        raise ValueError(
            f"{option} {text}: expected tokens along {axes} axes, such as {form}, or "
            f"one number for all, as the weights are of {given}"
        )
    return windows * (stages // len(windows))


def print_table(kind: str, transfers: Sequence[StageTransfer]) -> None:
    """Print one line per stage, and what there is to say about them."""
    print(f"{'stage':<8}{'window':<22}{'normaliser':<12}{'extrapolation':<15}change")
    for stage, transfer in enumerate(transfers):
        windows = f"{short(transfer.before)} -> {short(transfer.after)}"
        part = extrapolation(kind, transfer.before, transfer.after)
        print(
            f"{stage:<8}{windows:<22}{short(transfer.normaliser):<12}{part:<15.2f}"
            f"{transfer.max_change:.2f}"
        )
    for stage, transfer in enumerate(transfers):
        if sentence := remark(kind, stage, transfer):
            print(sentence)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "checkpoint", metavar="CKPT", help="a file, a folder, a URL or a swinv2:// name"
    )
    parser.add_argument(
        "--window",
        metavar="W[,W,...]",
        required=True,
        help="new window in tokens: 32, 16x8 (height x width), of videos 8x16x16 (time "
        "first), or one per stage",
    )
    parser.add_argument(
        "--pretrained-window",
        metavar="W[,W,...]",
        help="window of training, where CKPT does not tell it",
    )
    parser.add_argument(
        "--out", type=Path, help="new .pth file: CKPT with its windows changed"
    )
    parser.add_argument("--plot", type=Path, metavar="DIR", help="pictures of the bias")
    parser.add_argument(
        "--heads",
        type=int,
        nargs="+",
        default=[0, 1],
        help="heads to draw, those that a stage has (default: 0 1)",
    )
    return parser.parse_args()


def check_paths(args: argparse.Namespace) -> None:
    """Refuse what could not be written, before anything is read.

    Raises:
        FileExistsError: If ``--out`` is there already.
        ValueError: If ``--out`` is no .pth file, or ``--plot`` no folder.
    """
    if args.out and args.out.exists():
        raise ValueError(f"--out {args.out} exists already; remove it or name another")
    if args.out and args.out.suffix != ".pth":
        raise ValueError(f"--out {args.out}: expected a .pth file")
    if args.plot and args.plot.exists() and not args.plot.is_dir():
        raise ValueError(f"--plot {args.plot} is a file, expected a folder")


def main() -> None:
    """Run the command."""
    with launch.Preparation():
        args = parse_args()
        check_paths(args)
        MMLogger.get_current_instance().setLevel("WARNING")  # the table says it all
        weights = read_swin_weights(args.checkpoint)
        kind = position_bias_of(weights.tensors)
        if args.pretrained_window and weights.windows:
            raise ValueError(
                f"{args.checkpoint} tells its windows; leave out --pretrained-window"
            )
        if args.pretrained_window:
            own = per_stage(args.pretrained_window, "--pretrained-window", weights)
            weights.windows = [*zip(own, own)]
        if weights.windows is None:
            raise ValueError(
                f"{args.checkpoint} does not tell its windows; add --pretrained-window "
                "8, or what it was trained at, such as 16,16,16,8 for window 16 at 256 "
                "px"
            )
        window = per_stage(args.window, "--window", weights)
        most = max(weights.architecture.num_heads)
        if not any(0 <= head < most for head in args.heads):
            raise ValueError(f"--heads {args.heads}: expected 0 to {most - 1}")
        backbone = build_backbone(weights, window)
        transfers = stage_transfers(backbone)
        print(f"{args.checkpoint}: layout {weights.layout}, position bias {kind}")
        print_table(kind, transfers)
        if args.out:
            save(backbone, weights, args)
            print(f"written to {args.out}")
        if args.plot:
            args.plot.mkdir(parents=True, exist_ok=True)
            for stage, transfer in enumerate(transfers):
                if figure := draw_stage(transfer, stage, args.heads):
                    figure.savefig(args.plot / f"stage{stage}.png", dpi=110)
            print(f"pictures in {args.plot}")


if __name__ == "__main__":
    main()
