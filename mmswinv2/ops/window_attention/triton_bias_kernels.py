"""Gradient of the bias and of its table."""
# T H W map, ST SH SW shift, WT WH WW window; maps of images have None for T, ST and WT
# N = WT * WH * WW places of a window, D head channels, M queries and K keys at a time

# ruff: noqa: ANN001, ANN201, ANN202 (kernels take pointers and blocks)

import triton
import triton.language as tl

from .triton_common import (
    LOG2E,
    dot,
    load_bias,
    load_rows,
    logits,
    unit_length,
)
from .triton_windows import (
    NO_TOKEN,
    SIZES,
    bias_centre,
    bias_offset,
    count_windows,
    locate,
    places,
    regions,
    table_entries,
    tokens,
    volume,
)

# fmt: off


@triton.jit(do_not_specialize=["first_head", *SIZES])
def bias_kernel(
    GRAD_OUT, QKV, TABLE, SCALE, LSE, DELTA, GRAD_BIAS,
    first_head, HEADS, B, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr,
):
    """Gradient of a tile of the bias of a head, of every n-th window."""
    N = volume(WT, WH, WW)
    tiles_q = tl.cdiv(N, M)
    tiles_k = tl.cdiv(N, K)
    pid = tl.program_id(0)
    head = pid // (tiles_q * tiles_k)
    GRAD_BIAS += (tl.program_id(1) * (tl.num_programs(0) // (tiles_q * tiles_k)) + head
                  ).to(tl.int64) * N * N
    head += first_head
    query = pid // tiles_k % tiles_q * M
    key = pid % tiles_k * K
    TABLE += head * table_entries(WT, WH, WW)
    place, row = places(query, WT, WH, WW, PER_ROW, M)
    offset = bias_offset(place, row, WT, WH, WW, PER_FRAME) + bias_centre(WT, WH, WW)
    place, row = places(key, WT, WH, WW, PER_ROW, K)
    k_offset = bias_offset(place, row, WT, WH, WW, PER_FRAME)
    bias = load_bias(TABLE, offset, -k_offset)
    total = tl.zeros([M, K], tl.float32)
    inner, border = count_windows(B, T, H, W, ST, SH, SW, WT, WH, WW)
    for window in range(tl.program_id(1), inner, tl.num_programs(1)):
        total += _bias_tile(GRAD_OUT, QKV, bias, SCALE, LSE, DELTA, window, head,
                            query, key, HEADS, T, H, W, ST, SH, SW, WT, WH, WW,
                            PER_ROW, PER_FRAME, D, M, K, False)
    for window in range(tl.program_id(1), border, tl.num_programs(1)):
        total += _bias_tile(GRAD_OUT, QKV, bias, SCALE, LSE, DELTA, window, head,
                            query, key, HEADS, T, H, W, ST, SH, SW, WT, WH, WW,
                            PER_ROW, PER_FRAME, D, M, K, True)
    i, j = query + tl.arange(0, M), key + tl.arange(0, K)
    tl.store(GRAD_BIAS + i[:, None] * N + j[None, :], total,
             (i < N)[:, None] & (j < N)[None, :])


@triton.jit
def _bias_tile(
    GRAD_OUT, QKV, bias, SCALE, LSE, DELTA,
    window, head, query, key,
    HEADS, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, BORDER: tl.constexpr,
):
    C = HEADS * D
    scale = tl.load(SCALE + head) * LOG2E
    first_token, front, top, left = locate(window, T, H, W, ST, SH, SW, WT, WH, WW,
                                           BORDER)
    QKV += first_token * 3 * C + head * D
    GRAD_OUT += first_token * C + head * D
    LSE += first_token * HEADS + head
    DELTA += first_token * HEADS + head
    # 0, but no compiler can tell: regions kept for all windows fill the registers, and
    # so do tokens of clips.
    zero = tl.minimum(top, 0) if M * K > 4096 else 0
    CLIP: tl.constexpr = BORDER and WT is not None
    place, row = places(query + zero if CLIP else query, WT, WH, WW, PER_ROW, M)
    token = tokens(place, row, front, top, left, T, H, W, ST, SH, SW, WT, WH, WW,
                   PER_FRAME, BORDER)
    place, row = places(query + zero, WT, WH, WW, PER_ROW, M)
    region = regions(query, place, row, front, top, left, T, H, W, ST, SH, SW,
                     WT, WH, WW, PER_FRAME, M, False, BORDER)
    place, row = places(key, WT, WH, WW, PER_ROW, K)
    k_token = tokens(place, row, front, top, left, T, H, W, ST, SH, SW, WT, WH, WW,
                     PER_FRAME, BORDER)
    place, row = places(key + zero, WT, WH, WW, PER_ROW, K)
    k_region = regions(key, place, row, front, top, left, T, H, W, ST, SH, SW,
                       WT, WH, WW, PER_FRAME, K, False, BORDER)
    q = load_rows(QKV, token, region, 3 * C, D, BORDER)
    k = load_rows(QKV + C, k_token, k_region, 3 * C, D, BORDER)
    v = load_rows(QKV + 2 * C, k_token, k_region, 3 * C, D, BORDER)
    grad_out = load_rows(GRAD_OUT, token, region, C, D, BORDER)
    lse = tl.load(LSE + token * HEADS, region < NO_TOKEN, 0.0)
    delta = tl.load(DELTA + token * HEADS, region < NO_TOKEN, 0.0)
    q = unit_length(q)[0]
    k = unit_length(k)[0]
    s = logits(q, k, scale, bias, region, k_region, BORDER)
    p = tl.exp2(s - lse[:, None])
    return p * (dot(grad_out, tl.trans(v)) - delta[:, None])


@triton.jit(do_not_specialize=["WT", "WH", "WW"])
def fold_kernel(GRAD_BIAS, GRAD_TABLE, WT, WH, WW, X: tl.constexpr, DX: tl.constexpr):
    """Sum over pairs of places with the same offset, of a head and a row of its table.

    GRAD_BIAS is ``(heads, N, N)``, queries first; WT is 1 for maps of images. X queries
    and DX horizontal offsets at a time.
    """
    table_row = tl.program_id(0)
    dt = table_row // (2 * WH - 1) - WT + 1
    dy = table_row % (2 * WH - 1) - WH + 1
    head = tl.program_id(1)
    offset = tl.program_id(2) * DX + tl.arange(0, DX)
    dx = offset - WW + 1
    layer = WH * WW
    N = WT * layer
    GRAD_BIAS += head.to(tl.int64) * N * N
    begin, end = tl.maximum(dy, 0) * WW, tl.minimum(WH, WH + dy) * WW
    total = tl.zeros([X, DX], tl.float32)
    for t in range(tl.maximum(dt, 0), tl.minimum(WT, WT + dt)):
        for first in range(begin, end, X):
            place = first + tl.arange(0, X)[:, None]
            k_x = place % WW - dx[None, :]
            key = (t - dt) * layer + place - dy * WW - dx[None, :]
            real = (place < end) & (k_x >= 0) & (k_x < WW)
            total += tl.load(GRAD_BIAS + (t * layer + place) * N + key, real, 0.0)
    GRAD_TABLE += (head * tl.num_programs(0) + table_row) * (2 * WW - 1)
    tl.store(GRAD_TABLE + offset, tl.sum(total, 0), offset < 2 * WW - 1)
