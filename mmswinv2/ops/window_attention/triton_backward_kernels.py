"""Backward kernels: attention weights are computed again from q, k and the saved sums.

Windows of at most 64 places take one kernel. Larger ones take three, since gradients of
queries, keys and bias sum over different axes and sums in a fixed order need one
program for each: queries loop over keys, keys over queries, bias tiles over windows.
"""
# H W map, WH WW window, SH SW shift, N = WH * WW places of a window, D head channels,
# M queries and K keys at a time; grad_s is the gradient of logits

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
    unit_length_backward,
    used_places,
)

# fmt: off


@triton.jit(do_not_specialize=SIZES)
def query_kernel(
    GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, DELTA, GRAD_SCALE,
    B, H, W, SH, SW,
    HEADS: tl.constexpr, D: tl.constexpr, WH: tl.constexpr, WW: tl.constexpr,
    M: tl.constexpr, K: tl.constexpr,
):
    """Gradient of queries; delta of :func:`key_kernel`; parts of the scale's one."""
    TILES: tl.constexpr = (WH * WW + M - 1) // M
    pid = tl.program_id(0)
    start = pid % TILES * M
    head = pid // TILES % HEADS
    window = pid // (TILES * HEADS)
    inner, _ = count_windows(B, H, W, SH, SW, WH, WW)
    TABLE += head * (2 * WH - 1) * (2 * WW - 1)
    if window >= inner:
        _query_tile(GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, DELTA, GRAD_SCALE,
                    window - inner, head, start, H, W, SH, SW,
                    HEADS, D, WH, WW, M, K, True)
    else:
        _query_tile(GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, DELTA, GRAD_SCALE,
                    window, head, start, H, W, SH, SW,
                    HEADS, D, WH, WW, M, K, False)


@triton.jit
def _query_tile(
    GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, DELTA, GRAD_SCALE,
    window, head, start, H, W, SH, SW,
    HEADS: tl.constexpr, D: tl.constexpr, WH: tl.constexpr, WW: tl.constexpr,
    M: tl.constexpr, K: tl.constexpr, BORDER: tl.constexpr,
):
    N: tl.constexpr = WH * WW
    C: tl.constexpr = HEADS * D
    GUARD_Q: tl.constexpr = BORDER or N % M != 0
    GUARD_K: tl.constexpr = BORDER or N % K != 0
    scale = tl.load(SCALE + head)
    image, top, left = locate(window, H, W, SH, SW, WH, WW, BORDER)
    first_token = image * H * W
    QKV += first_token * 3 * C + head * D
    GRAD_QKV += first_token * 3 * C + head * D
    GRAD_OUT += first_token * C + head * D
    OUT += first_token * C + head * D
    LSE += first_token * HEADS + head
    DELTA += first_token * HEADS + head

    place = start + tl.arange(0, M)
    token = tokens(place, top, left, H, W, SH, SW, WH, WW, BORDER)
    region = regions(place, top, left, H, W, SH, SW, WH, WW, BORDER)
    offset = bias_offset(place, WH, WW) + bias_offset(N - 1, WH, WW)
    q, inverse = unit_length(load_rows(QKV, token, region, 3 * C, D, GUARD_Q))
    grad_out = load_rows(GRAD_OUT, token, region, C, D, GUARD_Q)
    out = load_rows(OUT, token, region, C, D, GUARD_Q)
    delta = tl.sum(grad_out.to(tl.float32) * out.to(tl.float32), 1)
    tl.store(DELTA + token * HEADS, delta, region < NO_TOKEN)
    lse = tl.load(LSE + token * HEADS, region < NO_TOKEN, 0.0)

    grad_q = tl.zeros([M, D], tl.float32)
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
        s = logits(q, k, scale * LOG2E, TABLE, offset, k_offset, region, k_region,
                   GUARD_K)
        p = tl.exp2(s - lse[:, None])
        grad_s = p * (dot(grad_out, tl.trans(v)) - delta[:, None])
        grad_q += dot(grad_s.to(k.dtype), k)
    grad_q, along = unit_length_backward(grad_q, q, inverse)
    tl.store(GRAD_SCALE + tl.program_id(0), tl.sum(along, 0))
    store_rows(GRAD_QKV, grad_q * scale, token, region, 3 * C, D)


