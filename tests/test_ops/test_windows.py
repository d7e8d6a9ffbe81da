import math

import pytest
import torch

from mmswinv2.ops.window_attention.windows import (
    MASK_VALUE,
    PADDING,
    PLAIN,
    WRAPPED,
    attention_mask,
    axis_labels,
    pad_and_shift,
    partition,
    reverse,
    unit_length,
    unshift_and_crop,
)


@pytest.mark.parametrize("window", [(4, 4), (2, 6), (8, 3), (1, 1), (2, 4, 3)])
def test_reverse_undoes_partition(window):
    size = (6, 8, 12)[-len(window) :]
    x = torch.randn(2, *size, 5)
    windows = partition(x, window)
    counts = [n // w for n, w in zip(size, window, strict=True)]
    assert windows.shape == (2, *counts, math.prod(window), 5)
    assert torch.equal(reverse(windows, window), x)


def test_a_window_holds_neighbouring_tokens_in_row_order():
    x = torch.arange(16).view(1, 4, 4, 1)
    assert partition(x, (2, 2))[0, 0, 1, :, 0].tolist() == [2, 3, 6, 7]
    x = torch.arange(64).view(1, 4, 4, 4, 1)
    window = partition(x, (2, 2, 2))[0, 1, 0, 1, :, 0]
    assert window.tolist() == [34, 35, 38, 39, 50, 51, 54, 55]


@pytest.mark.parametrize("size", [(7, 9), (8, 8), (3, 20), (1, 1), (3, 7, 9)])
def test_unshift_and_crop_undoes_pad_and_shift(size):
    x = torch.randn(2, *size, 3)
    window, shift = (2, 4, 5)[-len(size) :], (1, 2, 1)[-len(size) :]
    padded = pad_and_shift(x, window, shift)
    lengths = zip(padded.shape[1:-1], window, strict=True)
    assert not any(length % w for length, w in lengths)
    assert torch.equal(unshift_and_crop(padded, size, shift), x)


@pytest.mark.parametrize(
    ("size", "window", "shift"), [(9, 8, 4), (16, 8, 4), (5, 4, 0)]
)
def test_labels_say_where_the_shift_put_each_token(size, window, shift):
    """Compared with marked tokens that were really padded and shifted."""
    tokens = torch.arange(1, size + 1).view(1, size, 1, 1)
    rolled = pad_and_shift(tokens, (window, 1), (shift, 0)).flatten().tolist()
    labels = [label for group in axis_labels(size, window, shift) for label in group]
    for token, label in zip(rolled, labels, strict=True):
        if token == 0:
            assert label == PADDING
        else:
            assert label == (WRAPPED if token <= shift else PLAIN)


def test_a_window_without_seam_or_padding_needs_no_mask():
    like = torch.zeros(())
    assert attention_mask(((PLAIN,) * 4, (WRAPPED,) * 4), like) is None
    assert attention_mask(((PADDING,) * 2, (PADDING,) * 2), like) is not None


def test_a_masked_logit_lies_below_every_cosine_logit():
    """Cosine logits span -100 to 116; the mask holds in fp16, too."""
    like = torch.zeros((), dtype=torch.half)
    mask = attention_mask(((PLAIN, WRAPPED), (PLAIN,)), like)
    assert mask.tolist() == [[0, MASK_VALUE], [MASK_VALUE, 0]]
    assert MASK_VALUE < -216


def test_unit_length_has_finite_gradients_in_fp16_at_zero():
    x = torch.zeros(3, 4, dtype=torch.half, requires_grad=True)
    unit_length(x).sum().backward()
    assert x.grad.isfinite().all()
