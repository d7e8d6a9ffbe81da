"""Backward kernels: attention weights are computed again from q, k and the saved sums.

Windows of at most 64 places take one kernel. Larger ones take three, since gradients of
queries, keys and bias sum over different axes and sums in a fixed order need one
program for each: queries loop over keys, keys over queries, bias tiles over windows.
"""
# T H W map, ST SH SW shift, WT WH WW window; maps of images have None for T, ST and WT
# N = WT * WH * WW places of a window, D head channels,
# M queries and K keys at a time; grad_s is the gradient of logits
# WHOLE: the tile that is looped over divides N

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
    unit_length_backward,
)
from .triton_windows import (
    NO_TOKEN,
    SIZES,
    bias_centre,
    bias_offset,
    count_windows,
    find,
    locate,
    places,
    regions,
    table_entries,
    tokens,
    used_places,
    volume,
)

# fmt: off


@triton.jit(do_not_specialize=SIZES)
def query_kernel(
    GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, DELTA, GRAD_SCALE,
    HEADS, B, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, WHOLE: tl.constexpr,
):
    """Gradient of queries; delta of :func:`key_kernel`; parts of the scale's one."""
    tiles = tl.cdiv(volume(WT, WH, WW), M)
    pid = tl.program_id(0)
    start = pid % tiles * M
    head = pid // tiles % HEADS
    window = pid // (tiles * HEADS)
    inner, _ = count_windows(B, T, H, W, ST, SH, SW, WT, WH, WW)
    TABLE += head * table_entries(WT, WH, WW)
    if window >= inner:
        _query_tile(GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, DELTA, GRAD_SCALE,
                    window - inner, head, start, HEADS, T, H, W, ST, SH, SW, WT, WH, WW,
                    PER_ROW, PER_FRAME, D, M, K, WHOLE, True)
    else:
        _query_tile(GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, DELTA, GRAD_SCALE,
                    window, head, start, HEADS, T, H, W, ST, SH, SW, WT, WH, WW,
                    PER_ROW, PER_FRAME, D, M, K, WHOLE, False)


@triton.jit
def _query_tile(
    GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, DELTA, GRAD_SCALE,
    window, head, start,
    HEADS, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, WHOLE: tl.constexpr,
    BORDER: tl.constexpr,
):
    GUARD: tl.constexpr = BORDER or not WHOLE  # some of the others are hidden
    C = HEADS * D
    scale = tl.load(SCALE + head)
    first_token, front, top, left = locate(window, T, H, W, ST, SH, SW, WT, WH, WW,
                                           BORDER)
    QKV += first_token * 3 * C + head * D
    GRAD_QKV += first_token * 3 * C + head * D
    GRAD_OUT += first_token * C + head * D
    OUT += first_token * C + head * D
    LSE += first_token * HEADS + head
    DELTA += first_token * HEADS + head

    offset, token, region = find(
        start, front, top, left, T, H, W, ST, SH, SW, WT, WH, WW,
        PER_ROW, PER_FRAME, M, False, BORDER)
    offset += bias_centre(WT, WH, WW)
    q, inverse = unit_length(load_rows(QKV, token, region, 3 * C, D, BORDER))
    grad_out = load_rows(GRAD_OUT, token, region, C, D, BORDER)
    out = load_rows(OUT, token, region, C, D, BORDER)
    delta = tl.sum(grad_out.to(tl.float32) * out.to(tl.float32), 1)
    tl.store(DELTA + token * HEADS, delta, region < NO_TOKEN)
    lse = tl.load(LSE + token * HEADS, region < NO_TOKEN, 0.0)

    grad_q = tl.zeros([M, D], tl.float32)
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
        s = logits(q, k, scale * LOG2E, bias, region, k_region, GUARD)
        p = tl.exp2(s - lse[:, None])
        grad_s = p * (dot(grad_out, tl.trans(v)) - delta[:, None])
        grad_q += dot(grad_s.to(k.dtype), k)
    grad_q, along = unit_length_backward(grad_q, q, inverse)
    along = tl.where(region < NO_TOKEN, along, 0.0)
    tl.store(GRAD_SCALE + tl.program_id(0), tl.sum(along, 0))
    store_rows(GRAD_QKV, grad_q * scale, token, region, 3 * C, D)