@triton.jit(do_not_specialize=SIZES)
def key_kernel(
    GRAD_OUT, QKV, TABLE, SCALE, LSE, GRAD_QKV, DELTA,
    B, H, W, SH, SW,
    HEADS: tl.constexpr, D: tl.constexpr, WH: tl.constexpr, WW: tl.constexpr,
    M: tl.constexpr, K: tl.constexpr,
):
    """Gradients of keys and values."""
    TILES: tl.constexpr = (WH * WW + K - 1) // K
    pid = tl.program_id(0)
    start = pid % TILES * K
    head = pid // TILES % HEADS
    window = pid // (TILES * HEADS)
    inner, _ = count_windows(B, H, W, SH, SW, WH, WW)
    TABLE += head * (2 * WH - 1) * (2 * WW - 1)
    if window >= inner:
        _key_tile(GRAD_OUT, QKV, TABLE, SCALE, LSE, GRAD_QKV, DELTA,
                  window - inner, head, start, H, W, SH, SW,
                  HEADS, D, WH, WW, M, K, True)
    else:
        _key_tile(GRAD_OUT, QKV, TABLE, SCALE, LSE, GRAD_QKV, DELTA,
                  window, head, start, H, W, SH, SW,
                  HEADS, D, WH, WW, M, K, False)


