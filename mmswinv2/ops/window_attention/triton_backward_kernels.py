"""Backward kernels: attention weights are computed again from q, k and the saved sums.

Windows of at most 64 places take one kernel. Larger ones take three, since gradients of
queries, keys and bias sum over different axes and sums in a fixed order need one
program for each: queries loop over keys, keys over queries, bias tiles over windows.
"""
# H W map, SH SW shift, WH WW window, N = WH * WW places of a window, D head channels,
# M queries and K keys at a time; grad_s is the gradient of logits
# WHOLE: the tile that is looped over divides N

# ruff: noqa: ANN001, ANN201, ANN202 (kernels take pointers and blocks)

import triton
import triton.language as tl

from .triton_common import (
    LOG2E,
    NO_TOKEN,
    SIZES,
    bias_centre,
    bias_offset,
    count_windows,
    dot,
    load_bias,
    load_rows,
    locate,
    logits,
    places,
    regions,
    store_rows,
    tokens,
    unit_length,
    unit_length_backward,
    used_places,
)

# fmt: off


@triton.jit(do_not_specialize=SIZES)
def query_kernel(
    GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, DELTA, GRAD_SCALE,
    HEADS, B, H, W, SH, SW, WH, WW, PER_ROW,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, WHOLE: tl.constexpr,
):
    """Gradient of queries; delta of :func:`key_kernel`; parts of the scale's one."""
    tiles = tl.cdiv(WH * WW, M)
    pid = tl.program_id(0)
    start = pid % tiles * M
    head = pid // tiles % HEADS
    window = pid // (tiles * HEADS)
    inner, _ = count_windows(B, H, W, SH, SW, WH, WW)
    TABLE += head * (2 * WH - 1) * (2 * WW - 1)
    if window >= inner:
        _query_tile(GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, DELTA, GRAD_SCALE,
                    window - inner, head, start, HEADS, H, W, SH, SW, WH, WW, PER_ROW,
                    D, M, K, WHOLE, True)
    else:
        _query_tile(GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, DELTA, GRAD_SCALE,
                    window, head, start, HEADS, H, W, SH, SW, WH, WW, PER_ROW,
                    D, M, K, WHOLE, False)


@triton.jit
def _query_tile(
    GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, DELTA, GRAD_SCALE,
    window, head, start, HEADS, H, W, SH, SW, WH, WW, PER_ROW,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, WHOLE: tl.constexpr,
    BORDER: tl.constexpr,
):
    GUARD: tl.constexpr = BORDER or not WHOLE  # some of the others are hidden
    C = HEADS * D
    scale = tl.load(SCALE + head)
    image, top, left = locate(window, H, W, SH, SW, WH, WW, BORDER)
    first_token = image * H * W
    QKV += first_token * 3 * C + head * D
    GRAD_QKV += first_token * 3 * C + head * D
    GRAD_OUT += first_token * C + head * D
    OUT += first_token * C + head * D
    LSE += first_token * HEADS + head
    DELTA += first_token * HEADS + head

    place, row = places(start, WH, WW, PER_ROW, M)
    token = tokens(place, row, top, left, H, W, SH, SW, WH, WW, BORDER)
    region = regions(start, place, row, top, left, H, W, SH, SW, WH, WW,
                     M, False, BORDER)
    offset = bias_offset(place, row, WW) + bias_centre(WH, WW)
    q, inverse = unit_length(load_rows(QKV, token, region, 3 * C, D, BORDER))
    grad_out = load_rows(GRAD_OUT, token, region, C, D, BORDER)
    out = load_rows(OUT, token, region, C, D, BORDER)
    delta = tl.sum(grad_out.to(tl.float32) * out.to(tl.float32), 1)
    tl.store(DELTA + token * HEADS, delta, region < NO_TOKEN)
    lse = tl.load(LSE + token * HEADS, region < NO_TOKEN, 0.0)

    grad_q = tl.zeros([M, D], tl.float32)
    end = WH * WW
    if BORDER:
        end = used_places(top, H, SH, WH, WW)
        end = tl.where(start < end, end, 0)  # no query, no work
    for first in range(0, end, K):
        k_place, k_row = places(first, WH, WW, PER_ROW, K)
        k_token = tokens(k_place, k_row, top, left, H, W, SH, SW, WH, WW, BORDER)
        k_region = regions(first, k_place, k_row, top, left, H, W, SH, SW, WH, WW,
                           K, WHOLE, BORDER)
        k = load_rows(QKV + C, k_token, k_region, 3 * C, D, BORDER)
        v = load_rows(QKV + 2 * C, k_token, k_region, 3 * C, D, BORDER)
        k = unit_length(k)[0]
        k_offset = -bias_offset(k_place, k_row, WW)
        bias = load_bias(TABLE, offset, k_offset)
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
    HEADS, B, H, W, SH, SW, WH, WW, PER_ROW,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, WHOLE: tl.constexpr,
):
    """Gradients of keys and values."""
    tiles = tl.cdiv(WH * WW, K)
    pid = tl.program_id(0)
    start = pid % tiles * K
    head = pid // tiles % HEADS
    window = pid // (tiles * HEADS)
    inner, _ = count_windows(B, H, W, SH, SW, WH, WW)
    TABLE += head * (2 * WH - 1) * (2 * WW - 1)
    if window >= inner:
        _key_tile(GRAD_OUT, QKV, TABLE, SCALE, LSE, GRAD_QKV, DELTA,
                  window - inner, head, start, HEADS, H, W, SH, SW, WH, WW, PER_ROW,
                  D, M, K, WHOLE, True)
    else:
        _key_tile(GRAD_OUT, QKV, TABLE, SCALE, LSE, GRAD_QKV, DELTA,
                  window, head, start, HEADS, H, W, SH, SW, WH, WW, PER_ROW,
                  D, M, K, WHOLE, False)


