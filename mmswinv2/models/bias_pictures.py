"""Pictures of position biases before and after a change of window, one per stage."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from mmswinv2.checkpoints.windows import PATCH_SIZE, Window

from .window_transfer import StageTransfer

PANEL_INCHES = 3.6


def draw_stage(
    transfer: StageTransfer, stage: int, heads: Sequence[int]
) -> Figure | None:
    """Draw some heads of a stage's last block, before and after side by side.

    All maps have one colour scale. Axes are offsets, query minus key: in tokens below
    and on the left, in px above and on the right. A dashed frame in the map after holds
    the offsets known before. Of videos it is the bias at one time.

    Args:
        transfer (StageTransfer): Bias before and after.
        stage (int): Index of the stage.
        heads (Sequence[int]): Heads to draw; those that the stage lacks are left out.

    Returns:
        Figure | None: The picture; None if the stage has none of the heads.
    """
    heads = [head for head in heads if 0 <= head < len(transfer.bias_before)]
    if not heads:
        return None
    figure = Figure(
        figsize=(2 * PANEL_INCHES + 1, PANEL_INCHES * len(heads)), layout="constrained"
    )
    grid = figure.subplots(len(heads), 2, squeeze=False)
    drawn = [bias[head] for bias in transfer.bias_maps for head in heads]
    scale = (
        min(bias.min().item() for bias in drawn),
        max(bias.max().item() for bias in drawn),
    )
    px = PATCH_SIZE * 2**stage
    for axes, head in zip(grid, heads):
        for ax, bias, window, when in zip(
            axes,
            transfer.bias_maps,
            (transfer.before, transfer.after),
            ("before", "after"),
        ):
            image = draw_map(ax, bias[head], window[-2:], scale, px)
            sizes = " x ".join(map(str, window))
            ax.set_title(f"head {head}, {when}: window {sizes}", fontsize=10)
        h, w = (size - 0.5 for size in transfer.before[-2:])
        if transfer.before != transfer.after:
            axes[1].plot([-w, w, w, -w, -w], [-h, -h, h, h, -h], "w--", linewidth=1)
            axes[1].autoscale(False)
    at = ", at time offset 0" if len(transfer.before) == 3 else ""
    figure.suptitle(f"stage {stage}, last block: position bias by query minus key{at}")
    figure.colorbar(image, ax=grid, shrink=0.6, label="added to the attention logit")
    return figure


def draw_map(
    ax: Axes, bias: Tensor, window: Window, scale: tuple[float, float], px: int
) -> AxesImage:
    """Draw a bias ``(2 * h - 1, 2 * w - 1)`` with axes in tokens and in px."""
    h, w = window
    extent = (0.5 - w, w - 0.5, h - 0.5, 0.5 - h)
    values = bias.detach().cpu().numpy()
    image = ax.imshow(values, extent=extent, vmin=scale[0], vmax=scale[1])
    in_px = (lambda tokens: tokens * px, lambda offset: offset / px)
    ax.secondary_xaxis("top", functions=in_px)
    ax.secondary_yaxis("right", functions=in_px).set_ylabel("px", fontsize=8)
    ax.set_xlabel("tokens", fontsize=8)
    ax.set_ylabel("tokens", fontsize=8)
    return image
