"""Forward kernel: a program attends from some query rows of one window and head."""
# T H W map, ST SH SW shift, WT WH WW window; maps of images have None for T, ST and WT
# N = WT * WH * WW places of a window, D head channels,
# M queries and K keys at a time; WHOLE: K divides N

# ruff: noqa: ANN001, ANN201, ANN202 (kernels take pointers and blocks)

import triton
import triton.language as tl

from .triton_common import (
    LOG2E,
    dot,
    load_bias,
    load_rows,
    logits,
    store_rows,
    unit_length,
)
from .triton_windows import (
    NO_TOKEN,
    SIZES,
    bias_centre,
    count_windows,
    find,
    locate,
    table_entries,
    used_places,
    volume,
)

# fmt: off


@triton.jit(do_not_specialize=SIZES)
def forward_kernel(
    QKV, TABLE, BOUNDED, SCALE, OUT, LSE,
    HEADS, B, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, WHOLE: tl.constexpr,
):
    """Output, and log2 of the sum of exponentials of every row and head."""
    tiles = tl.cdiv(volume(WT, WH, WW), M)
    pid = tl.program_id(0)
    start = pid % tiles * M
    head = pid // tiles % HEADS
    window = pid // (tiles * HEADS)
    inner, _ = count_windows(B, T, H, W, ST, SH, SW, WT, WH, WW)
    bounded = tl.load(BOUNDED + head) != 0
    TABLE += head * table_entries(WT, WH, WW)
    scale = tl.load(SCALE + head) * LOG2E
    QKV += head * D
    OUT += head * D
    LSE += head
    if window >= inner:
        _attend(QKV, TABLE, OUT, LSE, scale, window - inner, start,
                HEADS, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
                D, M, K, WHOLE, True, False)
    elif bounded and QKV.dtype.element_ty != tl.float16:  # whose weights underflow
        _attend(QKV, TABLE, OUT, LSE, scale, window, start,
                HEADS, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
                D, M, K, WHOLE, False, True)
    else:
        _attend(QKV, TABLE, OUT, LSE, scale, window, start,
                HEADS, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
                D, M, K, WHOLE, False, False)


@triton.jit
def _attend(
    QKV, TABLE, OUT, LSE, scale, window, start,
    HEADS, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, WHOLE: tl.constexpr,
    BORDER: tl.constexpr, BOUNDED: tl.constexpr,
):
    GUARD: tl.constexpr = BORDER or not WHOLE  # some of the keys are hidden
    C = HEADS * D
    first_token, front, top, left = locate(window, T, H, W, ST, SH, SW, WT, WH, WW,
                                           BORDER)
    QKV += first_token * 3 * C
    offset, token, region = find(
        start, front, top, left, T, H, W, ST, SH, SW, WT, WH, WW,
        PER_ROW, PER_FRAME, M, False, BORDER)
    offset += bias_centre(WT, WH, WW)
    q = unit_length(load_rows(QKV, token, region, 3 * C, D, BORDER))[0]

    highest = tl.full([M], float("-inf"), tl.float32)
    total = tl.zeros([M], tl.float32)
    out = tl.zeros([M, D], tl.float32)
    end = volume(WT, WH, WW)
    if BORDER:
        end = used_places(front, top, T, H, ST, SH, WT, WH, WW)
        end = tl.where(start < end, end, 0)  # no query, no work
    for first in range(0, end, K):
        k_offset, k_token, k_region = find(
            first, front, top, left, T, H, W, ST, SH, SW, WT, WH, WW,
            PER_ROW, PER_FRAME, K, WHOLE, BORDER)
        k = load_rows(QKV + C, k_token, k_region, 3 * C, D, BORDER)
        v = load_rows(QKV + 2 * C, k_token, k_region, 3 * C, D, BORDER)
        k = unit_length(k)[0]
        bias = load_bias(TABLE, offset, -k_offset)
        s = logits(q, k, scale, bias, region, k_region, GUARD)
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
    store_rows(OUT + first_token * C, out / total[:, None], token, region, C, D)
    tl.store(LSE + (first_token + token) * HEADS, lse, region < NO_TOKEN)