@triton.jit(do_not_specialize=SIZES)
def key_kernel(
    GRAD_OUT, QKV, TABLE, SCALE, LSE, GRAD_QKV, DELTA,
    HEADS, B, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, WHOLE: tl.constexpr,
):
    """Gradients of keys and values."""
    tiles = tl.cdiv(volume(WT, WH, WW), K)
    pid = tl.program_id(0)
    start = pid % tiles * K
    head = pid // tiles % HEADS
    window = pid // (tiles * HEADS)
    inner, _ = count_windows(B, T, H, W, ST, SH, SW, WT, WH, WW)
    TABLE += head * table_entries(WT, WH, WW)
    if window >= inner:
        _key_tile(GRAD_OUT, QKV, TABLE, SCALE, LSE, GRAD_QKV, DELTA,
                  window - inner, head, start, HEADS, T, H, W, ST, SH, SW, WT, WH, WW,
                  PER_ROW, PER_FRAME, D, M, K, WHOLE, True)
    else:
        _key_tile(GRAD_OUT, QKV, TABLE, SCALE, LSE, GRAD_QKV, DELTA,
                  window, head, start, HEADS, T, H, W, ST, SH, SW, WT, WH, WW,
                  PER_ROW, PER_FRAME, D, M, K, WHOLE, False)


@triton.jit
def _key_tile(
    GRAD_OUT, QKV, TABLE, SCALE, LSE, GRAD_QKV, DELTA,
    window, head, start,
    HEADS, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, WHOLE: tl.constexpr,
    BORDER: tl.constexpr,
):
    GUARD: tl.constexpr = BORDER or not WHOLE  # some of the others are hidden
    C = HEADS * D
    scale = tl.load(SCALE + head)
    first_token, front, top, left = locate(window, T, H, W, ST, SH, SW, WT, WH, WW,
                                           BORDER)
    QKV += first_token * 3 * C + head * D
    GRAD_QKV += first_token * 3 * C + head * D
    GRAD_OUT += first_token * C + head * D
    LSE += first_token * HEADS + head
    DELTA += first_token * HEADS + head

    offset, token, region = find(
        start, front, top, left, T, H, W, ST, SH, SW, WT, WH, WW,
        PER_ROW, PER_FRAME, K, False, BORDER)
    offset = bias_centre(WT, WH, WW) - offset
    k, inverse = unit_length(load_rows(QKV + C, token, region, 3 * C, D, BORDER))
    v = load_rows(QKV + 2 * C, token, region, 3 * C, D, BORDER)

    grad_k = tl.zeros([K, D], tl.float32)
    grad_v = tl.zeros([K, D], tl.float32)
    end = volume(WT, WH, WW)
    if BORDER:
        end = used_places(front, top, T, H, ST, SH, WT, WH, WW)
        end = tl.where(start < end, end, 0)  # no key, no work
    for first in range(0, end, M):
        q_offset, q_token, q_region = find(
            first, front, top, left, T, H, W, ST, SH, SW, WT, WH, WW,
            PER_ROW, PER_FRAME, M, WHOLE, BORDER)
        q = load_rows(QKV, q_token, q_region, 3 * C, D, BORDER)
        grad_out = load_rows(GRAD_OUT, q_token, q_region, C, D, BORDER)
        lse = tl.load(LSE + q_token * HEADS, q_region < NO_TOKEN, 0.0)
        delta = tl.load(DELTA + q_token * HEADS, q_region < NO_TOKEN, 0.0)
        q = unit_length(q)[0]
        bias = load_bias(TABLE, offset, q_offset)
        s = logits(k, q, scale * LOG2E, bias, region, q_region, GUARD)
        p = tl.exp2(s - lse[None, :])
        grad_v += dot(p.to(grad_out.dtype), grad_out)
        grad_s = p * (dot(v, tl.trans(grad_out)) - delta[None, :])
        grad_k += dot(grad_s.to(q.dtype), q)
    grad_k, _ = unit_length_backward(grad_k, k, inverse)
    store_rows(GRAD_QKV + C, grad_k * scale, token, region, 3 * C, D)
    store_rows(GRAD_QKV + 2 * C, grad_v, token, region, 3 * C, D)