@triton.jit
def _key_tile(
    GRAD_OUT, QKV, TABLE, SCALE, LSE, GRAD_QKV, DELTA,
    window, head, start, HEADS, H, W, SH, SW, WH, WW, PER_ROW,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, WHOLE: tl.constexpr,
    BORDER: tl.constexpr,
):
    GUARD: tl.constexpr = BORDER or not WHOLE  # some of the others are hidden
    C = HEADS * D
    scale = tl.load(SCALE + head)
    image, top, left = locate(window, H, W, SH, SW, WH, WW, BORDER)
    first_token = image * H * W
    QKV += first_token * 3 * C + head * D
    GRAD_QKV += first_token * 3 * C + head * D
    GRAD_OUT += first_token * C + head * D
    LSE += first_token * HEADS + head
    DELTA += first_token * HEADS + head

    place, row = places(start, WH, WW, PER_ROW, K)
    token = tokens(place, row, top, left, H, W, SH, SW, WH, WW, BORDER)
    region = regions(start, place, row, top, left, H, W, SH, SW, WH, WW,
                     K, False, BORDER)
    offset = bias_centre(WH, WW) - bias_offset(place, row, WW)
    k, inverse = unit_length(load_rows(QKV + C, token, region, 3 * C, D, BORDER))
    v = load_rows(QKV + 2 * C, token, region, 3 * C, D, BORDER)

    grad_k = tl.zeros([K, D], tl.float32)
    grad_v = tl.zeros([K, D], tl.float32)
    end = WH * WW
    if BORDER:
        end = used_places(top, H, SH, WH, WW)
        end = tl.where(start < end, end, 0)  # no key, no work
    for first in range(0, end, M):
        q_place, q_row = places(first, WH, WW, PER_ROW, M)
        q_token = tokens(q_place, q_row, top, left, H, W, SH, SW, WH, WW, BORDER)
        q_region = regions(first, q_place, q_row, top, left, H, W, SH, SW, WH, WW,
                           M, WHOLE, BORDER)
        q = load_rows(QKV, q_token, q_region, 3 * C, D, BORDER)
        grad_out = load_rows(GRAD_OUT, q_token, q_region, C, D, BORDER)
        lse = tl.load(LSE + q_token * HEADS, q_region < NO_TOKEN, 0.0)
        delta = tl.load(DELTA + q_token * HEADS, q_region < NO_TOKEN, 0.0)
        q = unit_length(q)[0]
        q_offset = bias_offset(q_place, q_row, WW)
        bias = load_bias(TABLE, offset, q_offset)
        s = logits(k, q, scale * LOG2E, bias, region, q_region, GUARD)
        p = tl.exp2(s - lse[None, :])
        grad_v += dot(p.to(grad_out.dtype), grad_out)
        grad_s = p * (dot(v, tl.trans(grad_out)) - delta[None, :])
        grad_k += dot(grad_s.to(q.dtype), q)
    grad_k, _ = unit_length_backward(grad_k, k, inverse)
    store_rows(GRAD_QKV + C, grad_k * scale, token, region, 3 * C, D)
    store_rows(GRAD_QKV + 2 * C, grad_v, token, region, 3 * C, D)


