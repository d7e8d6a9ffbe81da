"""Forward kernel: a program attends from some query rows of one window and head."""
# H W map, WH WW window, SH SW shift, N = WH * WW places of a window, D head channels,
# M queries and K keys at a time

# ruff: noqa: ANN001, ANN201, ANN202 (kernels take pointers and blocks)

import triton
import triton.language as tl

from .triton_common import (
    LOG2E,
    NO_TOKEN,
    SIZES,
    bias_offset,
    count_windows,
    dot,
    load_rows,
    locate,
    logits,
    regions,
    store_rows,
    tokens,
    unit_length,
    used_places,
)


@triton.jit(do_not_specialize=SIZES)
def forward_kernel(
    QKV,
    TABLE,
    BOUNDED,
    SCALE,
    OUT,
    LSE,
    B,
    H,
    W,
    SH,
    SW,
    HEADS: tl.constexpr,
    D: tl.constexpr,
    WH: tl.constexpr,
    WW: tl.constexpr,
    M: tl.constexpr,
    K: tl.constexpr,
):
    """Output, and log2 of the sum of exponentials of every row and head."""
    TILES: tl.constexpr = (WH * WW + M - 1) // M
    pid = tl.program_id(0)
    start = pid % TILES * M
    head = pid // TILES % HEADS
    window = pid // (TILES * HEADS)
    inner, _ = count_windows(B, H, W, SH, SW, WH, WW)
    bounded = tl.load(BOUNDED + head) != 0
    TABLE += head * (2 * WH - 1) * (2 * WW - 1)
    scale = tl.load(SCALE + head) * LOG2E
    QKV += head * D
    OUT += head * D
    LSE += head
    C: tl.constexpr = HEADS * D
    # fmt: off
    if window >= inner:
        _attend(QKV, TABLE, OUT, LSE, scale, window - inner, start, H, W, SH, SW,
                C, D, WH, WW, M, K, True, False)
    elif bounded and QKV.dtype.element_ty != tl.float16:  # whose weights underflow
        _attend(QKV, TABLE, OUT, LSE, scale, window, start, H, W, SH, SW,
                C, D, WH, WW, M, K, False, True)
    else:
        _attend(QKV, TABLE, OUT, LSE, scale, window, start, H, W, SH, SW,
                C, D, WH, WW, M, K, False, False)
    # fmt: on


@triton.jit
def _attend(
    QKV,
    TABLE,
    OUT,
    LSE,
    scale,
    window,
    start,
    H,
    W,
    SH,
    SW,
    C: tl.constexpr,
    D: tl.constexpr,
    WH: tl.constexpr,
    WW: tl.constexpr,
    M: tl.constexpr,
    K: tl.constexpr,
    BORDER: tl.constexpr,
    BOUNDED: tl.constexpr,
):
    N: tl.constexpr = WH * WW
    GUARD_Q: tl.constexpr = BORDER or N % M != 0
    GUARD_K: tl.constexpr = BORDER or N % K != 0
    HEADS: tl.constexpr = C // D
    image, top, left = locate(window, H, W, SH, SW, WH, WW, BORDER)
    QKV += image * H * W * 3 * C
    place = start + tl.arange(0, M)
    token = tokens(place, top, left, H, W, SH, SW, WH, WW, BORDER)
    region = regions(place, top, left, H, W, SH, SW, WH, WW, BORDER)
    offset = bias_offset(place, WH, WW) + bias_offset(N - 1, WH, WW)
    q = unit_length(load_rows(QKV, token, region, 3 * C, D, GUARD_Q))[0]

    highest = tl.full([M], float("-inf"), tl.float32)
    total = tl.zeros([M], tl.float32)
    out = tl.zeros([M, D], tl.float32)
    end = N
    if BORDER:
        end = used_places(top, H, SH, WH, WW)
        end = tl.where(start < end, end, 0)  # no query, no work
    for first in range(0, end, K):
        key = first + tl.arange(0, K)
        k_token = tokens(key, top, left, H, W, SH, SW, WH, WW, BORDER)
        k_region = regions(key, top, left, H, W, SH, SW, WH, WW, BORDER)
        k = load_rows(QKV + C, k_token, k_region, 3 * C, D, GUARD_K)
        v = load_rows(QKV + 2 * C, k_token, k_region, 3 * C, D, GUARD_K)
        k = unit_length(k)[0]
        k_offset = -bias_offset(key, WH, WW)
        s = logits(q, k, scale, TABLE, offset, k_offset, region, k_region, GUARD_K)
        if BOUNDED:
            p = tl.exp2(s)
            total += tl.sum(p, 1)
        else:
            higher = tl.maximum(highest, tl.max(s, 1))
            p = tl.exp2(s - higher[:, None])
            rescale = tl.exp2(highest - higher)
            total = total * rescale + tl.sum(p, 1)
            out *= rescale[:, None]
            highest = higher
        out += dot(p.to(v.dtype), v)
    total = tl.maximum(total, 1e-37)  # places beyond the window may see nothing
    lse = tl.log2(total)
    if not BOUNDED:
        lse += highest
    store_rows(OUT + image * H * W * C, out / total[:, None], token, region, C, D)
    tl.store(LSE + (image * H * W + token) * HEADS, lse, region < NO_TOKEN)
