"""From which distance on a pre-trained model names things far: why transfer fails.

Takes the models that ``run.py`` has pre-trained, and tests them at all windows without
fine-tuning. Scenes grow with the window, so the right distance is the same part of the
picture everywhere, and grows in tokens. Writes ``boundary.md`` beside the results.

Examples:
    >>> python benchmarks/window_transfer/boundary.py
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # works uninstalled

import torch  # noqa: E402
from network import Net, token_centres  # noqa: E402
from protocol import (  # noqa: E402
    BIASES,
    PRETRAIN_WINDOW,
    SIZES,
    TEST_SEED,
    TRANSFER,
    Phase,
    build,
    image_size,
)
from reporting import NAMES, row, summary  # noqa: E402
from rich.progress import track  # noqa: E402
from scenes import DIRECTIONS, FAR, LANDMARK, NEAR, Scenes, draw, make_scenes  # noqa: E402
from torch import Tensor  # noqa: E402


@torch.no_grad()
def named_far(net: Net, scenes: Scenes, side: int) -> tuple[Tensor, Tensor]:
    """Distance of every ellipse that was found, and whether it is named far.

    The name is that of most of its px; ``(N,)`` both.
    """
    device = scenes.boxes.device
    image, _ = draw(scenes, side, torch.Generator(device).manual_seed(0))
    guess = net.eval()(image)[0].argmax(1)[:, None]  # (B, 1, S, S)
    at_x, at_y = token_centres(side, device)
    x, y, rx, ry = scenes.boxes[:, 1:, :, None, None].unbind(2)
    inside = ((at_x - x) / rx).hypot((at_y - y) / ry) < 1  # (B, K - 1, S, S)
    near = (inside & (guess > 0) & (guess <= len(DIRECTIONS))).sum((2, 3))
    far = (inside & (guess > len(DIRECTIONS)) & (guess < LANDMARK)).sum((2, 3))
    distance = (scenes.boxes[:, 1:, :2] - scenes.boxes[:, :1, :2]).norm(dim=-1)
    found = (scenes.labels[:, 1:] > 0) & (near + far > 0)
    return distance[found], (far > near)[found]


def boundary(distance: Tensor, far: Tensor) -> float:
    """The distance that best splits what is named near from what is named far."""
    order = distance.argsort()
    distance, far = distance[order], far[order].int()
    # Wrong at a split before i: those named far before it, near from there on.
    before = torch.cat((far.new_zeros(1), far.cumsum(0)))
    after = (1 - far).sum() - torch.cat((far.new_zeros(1), (1 - far).cumsum(0)))
    split = int((before + after).argmin())
    ends = distance[max(split - 1, 0)], distance[min(split, len(distance) - 1)]
    return float(sum(ends) / 2)


def main() -> int:
    """Test every model that is there; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--size", choices=SIZES, default="cpu")
    parser.add_argument("--out", type=Path, help="the --out of run.py")
    args = parser.parse_args()
    out = args.out or ROOT / "work_dirs" / "window_transfer" / args.size
    size = SIZES[args.size]
    logging.disable(logging.INFO)  # the report of every loading
    torch.set_num_threads(1)
    models = {
        (bias, seed): file
        for bias in BIASES
        for seed in (*size.seeds, *size.more_seeds)
        if (file := out / bias / f"seed{seed}" / "pretrained.pth").is_file()
    }
    if not models:
        print(f"error: {out} has no pre-trained model yet: run.py first")
        return 1
    scenes = make_scenes(100, torch.Generator().manual_seed(TEST_SEED))
    windows = (PRETRAIN_WINDOW, *size.windows)
    found: dict[tuple[str, int], list[float]] = {}
    for (bias, seed), file in track([*models.items()], "boundary"):
        for window in windows:
            net = build(Phase(bias, seed, TRANSFER, window), size)
            net.load_state_dict(torch.load(file, size.device, weights_only=True))
            parts = [
                named_far(
                    net,
                    scenes[i : i + 10].to(size.device),
                    image_size(window, size),
                )
                for i in range(0, len(scenes), 10)
            ]
            split = boundary(*(torch.cat(part) for part in zip(*parts)))
            found.setdefault((bias, window), []).append(100 * split)
    lines = [row(["far begins at, percent", *(f"w{w}" for w in windows)])]
    lines.append(row(["---"] * (1 + len(windows))))
    for bias in BIASES:
        cells = [summary(found.get((bias, window), [])) for window in windows]
        lines.append(row([NAMES[bias], *cells]))
    still = [f"{50 * (NEAR + FAR) * windows[0] / window:.1f}" for window in windows]
    lines.append(row(["*if it stayed where it was, in tokens*", *still]))
    (out / "boundary.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines), f"\nwritten to {out}", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
