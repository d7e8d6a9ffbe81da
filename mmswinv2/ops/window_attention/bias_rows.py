"""Position bias of some query rows, without the bias of every pair of tokens.

Keys of one window row lie ``w`` apart, so the bias of a query towards all keys is one
run of ``N`` numbers in a *strip*: the table in which the columns of a window are
expanded and its rows are not. Strips are smaller than the bias of all pairs by half a
window's height: 3 MB in place of 50 for 12 heads at window 32.
"""
# h w window, N = h * w tokens, n heads, m heads of a step, G windows of a step

from torch import Tensor


def strips(table: Tensor, window: tuple[int, int]) -> Tensor:
    """Strip of every column of queries.

    Args:
        table (Tensor): ``(n, 2h - 1, 2w - 1)``.
        window (tuple[int, int]): Height h and width w in tokens.

    Returns:
        Tensor: ``(n, w, (2h - 1) * w)``; :func:`run` tells where a query row lies.
    """
    pairs = table.flip(1, 2).unfold(2, window[1], 1)  # (n, 2h - 1, w, w), last is first
    return pairs.flip(2).transpose(1, 2).flatten(2)


def fold_strips(grad: Tensor, window: tuple[int, int]) -> Tensor:
    """Gradient of :func:`strips`, ``(n, w, (2h - 1) * w)`` -> that of the table."""
    h, w = window
    table = grad.new_zeros(len(grad), 2 * h - 1, 2 * w - 1)
    for column, strip in enumerate(grad.unflatten(2, (-1, w)).unbind(1)):
        start = w - 1 - column
        table[:, :, start : start + w] += strip
    return table.flip(1, 2)


def run(row: int, window: tuple[int, int]) -> slice:
    """Where the queries of a window row have their bias towards all keys."""
    h, w = window
    return slice((h - 1 - row) * w, (2 * h - 1 - row) * w)


def biased_logits(
    strip: Tensor, windows: int, rows: range, window: tuple[int, int]
) -> Tensor:
    """Bias of some window rows of queries, for every window anew.

    Args:
        strip (Tensor): Strips of some heads, ``(m, w, (2h - 1) * w)``.
        windows (int): Number of windows G.
        rows (range): Window rows of the queries.
        window (tuple[int, int]): Height h and width w in tokens.

    Returns:
        Tensor: ``(m, G, rows * w, N)``, contiguous.
    """
    h, w = window
    out = strip.new_empty(len(strip), windows, len(rows), w, h * w)
    for i, row in enumerate(rows):
        out[:, :, i] = strip[:, None, :, run(row, window)]
    return out.flatten(2, 3)


def add_bias_gradient_(
    grad: Tensor, logits: Tensor, rows: range, window: tuple[int, int]
) -> None:
    """Add the gradient of logits ``(m, G, rows * w, N)`` to that of their strips."""
    total = logits.sum(1).unflatten(1, (len(rows), window[1]))
    for i, row in enumerate(rows):
        grad[:, :, run(row, window)] += total[:, i]
