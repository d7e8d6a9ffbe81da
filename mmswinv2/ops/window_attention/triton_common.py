"""What the Triton kernels share: where tokens lie, logits, normalisation.

Padding, shift, partition and their inverses are index arithmetic here: a kernel finds
the tokens of its window on the plain map. Windows come in two kinds, inner ones first:
those that neither padding nor the seam of the shift touches need no mask at all.
"""
# H W map, WH WW window, SH SW shift, N = WH * WW places of a window, D head channels

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
# Neither arguments of 1 nor multiples of 16 are worth another compilation.
SIZES = ["B", "H", "W", "SH", "SW"]


@triton.jit
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
def count_windows(B, H, W, SH, SW, WH: tl.constexpr, WW: tl.constexpr):
    """Number of inner windows and of border windows of a batch."""
    inner = inner_windows(H, SH, WH) * inner_windows(W, SW, WW)
    return B * inner, B * (tl.cdiv(H, WH) * tl.cdiv(W, WW) - inner)


@triton.jit
def locate(
    index, H, W, SH, SW, WH: tl.constexpr, WW: tl.constexpr, BORDER: tl.constexpr
):
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
def tokens(
    place,
    top,
    left,
    H,
    W,
    SH,
    SW,
    WH: tl.constexpr,
    WW: tl.constexpr,
    BORDER: tl.constexpr,
):
    """Token at every place of a window."""
    place = tl.minimum(place, WH * WW - 1)
    y = top + SH + place // WW
    x = left + SW + place % WW
    if BORDER:
        height = tl.cdiv(H, WH) * WH
        width = tl.cdiv(W, WW) * WW
        y = tl.where(y >= height, y - height, y)
        x = tl.where(x >= width, x - width, x)
    return y * W + x


@triton.jit
def regions(
    place,
    top,
    left,
    H,
    W,
    SH,
    SW,
    WH: tl.constexpr,
    WW: tl.constexpr,
    BORDER: tl.constexpr,
):
    """Region of every place of a window: tokens see those of their own.

    0 to 3 on either side of the seams; from NO_TOKEN on there is none. Every query
    compares it, so it is worth few instructions.
    """
    region = place * 0
    if BORDER:
        seam = (tl.cdiv(H, WH) * WH - top - SH) * WW
        row = tl.where(place < seam, NO_TOKEN, 2)
        row = tl.where(place < (H - top - SH) * WW, 0, row)
        x = place % WW
        column = tl.where(x < tl.cdiv(W, WW) * WW - left - SW, 2 * NO_TOKEN, 1)
        region = row + tl.where(x < W - left - SW, 0, column)
    return tl.where(place < WH * WW, region, 4 * NO_TOKEN)


@triton.jit
def used_places(top, H, SH, WH: tl.constexpr, WW: tl.constexpr):
    """Places up to the last that can hold a token: without a shift padding is last."""
    return tl.where(SH == 0, tl.minimum(H - top, WH), WH) * WW


@triton.jit
def bias_offset(place, WH: tl.constexpr, WW: tl.constexpr):
    """Bias of (query, key): entry offset(query) - offset(key) from the centre."""
    place = tl.minimum(place, WH * WW - 1)
    return place + place // WW * (WW - 1)


@triton.jit
def load_rows(
    X, token, region, STRIDE: tl.constexpr, D: tl.constexpr, GUARD: tl.constexpr
):
    """Channels of tokens, ``(places, D)``; 0 where there is no token."""
    at = X + token[:, None] * STRIDE + tl.arange(0, D)[None, :]
    if GUARD:
        return tl.load(at, region[:, None] < NO_TOKEN, 0.0)
    return tl.load(at)


@triton.jit
def store_rows(X, x, token, region, STRIDE: tl.constexpr, D: tl.constexpr):
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
def logits(
    a, b, scale, TABLE, offset_a, offset_b, region_a, region_b, GUARD: tl.constexpr
):
    """Logits in base 2 of rows a against rows b, ``(places of a, places of b)``.

    One side holds queries, the other keys with their bias offsets negated.
    """
    bias = tl.load(TABLE + (offset_a[:, None] + offset_b[None, :]))
    s = tl.fma(dot(a, tl.trans(b)), scale, bias)
    if GUARD:
        s = tl.where(region_a[:, None] == region_b[None, :], s, HIDDEN)
    return s
