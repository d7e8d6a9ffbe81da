"""What the Triton kernels share: rows of tokens, normalisation, logits."""
# D head channels

# ruff: noqa: ANN001, ANN201 (kernels take pointers and blocks)

import os

import triton
import triton.language as tl

from .triton_windows import NO_TOKEN
from .windows import MASK_VALUE, NORM_EPS

HIDDEN = tl.constexpr(MASK_VALUE)
MIN_SQUARE = tl.constexpr(NORM_EPS**2)
LOG2E = tl.constexpr(1.4426950408889634)
# Cosine logits of a row span at most 2 * scale and the bias its range. Below this span
# no weight underflows relative to the largest logit possible: exp(-80) > 2**-126.
SAFE_SPAN = tl.constexpr(80.0)
REGIONS = tl.constexpr(16)  # as many channels as a matrix product takes at least
INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


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

    Triton would copy a tile through shared memory, number by number, so as to give it
    the layout of the product that it is added to. What it does not know to be a load
    every thread makes where it needs it: 1.2 to 1.7 times faster on an H200.
    """
    if INTERPRETED:
        return tl.load(TABLE + (offset_a[:, None] + offset_b[None, :]))
    at = (4 * offset_a)[:, None] + (4 * offset_b)[None, :]
    return tl.inline_asm_elementwise(
        "{ .reg .b64 at; cvt.u64.u32 at, $2; add.u64 at, at, $1;"
        " ld.global.nc.f32 $0, [at]; }",
        "=f,l,r",
        [TABLE.to(tl.int64), at],
        dtype=tl.float32,
        is_pure=True,
        pack=1,
    )


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
