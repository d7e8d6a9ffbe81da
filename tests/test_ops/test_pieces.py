"""Windows of a map in pieces, and the bias of their rows."""

import pytest
import torch

from mmswinv2.ops.window_attention import bias_rows
from mmswinv2.ops.window_attention.pieces import InnerWindows, pieces
from mmswinv2.ops.window_attention.sdpa import expand_table
from mmswinv2.ops.window_attention.windows import MASK_VALUE, pad_and_shift, partition

# (map, window, shift): even, padded, wrapped, rectangular, only border, one window
CASES = [
    ((8, 8), (4, 4), (0, 0)),
    ((12, 16), (4, 4), (2, 2)),
    ((9, 13), (4, 3), (2, 1)),
    ((5, 9), (5, 4), (0, 2)),
    ((3, 3), (8, 8), (4, 4)),
    ((1, 6), (1, 4), (0, 2)),
    ((1, 1), (1, 1), (0, 0)),
    ((4, 4, 6), (2, 4, 3), (0, 0, 0)),
    ((6, 9, 7), (2, 4, 3), (1, 2, 1)),
    ((3, 9, 4), (2, 4, 4), (1, 2, 0)),
]


@pytest.mark.parametrize("limit", [1, 2, 5, 1000])
@pytest.mark.parametrize(("size", "window", "shift"), CASES)
def test_pieces_hold_every_window_once(size, window, shift, limit):
    """The windows of padding and shifting; what is read and written stays the same."""
    x = torch.randn(3, *size, 2 * 5)
    rows = torch.full((x[..., 0].numel() + 1, 2 * 5), float("nan"))
    found = []
    for piece in pieces((3, *size), window, shift, limit, x.device):
        tokens = piece.read(x, 2, x.dtype)  # (2, G, N, 5)
        assert tokens.is_contiguous() and tokens.shape[1] <= limit
        assert tokens.data_ptr() != x.data_ptr()
        piece.write(rows, tokens)
        found += tokens.permute(1, 2, 0, 3).flatten(2).unbind()
    assert torch.equal(rows[:-1].view_as(x), x)
    expected = partition(pad_and_shift(x, window, shift), window).flatten(0, -3)
    by_row = bias_rows.by_row(expected.unflatten(1, window), 1, len(window))
    expected = by_row.flatten(1, -2)

    def ordered(windows):
        return sorted(window.flatten().tolist() for window in windows)

    assert ordered(found) == ordered(expected)


def test_only_the_border_is_masked():
    """Inner windows have no mask; padding and the other side of a seam are hidden."""
    inner, border = pieces((1, 10, 8), (4, 4), (2, 2), 5, torch.device("cpu"))
    assert isinstance(inner, InnerWindows) and inner.mask(torch.float32) is None
    assert inner.read(torch.randn(1, 10, 8, 1), 1, torch.float32).shape[1] == 2
    assert border.mask(torch.float32).shape == (4, 16, 16)
    right = border.mask(torch.float32)[0].view(4, 4, 4, 4)  # columns 6, 7 and 0, 1
    assert (right[:, :2, :, :2] == 0).all() and (right[:, 2:, :, 2:] == 0).all()
    assert (right[:, :2, :, 2:] == MASK_VALUE).all()
    below = border.mask(torch.float32)[2].view(4, 4, 4, 4)  # padding, then rows 0, 1
    assert (below[2:, :, :2] == MASK_VALUE).all()


@pytest.mark.parametrize("window", [(4, 5), (1, 3), (6, 1), (3, 4, 2), (2, 1, 3)])
def test_rows_of_bias_are_those_of_all_pairs(window):
    """And so are their gradients, summed over windows, in any steps of rows."""
    h, c = bias_rows.rows_of(window)
    N = h * c
    table = torch.randn(3, *(2 * n - 1 for n in window), dtype=torch.float64)
    table.requires_grad_()
    strips = bias_rows.strips(table, window)
    by_row = bias_rows.by_row(torch.arange(N).view(window), 0, len(window)).flatten()
    expected = expand_table(table)[:, by_row][:, :, by_row]
    grad = torch.randn(3, 2, N, N, dtype=torch.float64)
    (grad_table,) = torch.autograd.grad(expected, table, grad.sum(1))
    grad_strips = torch.zeros_like(strips)
    for step in (range(0, h // 2), range(h // 2, h)):
        queries = slice(step.start * c, step.stop * c)
        rows = bias_rows.biased_logits(strips, 2, step, window)
        assert rows.is_contiguous()
        assert torch.equal(rows, expected[:, None, queries].expand(-1, 2, -1, -1))
        bias_rows.add_bias_gradient_(grad_strips, grad[:, :, queries], step, window)
    folded = bias_rows.fold_strips(grad_strips, window)
    torch.testing.assert_close(folded, grad_table)