@triton.jit
def _key_tile(
    GRAD_OUT, QKV, TABLE, SCALE, LSE, GRAD_QKV, DELTA,
    window, head, start, H, W, SH, SW,
    HEADS: tl.constexpr, D: tl.constexpr, WH: tl.constexpr, WW: tl.constexpr,
    M: tl.constexpr, K: tl.constexpr, BORDER: tl.constexpr,
):
    N: tl.constexpr = WH * WW
    C: tl.constexpr = HEADS * D
    GUARD_Q: tl.constexpr = BORDER or N % M != 0
    GUARD_K: tl.constexpr = BORDER or N % K != 0
    scale = tl.load(SCALE + head)
    image, top, left = locate(window, H, W, SH, SW, WH, WW, BORDER)
    first_token = image * H * W
    QKV += first_token * 3 * C + head * D
    GRAD_QKV += first_token * 3 * C + head * D
    GRAD_OUT += first_token * C + head * D
    LSE += first_token * HEADS + head
    DELTA += first_token * HEADS + head

    place = start + tl.arange(0, K)
    token = tokens(place, top, left, H, W, SH, SW, WH, WW, BORDER)
    region = regions(place, top, left, H, W, SH, SW, WH, WW, BORDER)
    offset = bias_offset(N - 1, WH, WW) - bias_offset(place, WH, WW)
    k, inverse = unit_length(load_rows(QKV + C, token, region, 3 * C, D, GUARD_K))
    v = load_rows(QKV + 2 * C, token, region, 3 * C, D, GUARD_K)

    grad_k = tl.zeros([K, D], tl.float32)
    grad_v = tl.zeros([K, D], tl.float32)
    end = N
    if BORDER:
        end = used_places(top, H, SH, WH, WW)
        end = tl.where(start < end, end, 0)  # no key, no work
    for first in range(0, end, M):
        query = first + tl.arange(0, M)
        q_token = tokens(query, top, left, H, W, SH, SW, WH, WW, BORDER)
        q_region = regions(query, top, left, H, W, SH, SW, WH, WW, BORDER)
        q = load_rows(QKV, q_token, q_region, 3 * C, D, GUARD_Q)
        grad_out = load_rows(GRAD_OUT, q_token, q_region, C, D, GUARD_Q)
        lse = tl.load(LSE + q_token * HEADS, q_region < NO_TOKEN, 0.0)
        delta = tl.load(DELTA + q_token * HEADS, q_region < NO_TOKEN, 0.0)
        q = unit_length(q)[0]
        q_offset = bias_offset(query, WH, WW)
        s = logits(k, q, scale * LOG2E, TABLE, offset, q_offset, region, q_region,
                   GUARD_Q or GUARD_K)
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
    first_head, B, H, W, SH, SW,
    HEADS: tl.constexpr, D: tl.constexpr, WH: tl.constexpr, WW: tl.constexpr,
    M: tl.constexpr, K: tl.constexpr,
):
    """Gradient of a tile of the bias of a head, of every n-th window."""
    N: tl.constexpr = WH * WW
    TILES_Q: tl.constexpr = (N + M - 1) // M
    TILES_K: tl.constexpr = (N + K - 1) // K
    pid = tl.program_id(0)
    head = pid // (TILES_Q * TILES_K)
    GRAD_BIAS += (tl.program_id(1) * (tl.num_programs(0) // (TILES_Q * TILES_K)) + head
                  ).to(tl.int64) * N * N
    head += first_head
    query = pid // TILES_K % TILES_Q * M + tl.arange(0, M)
    key = pid % TILES_K * K + tl.arange(0, K)
    TABLE += head * (2 * WH - 1) * (2 * WW - 1)
    total = tl.zeros([M, K], tl.float32)
    inner, border = count_windows(B, H, W, SH, SW, WH, WW)
    for window in range(tl.program_id(1), inner, tl.num_programs(1)):
        total += _bias_tile(GRAD_OUT, QKV, TABLE, SCALE, LSE, DELTA, window, head,
                            query, key, H, W, SH, SW, HEADS, D, WH, WW, M, K, False)
    for window in range(tl.program_id(1), border, tl.num_programs(1)):
        total += _bias_tile(GRAD_OUT, QKV, TABLE, SCALE, LSE, DELTA, window, head,
                            query, key, H, W, SH, SW, HEADS, D, WH, WW, M, K, True)
    tl.store(GRAD_BIAS + query[:, None] * N + key[None, :], total,
             (query < N)[:, None] & (key < N)[None, :])


@triton.jit
def _bias_tile(
    GRAD_OUT, QKV, TABLE, SCALE, LSE, DELTA,
    window, head, query, key, H, W, SH, SW,
    HEADS: tl.constexpr, D: tl.constexpr, WH: tl.constexpr, WW: tl.constexpr,
    M: tl.constexpr, K: tl.constexpr, BORDER: tl.constexpr,
):
    N: tl.constexpr = WH * WW
    C: tl.constexpr = HEADS * D
    GUARD_Q: tl.constexpr = BORDER or N % M != 0
    GUARD_K: tl.constexpr = BORDER or N % K != 0
    scale = tl.load(SCALE + head) * LOG2E
    image, top, left = locate(window, H, W, SH, SW, WH, WW, BORDER)
    first_token = image * H * W
    QKV += first_token * 3 * C + head * D
    GRAD_OUT += first_token * C + head * D
    LSE += first_token * HEADS + head
    DELTA += first_token * HEADS + head
    token = tokens(query, top, left, H, W, SH, SW, WH, WW, BORDER)
    region = regions(query, top, left, H, W, SH, SW, WH, WW, BORDER)
    k_token = tokens(key, top, left, H, W, SH, SW, WH, WW, BORDER)
    k_region = regions(key, top, left, H, W, SH, SW, WH, WW, BORDER)
    q = load_rows(QKV, token, region, 3 * C, D, GUARD_Q)
    k = load_rows(QKV + C, k_token, k_region, 3 * C, D, GUARD_K)
    v = load_rows(QKV + 2 * C, k_token, k_region, 3 * C, D, GUARD_K)
    grad_out = load_rows(GRAD_OUT, token, region, C, D, GUARD_Q)
    lse = tl.load(LSE + token * HEADS, region < NO_TOKEN, 0.0)
    delta = tl.load(DELTA + token * HEADS, region < NO_TOKEN, 0.0)
    q = unit_length(q)[0]
    k = unit_length(k)[0]
    offset = bias_offset(query, WH, WW) + bias_offset(N - 1, WH, WW)
    k_offset = -bias_offset(key, WH, WW)
    s = logits(q, k, scale, TABLE, offset, k_offset, region, k_region, GUARD_K)
    p = tl.exp2(s - lse[:, None])
    return p * (dot(grad_out, tl.trans(v)) - delta[:, None])


@triton.jit(do_not_specialize=SIZES)
def window_kernel(
    GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV, GRAD_BIAS, GRAD_SCALE,
    B, H, W, SH, SW,
    HEADS: tl.constexpr, D: tl.constexpr, WH: tl.constexpr, WW: tl.constexpr,
    M: tl.constexpr, K: tl.constexpr,
):
    """All gradients of a head in every n-th window; a window is one tile, M = K."""
    N: tl.constexpr = WH * WW
    head = tl.program_id(0)
    place = tl.arange(0, M)
    TABLE += head * (2 * WH - 1) * (2 * WW - 1)
    grad_bias = tl.zeros([M, K], tl.float32)
    grad_scale = tl.zeros([M], tl.float32)
    inner, border = count_windows(B, H, W, SH, SW, WH, WW)
    for window in range(tl.program_id(1), inner, tl.num_programs(1)):
        grad_s, part = _window(GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV,
                               window, head, H, W, SH, SW, HEADS, D, WH, WW, M, False)
        grad_bias += grad_s
        grad_scale += part
    for window in range(tl.program_id(1), border, tl.num_programs(1)):
        grad_s, part = _window(GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV,
                               window, head, H, W, SH, SW, HEADS, D, WH, WW, M, True)
        grad_bias += grad_s
        grad_scale += part
    part = tl.program_id(1) * HEADS + head
    tl.store(GRAD_BIAS + part * N * N + place[:, None] * N + place[None, :], grad_bias,
             (place < N)[:, None] & (place < N)[None, :])
    tl.store(GRAD_SCALE + part, tl.sum(grad_scale, 0))


@triton.jit
def _window(
    GRAD_OUT, QKV, TABLE, SCALE, OUT, LSE, GRAD_QKV,
    window, head, H, W, SH, SW,
    HEADS: tl.constexpr, D: tl.constexpr, WH: tl.constexpr, WW: tl.constexpr,
    M: tl.constexpr, BORDER: tl.constexpr,
):
    N: tl.constexpr = WH * WW
    C: tl.constexpr = HEADS * D
    GUARD: tl.constexpr = BORDER or N % M != 0
    scale = tl.load(SCALE + head)
    image, top, left = locate(window, H, W, SH, SW, WH, WW, BORDER)
    first_token = image * H * W
    QKV += first_token * 3 * C + head * D
    GRAD_QKV += first_token * 3 * C + head * D
    place = tl.arange(0, M)
    token = tokens(place, top, left, H, W, SH, SW, WH, WW, BORDER)
    region = regions(place, top, left, H, W, SH, SW, WH, WW, BORDER)
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
    # Adds 0, but no compiler can tell: kept for all windows, the addresses of the bias
    # would fill the registers.
    offset = bias_offset(place + tl.minimum(top, 0), WH, WW)
    centre = bias_offset(N - 1, WH, WW)
    s = logits(q, k, scale * LOG2E, TABLE, offset + centre, -offset, region, region,
               GUARD)
    p = tl.exp2(s - lse[:, None])
    grad_v = dot(tl.trans(p.to(v.dtype)), grad_out)
    store_rows(GRAD_QKV + 2 * C, grad_v, token, region, 3 * C, D)
    grad_s = p * (dot(grad_out, tl.trans(v)) - delta[:, None])
    low = grad_s.to(q.dtype)
    grad_q, grad_scale = unit_length_backward(dot(low, k), q, inverse_q)
    store_rows(GRAD_QKV, grad_q * scale, token, region, 3 * C, D)
    grad_k, _ = unit_length_backward(dot(tl.trans(low), q), k, inverse_k)
    store_rows(GRAD_QKV + C, grad_k * scale, token, region, 3 * C, D)
    return grad_s, grad_scale