@triton.jit(do_not_specialize=["first_head", *SIZES])
def bias_kernel(
    GRAD_OUT, QKV, TABLE, SCALE, LSE, DELTA, GRAD_BIAS,
    first_head, HEADS, B, H, W, SH, SW, WH, WW, PER_ROW,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr,
):
    """Gradient of a tile of the bias of a head, of every n-th window."""
    N = WH * WW
    tiles_q = tl.cdiv(N, M)
    tiles_k = tl.cdiv(N, K)
    pid = tl.program_id(0)
    head = pid // (tiles_q * tiles_k)
    GRAD_BIAS += (tl.program_id(1) * (tl.num_programs(0) // (tiles_q * tiles_k)) + head
                  ).to(tl.int64) * N * N
    head += first_head
    query = pid // tiles_k % tiles_q * M
    key = pid % tiles_k * K
    TABLE += head * (2 * WH - 1) * (2 * WW - 1)
    place, row = places(query, WH, WW, PER_ROW, M)
    offset = bias_offset(place, row, WW) + bias_centre(WH, WW)
    place, row = places(key, WH, WW, PER_ROW, K)
    bias = load_bias(TABLE, offset, -bias_offset(place, row, WW))
    total = tl.zeros([M, K], tl.float32)
    inner, border = count_windows(B, H, W, SH, SW, WH, WW)
    for window in range(tl.program_id(1), inner, tl.num_programs(1)):
        total += _bias_tile(GRAD_OUT, QKV, bias, SCALE, LSE, DELTA, window, head,
                            query, key, HEADS, H, W, SH, SW, WH, WW, PER_ROW,
                            D, M, K, False)
    for window in range(tl.program_id(1), border, tl.num_programs(1)):
        total += _bias_tile(GRAD_OUT, QKV, bias, SCALE, LSE, DELTA, window, head,
                            query, key, HEADS, H, W, SH, SW, WH, WW, PER_ROW,
                            D, M, K, True)
    i, j = query + tl.arange(0, M), key + tl.arange(0, K)
    tl.store(GRAD_BIAS + i[:, None] * N + j[None, :], total,
             (i < N)[:, None] & (j < N)[None, :])


@triton.jit
def _bias_tile(
    GRAD_OUT, QKV, bias, SCALE, LSE, DELTA,
    window, head, query, key, HEADS, H, W, SH, SW, WH, WW, PER_ROW,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, BORDER: tl.constexpr,
):
    C = HEADS * D
    scale = tl.load(SCALE + head) * LOG2E
    image, top, left = locate(window, H, W, SH, SW, WH, WW, BORDER)
    first_token = image * H * W
    QKV += first_token * 3 * C + head * D
    GRAD_OUT += first_token * C + head * D
    LSE += first_token * HEADS + head
    DELTA += first_token * HEADS + head
    # 0, but no compiler can tell: regions kept for all windows fill the registers.
    zero = tl.minimum(top, 0) if M * K > 4096 else 0
    place, row = places(query, WH, WW, PER_ROW, M)
    token = tokens(place, row, top, left, H, W, SH, SW, WH, WW, BORDER)
    again, again_row = places(query + zero, WH, WW, PER_ROW, M)
    region = regions(query, again, again_row, top, left, H, W, SH, SW, WH, WW,
                     M, False, BORDER)
    k_place, k_row = places(key, WH, WW, PER_ROW, K)
    k_token = tokens(k_place, k_row, top, left, H, W, SH, SW, WH, WW, BORDER)
    again, again_row = places(key + zero, WH, WW, PER_ROW, K)
    k_region = regions(key, again, again_row, top, left, H, W, SH, SW, WH, WW,
                       K, False, BORDER)
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


@triton.jit(do_not_specialize=SIZES)
def window_kernel(
    GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, GRAD_BIAS, GRAD_SCALE,
    HEADS, B, H, W, SH, SW, WH, WW, PER_ROW,
    D: tl.constexpr, M: tl.constexpr, K: tl.constexpr, WHOLE: tl.constexpr,
    RELOAD: tl.constexpr,
):
    """All gradients of a head in every n-th window; a window is one tile, M = K.

    RELOAD: border windows leave the bias no registers.
    """
    N = WH * WW
    head = tl.program_id(0)
    place = tl.arange(0, M)
    TABLE += head * (2 * WH - 1) * (2 * WW - 1)
    at, row = places(0, WH, WW, PER_ROW, M)
    offset = bias_offset(at, row, WW)
    bias = load_bias(TABLE, offset + bias_centre(WH, WW), -offset)
    grad_bias = tl.zeros([M, K], tl.float32)
    grad_scale = tl.zeros([M], tl.float32)
    inner, border = count_windows(B, H, W, SH, SW, WH, WW)
    for window in range(tl.program_id(1), inner, tl.num_programs(1)):
        grad_s, part = _window(GRAD_OUT, QKV, TABLE, bias, SCALE, OUT, LSE, GRAD_QKV,
                               window, head, HEADS, H, W, SH, SW, WH, WW, PER_ROW,
                               D, M, WHOLE, False, RELOAD)
        grad_bias += grad_s
        grad_scale += part
    for window in range(tl.program_id(1), border, tl.num_programs(1)):
        grad_s, part = _window(GRAD_OUT, QKV, TABLE, bias, SCALE, OUT, LSE, GRAD_QKV,
                               window, head, HEADS, H, W, SH, SW, WH, WW, PER_ROW,
                               D, M, WHOLE, True, RELOAD)
        grad_bias += grad_s
        grad_scale += part
    part = tl.program_id(1) * HEADS + head
    tl.store(GRAD_BIAS + part * N * N + place[:, None] * N + place[None, :], grad_bias,
             (place < N)[:, None] & (place < N)[None, :])
    tl.store(GRAD_SCALE + part, tl.sum(grad_scale, 0))


@triton.jit
def _window(
    GRAD_OUT, QKV, TABLE, bias, SCALE, OUT, LSE, GRAD_QKV,
    window, head, HEADS, H, W, SH, SW, WH, WW, PER_ROW,
    D: tl.constexpr, M: tl.constexpr, WHOLE: tl.constexpr, BORDER: tl.constexpr,
    RELOAD: tl.constexpr,
):
    C = HEADS * D
    GUARD: tl.constexpr = BORDER or not WHOLE
    scale = tl.load(SCALE + head)
    image, top, left = locate(window, H, W, SH, SW, WH, WW, BORDER)
    first_token = image * H * W
    QKV += first_token * 3 * C + head * D
    GRAD_QKV += first_token * 3 * C + head * D
    # Adds 0, but no compiler can tell: kept for all windows, what follows from places
    # alone would fill the registers.
    place, row = places(tl.minimum(top, 0), WH, WW, PER_ROW, M)
    token = tokens(place, row, top, left, H, W, SH, SW, WH, WW, BORDER)
    region = regions(0, place, row, top, left, H, W, SH, SW, WH, WW,
                     M, False, BORDER)
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
        offset = bias_offset(place, row, WW)
        bias = load_bias(TABLE, offset + bias_centre(WH, WW), -offset)
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


@triton.jit(do_not_specialize=["WH", "WW"])
def fold_kernel(GRAD_BIAS, GRAD_TABLE, WH, WW, X: tl.constexpr, DX: tl.constexpr):
    """Sum over pairs of places with the same offset, of a head and a vertical offset.

    GRAD_BIAS is ``(heads, N, N)``, queries first; a program writes a row of the table.
    X columns of queries and DX horizontal offsets at a time.
    """
    head = tl.program_id(0)
    dy = tl.program_id(1) - WH + 1
    offset = tl.program_id(2) * DX + tl.arange(0, DX)
    dx = offset - WW + 1
    N = WH * WW
    GRAD_BIAS += head.to(tl.int64) * N * N
    total = tl.zeros([X, DX], tl.float32)
    for y in range(tl.maximum(dy, 0), tl.minimum(WH, WH + dy)):
        for first in range(0, WW, X):
            x = first + tl.arange(0, X)[:, None]
            k_x = x - dx[None, :]
            at = (y * WW + x) * N + (y - dy) * WW + k_x
            real = (x < WW) & (k_x >= 0) & (k_x < WW)
            total += tl.load(GRAD_BIAS + at, real, 0.0)
    row = (head * (2 * WH - 1) + tl.program_id(1)) * (2 * WW - 1)
    tl.store(GRAD_TABLE + row + offset, tl.sum(total, 0), offset < 2 * WW - 1)
