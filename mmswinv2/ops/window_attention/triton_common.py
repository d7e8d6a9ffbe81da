"""What the Triton kernels share: where tokens lie, logits, normalisation.

Padding, shift, partition and their inverses are index arithmetic here: a kernel finds
the tokens of its window on the plain map. Windows come in two kinds, inner ones first:
those that neither padding nor the seam of the shift touches need no mask at all.
"""
# H W map, SH SW shift, WH WW window, N = WH * WW places of a window, D head channels

# ruff: noqa: ANN001, ANN201 (kernels take pointers and blocks)

import triton
import triton.language as tl

from .windows import MASK_VALUE, NORM_EPS

HIDDEN = tl.constexpr(MASK_VALUE)
MIN_SQUARE = tl.constexpr(NORM_EPS**2)
LOG2E = tl.constexpr(1.4426950408889634)
# Cosine logits of a row span at most 2 * scale and the bias its range. Below this span
# no weight underflows relative to the largest logit possible: exp(-80) > 2**-126.
SAFE_SPAN = tl.constexpr(80.0)
NO_TOKEN = tl.constexpr(4)
BEYOND = tl.constexpr(15)
REGIONS = tl.constexpr(16)  # as many channels as a matrix product takes at least
# All sizes are known at run time only, and neither arguments of 1 nor multiples of 16
# are worth another compilation: what is compiled depends on tiles and types alone.
SIZES = ["HEADS", "B", "H", "W", "SH", "SW", "WH", "WW", "PER_ROW"]


@triton.jit(do_not_specialize=["ENTRIES"])
def prepare_kernel(TABLE, SCALE, SHIFTED, BOUNDED, ENTRIES, BLOCK: tl.constexpr):
    """Bias of a head in base 2, less the largest logit possible: all logits <= 0.

    Softmax does not see the constant. BOUNDED says whether the row maximum is needed.
    """
    head = tl.program_id(0)
    offset = tl.arange(0, BLOCK)
    scale = tl.abs(tl.load(SCALE + head))
    low = tl.full([BLOCK], float("inf"), tl.float32)
    high = tl.full([BLOCK], float("-inf"), tl.float32)
    for start in range(0, ENTRIES, BLOCK):
        real = start + offset < ENTRIES
        bias = tl.load(TABLE + head * ENTRIES + start + offset, real, 0.0)
        low = tl.minimum(low, tl.where(real, bias, low))
        high = tl.maximum(high, tl.where(real, bias, high))
    top = tl.max(high, 0)
    tl.store(BOUNDED + head, (2 * scale + top - tl.min(low, 0) < SAFE_SPAN).to(tl.int8))
    for start in range(0, ENTRIES, BLOCK):
        entry = head * ENTRIES + start + offset
        real = start + offset < ENTRIES
        bias = tl.load(TABLE + entry, real, 0.0)
        tl.store(SHIFTED + entry, (bias - top - scale) * LOG2E, real)


@triton.jit
def inner_windows(size, shift, window):
    """Windows of an axis without padding and seam: the first ones."""
    return tl.maximum(size - shift, 0) // window


@triton.jit
def count_windows(B, H, W, SH, SW, WH, WW):
    """Number of inner windows and of border windows of a batch."""
    inner = inner_windows(H, SH, WH) * inner_windows(W, SW, WW)
    return B * inner, B * (tl.cdiv(H, WH) * tl.cdiv(W, WW) - inner)