@triton.jit(do_not_specialize=SIZES)
def window_kernel(
    GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, GRAD_BIAS, GRAD_SCALE,
    HEADS, B, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, WHOLE: tl.constexpr,
    RELOAD: tl.constexpr,
):
    """All gradients of a head in every n-th window; a window is one tile, M = K.

    RELOAD: border windows leave the bias no registers.
    """
    N = volume(WT, WH, WW)
    head = tl.program_id(0)
    place = tl.arange(0, M)
    TABLE += head * table_entries(WT, WH, WW)
    at, row = places(0, WT, WH, WW, PER_ROW, M)
    offset = bias_offset(at, row, WT, WH, WW, PER_FRAME)
    bias = load_bias(TABLE, offset + bias_centre(WT, WH, WW), -offset)
    grad_bias = tl.zeros([M, K], tl.float32)
    grad_scale = tl.zeros([M], tl.float32)
    inner, border = count_windows(B, T, H, W, ST, SH, SW, WT, WH, WW)
    for window in range(tl.program_id(1), inner, tl.num_programs(1)):
        grad_s, part = _window(GRAD_OUT, QKV, TABLE, bias, SCALE, OUT, LSE, GRAD_QKV,
                               window, head, HEADS, T, H, W, ST, SH, SW, WT, WH, WW,
                               PER_ROW, PER_FRAME, D, M, WHOLE, False, RELOAD)
        grad_bias += grad_s
        grad_scale += part
    for window in range(tl.program_id(1), border, tl.num_programs(1)):
        grad_s, part = _window(GRAD_OUT, QKV, TABLE, bias, SCALE, OUT, LSE, GRAD_QKV,
                               window, head, HEADS, T, H, W, ST, SH, SW, WT, WH, WW,
                               PER_ROW, PER_FRAME, D, M, WHOLE, True, RELOAD)
        grad_bias += grad_s
        grad_scale += part
    part = tl.program_id(1) * HEADS + head
    tl.store(GRAD_BIAS + part * N * N + place[:, None] * N + place[None, :], grad_bias,
             (place < N)[:, None] & (place < N)[None, :])
    tl.store(GRAD_SCALE + part, tl.sum(grad_scale, 0))


@triton.jit
def _window(
    GRAD_OUT, QKV, TABLE, bias, SCALE, OUT, LSE, GRAD_QKV,
    window, head, HEADS, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
    D: tl.constexpr, M: tl.constexpr, WHOLE: tl.constexpr, BORDER: tl.constexpr,
    RELOAD: tl.constexpr,
):
    C = HEADS * D
    GUARD: tl.constexpr = BORDER or not WHOLE
    scale = tl.load(SCALE + head)
    first_token, front, top, left = locate(window, T, H, W, ST, SH, SW, WT, WH, WW,
                                           BORDER)
    QKV += first_token * 3 * C + head * D
    GRAD_QKV += first_token * 3 * C + head * D
    # Adds 0, but no compiler can tell: kept for all windows, what follows from places
    # alone would fill the registers.
    place, row = places(tl.minimum(top, 0), WT, WH, WW, PER_ROW, M)
    token = tokens(place, row, front, top, left, T, H, W, ST, SH, SW, WT, WH, WW,
                   PER_FRAME, BORDER)
    region = regions(0, place, row, front, top, left, T, H, W, ST, SH, SW, WT, WH, WW,
                     PER_FRAME, M, False, BORDER)
    at = first_token * C + head * D
    grad_out = load_rows(GRAD_OUT + at, token, region, C, D, GUARD)
    out = load_rows(OUT + at, token, region, C, D, GUARD)
    delta = tl.sum(grad_out.to(tl.float32) * out.to(tl.float32), 1)
    at = (first_token + token) * HEADS + head
    lse = tl.load(LSE + at, region < NO_TOKEN, 0.0)
    q = load_rows(QKV, token, region, 3 * C, D, GUARD)
    k = load_rows(QKV + C, token, region, 3 * C, D, GUARD)
    v = load_rows(QKV + 2 * C, token, region, 3 * C, D, GUARD)
    q, inverse_q = unit_length(q)
    k, inverse_k = unit_length(k)
    if GUARD and RELOAD:
        offset = bias_offset(place, row, WT, WH, WW, PER_FRAME)
        bias = load_bias(TABLE, offset + bias_centre(WT, WH, WW), -offset)
    s = logits(q, k, scale * LOG2E, bias, region, region, GUARD)
    p = tl.exp2(s - lse[:, None])
    grad_v = dot(tl.trans(p.to(v.dtype)), grad_out)
    store_rows(GRAD_QKV + 2 * C, grad_v, token, region, 3 * C, D)
    grad_s = p * (dot(grad_out, tl.trans(v)) - delta[:, None])
    low = grad_s.to(q.dtype)
    grad_q, grad_scale = unit_length_backward(dot(low, k), q, inverse_q)
    store_rows(GRAD_QKV, grad_q * scale, token, region, 3 * C, D)
    grad_k, _ = unit_length_backward(dot(tl.trans(low), q), k, inverse_k)
    store_rows(GRAD_QKV + C, grad_k * scale, token, region, 3 * C, D)
    return grad_s, tl.where(region < NO_TOKEN, grad_scale, 0.0)
