"""Pictures of position biases before and after a change of window."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmswinv2.models.window_transfer import StageTransfer

PANEL_INCHES = 2.6
# Shares of the figure, and of a panel. matplotlib's own layout takes twice the time.
MARGINS = dict(left=0.05, right=0.98, bottom=0.05, top=0.96, wspace=0.25, hspace=0.3)


def draw_bias_maps(
    transfers: Sequence[StageTransfer], num_heads: int = 2
) -> np.ndarray:
    """Draw, for each stage and some heads, the bias before and after side by side.

    Axes are offsets in tokens; a dashed square marks the offsets known before; both
    maps of a head share one colour scale. Of videos it is the bias at one time.

    Args:
        transfers (Sequence[StageTransfer]): One per stage.
        num_heads (int): Heads to draw per stage, the first ones. Defaults to 2.

    Returns:
        np.ndarray: RGB picture, uint8, ``(height, width, 3)``.
    """
    columns = 2 * num_heads
    figure = Figure(figsize=(PANEL_INCHES * columns, PANEL_INCHES * len(transfers)))
    axes = figure.subplots(len(transfers), columns, squeeze=False, gridspec_kw=MARGINS)
    for i, transfer in enumerate(transfers):
        for head in range(num_heads):
            pair = axes[i, 2 * head : 2 * head + 2]
            if head < len(transfer.bias_before):
                _draw_head(figure, pair, transfer, i, head)
            else:
                for ax in pair:
                    ax.axis("off")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_head(
    figure: Figure, pair: np.ndarray, transfer: StageTransfer, stage: int, head: int
) -> None:
    maps = [bias[head].cpu().numpy() for bias in transfer.bias_maps]
    low, high = min(m.min() for m in maps), max(m.max() for m in maps)
    windows = (transfer.before, transfer.after)
    for ax, bias, window, when in zip(pair, maps, windows, ("before", "after")):
        h, w = window[-2:]
        sizes = " x ".join(map(str, window)) + ", time 0" * (len(window) == 3)
        extent = (0.5 - w, w - 0.5, h - 0.5, 0.5 - h)
        image = ax.imshow(bias, extent=extent, vmin=low, vmax=high, cmap="viridis")
        ax.set_title(f"stage {stage}, head {head}: {when}, {sizes}", fontsize=8)
        ax.tick_params(labelsize=7)
    known_h, known_w = transfer.before[-2:]
    if transfer.after != transfer.before:
        x, y = known_w - 0.5, known_h - 0.5
        pair[1].plot([-x, x, x, -x, -x], [-y, -y, y, y, -y], "w--", linewidth=1)
    pair[0].set_xlabel("offset in tokens", fontsize=7)
    pair[0].set_ylabel("offset in tokens", fontsize=7)
    figure.colorbar(image, ax=list(pair), shrink=0.8).ax.tick_params(labelsize=7)