@triton.jit
def locate(index, H, W, SH, SW, WH, WW, BORDER: tl.constexpr):
    """Image, top and left place of an inner or border window, before the shift."""
    Y = inner_windows(H, SH, WH)
    X = inner_windows(W, SW, WW)
    if BORDER:
        columns = tl.cdiv(W, WW)
        right = columns - X  # windows to the right of the inner ones, then those below
        count = tl.cdiv(H, WH) * columns - Y * X
        image = index // count
        below = index % count - Y * right
        y = tl.where(below < 0, index % count // tl.maximum(right, 1), Y)
        x = tl.where(below < 0, X + index % count % tl.maximum(right, 1), 0)
        below = tl.maximum(below, 0)
        y += below // columns
        x += below % columns
    else:
        image = index // (Y * X)
        y = index // X % Y
        x = index % X
    return image.to(tl.int64), y * WH, x * WW


@triton.jit
def places(first, WH, WW, PER_ROW, SIZE: tl.constexpr):
    """``SIZE`` places of a window from ``first`` on, and their rows.

    Those beyond the window repeat its last one. That limit stands in loops without
    such places too: what compilers would compute once without it, and keep, fills the
    registers.
    """
    place = tl.minimum(first + tl.arange(0, SIZE), WH * WW - 1)
    return place, row_of(place, PER_ROW)


@triton.jit
def row_of(place, PER_ROW):
    """``place // WW`` by one multiplication, with ``PER_ROW = ceil(2**30 / WW)``.

    It is (place + 0.5) / WW, too large by less than 0.5 / WW while place * WW < 2**29.
    """
    return tl.umulhi(4 * place + 2, PER_ROW)


@triton.jit
def tokens(place, row, top, left, H, W, SH, SW, WH, WW, BORDER: tl.constexpr):
    """Token at places of a window."""
    if BORDER:
        y = row + top + SH
        x = place - row * WW + left + SW
        height = tl.cdiv(H, WH) * WH
        width = tl.cdiv(W, WW) * WW
        y = tl.where(y >= height, y - height, y)
        x = tl.where(x >= width, x - width, x)
        return y * W + x
    return row * (W - WW) + place + ((top + SH) * W + left + SW)


@triton.jit
def regions(
    first, place, row, top, left, H, W, SH, SW, WH, WW,
    SIZE: tl.constexpr, INSIDE: tl.constexpr, BORDER: tl.constexpr,
):  # fmt: skip
    """Region of places of a window: tokens see those of their own.

    0 to 3 on either side of the seams; from NO_TOKEN on there is none. INSIDE: no place
    is beyond the window.
    """
    region = row * 0
    if BORDER:
        seam = tl.cdiv(H, WH) * WH - top - SH
        region = tl.where(row < seam, NO_TOKEN, 2)
        region = tl.where(row < H - top - SH, 0, region)
        x = place - row * WW
        column = tl.where(x < tl.cdiv(W, WW) * WW - left - SW, 2 * NO_TOKEN, 1)
        region += tl.where(x < W - left - SW, 0, column)
    if not INSIDE:
        beyond = first + tl.arange(0, SIZE) >= WH * WW
        region = tl.where(beyond, BEYOND, region)
    return region


@triton.jit
def used_places(top, H, SH, WH, WW):
    """Places up to the last that can hold a token: without a shift padding is last."""
    return tl.where(SH == 0, tl.minimum(H - top, WH), WH) * WW


@triton.jit
def bias_offset(place, row, WW):
    """Bias of (query, key): entry offset(query) - offset(key) from the centre."""
    return place + row * (WW - 1)


@triton.jit
def bias_centre(WH, WW):
    """Entry of the table for offset 0."""
    return 2 * WH * WW - WH - WW


@triton.jit
def load_rows(X, token, region, STRIDE, D: tl.constexpr, GUARD: tl.constexpr):
    """Channels of tokens, ``(places, D)``; with GUARD 0 where there is no token.

    Places beyond an inner window give its last token.
    """
    at = X + token[:, None] * STRIDE + tl.arange(0, D)[None, :]
    if GUARD:
        return tl.load(at, region[:, None] < NO_TOKEN, 0.0)
    return tl.load(at)


@triton.jit
def store_rows(X, x, token, region, STRIDE, D: tl.constexpr):
    """Inverse of :func:`load_rows`."""
    at = X + token[:, None] * STRIDE + tl.arange(0, D)[None, :]
    tl.store(at, x.to(X.dtype.element_ty), region[:, None] < NO_TOKEN)


@triton.jit
def unit_length(x):
    """Rows of length 1 and 1 / length; see :func:`.windows.unit_length`."""
    exact = x.to(tl.float32)
    square = tl.sum(exact * exact, 1)
    inverse = tl.rsqrt(tl.maximum(square, MIN_SQUARE))
    unit = (exact * inverse[:, None]).to(x.dtype)
    return unit, tl.where(square > MIN_SQUARE, inverse, 0.0)


@triton.jit
def unit_length_backward(grad, unit, inverse):
    """Gradient of rows from that of their unit vectors, and the latter along them."""
    unit = unit.to(tl.float32)
    along = tl.sum(grad * unit, 1)
    return (grad - unit * along[:, None]) * inverse[:, None], along


@triton.jit
def dot(a, b):
    """Matrix product; of fp32 by three TF32 ones, exact to about 1e-6."""
    return tl.dot(a, b, input_precision="tf32x3")


@triton.jit
def load_bias(TABLE, offset_a, offset_b):
    """Bias in base 2 of rows a against rows b, ``(places of a, places of b)``.

    One side holds queries, the other keys with their bias offsets negated.
    """
    return tl.load(TABLE + (offset_a[:, None] + offset_b[None, :]))


@triton.jit
def logits(a, b, scale, bias, region_a, region_b, GUARD: tl.constexpr):
    """Logits in base 2 of rows a against rows b, ``(places of a, places of b)``.

    GUARD: rows of other regions are hidden, by a product of marks that is 0 for the own
    region: a comparison per logit would take more instructions than all else.
    """
    if GUARD:
        region = tl.arange(0, REGIONS)[None, :]
        own = tl.where(region_a[:, None] == region, HIDDEN, 0.0).to(a.dtype)
        others = tl.where(region_b[:, None] == region, 0.0, 1.0).to(a.dtype)
        bias = tl.dot(own, tl.trans(others), bias)
    return tl.fma(dot(a, tl.trans(b)), scale, bias)
