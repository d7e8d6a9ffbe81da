"""Kernels of :mod:`.operator`; a program holds whole tokens in registers.

Pointers may be None: what is not wanted is neither read, computed nor written.
"""
# R tokens of a tile, BLOCK channels: the power of 2 that holds all CHANNELS

# ruff: noqa: ANN001, ANN201 (kernels take pointers and blocks)

import triton
import triton.language as tl

# Neither counts of 1 nor multiples of 16 are worth another compilation.
SIZES = ["TOKENS", "IMAGE"]


@triton.jit
def tile(first, TOKENS, CHANNELS, R: tl.constexpr, BLOCK: tl.constexpr):
    """Tokens ``(R,)``, and of their channels the places and which ones are there."""
    token = first + tl.arange(0, R)
    channel = tl.arange(0, BLOCK)
    # A whole map may have 2**31 numbers or more.
    place = token.to(tl.int64)[:, None] * CHANNELS + channel[None, :]
    return token, place, (token < TOKENS)[:, None] & (channel < CHANNELS)[None, :]


@triton.jit(do_not_specialize=SIZES)
def forward_kernel(
    X, BRANCH, WEIGHT, BIAS, KEEP, Y, LOW, STATS, TOKENS, IMAGE, CHANNELS, EPS,
    R: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Y, its copy LOW, and STATS: mean and 1 / deviation of every token."""
    token, place, real = tile(tl.program_id(0) * R, TOKENS, CHANNELS, R, BLOCK)
    channel = tl.arange(0, BLOCK)
    branch = tl.load(BRANCH + place, real, 0.0).to(tl.float32)
    x = tl.load(X + place, real, 0.0).to(tl.float32)
    weight = tl.load(WEIGHT + channel, channel < CHANNELS, 0.0).to(tl.float32)
    bias = tl.load(BIAS + channel, channel < CHANNELS, 0.0).to(tl.float32)
    mean = tl.sum(branch, 1) / CHANNELS
    centred = branch - mean[:, None]
    square = tl.where(real, centred * centred, 0.0)
    inverse = tl.rsqrt(tl.sum(square, 1) / CHANNELS + EPS)
    normed = centred * inverse[:, None] * weight[None, :] + bias[None, :]
    if KEEP is not None:
        keep = tl.load(KEEP + token // IMAGE, token < TOKENS, 0.0).to(tl.float32)
        normed = normed * keep[:, None]
    y = x + normed
    tl.store(Y + place, y.to(Y.dtype.element_ty), real)
    if LOW is not None:
        # Of the number that Y holds, as a cast of it would give.
        low = y.to(Y.dtype.element_ty).to(LOW.dtype.element_ty)
        tl.store(LOW + place, low, real)
    if STATS is not None:
        tl.store(STATS + token, mean, token < TOKENS)
        tl.store(STATS + TOKENS + token, inverse, token < TOKENS)


@triton.jit(do_not_specialize=SIZES)
def backward_kernel(
    GRAD_Y, GRAD_LOW, BRANCH, WEIGHT, KEEP, STATS, GRAD_X, GRAD_BRANCH, PARTS,
    TOKENS, IMAGE, CHANNELS,
    R: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients of x and branch; PARTS: each program's share of weight's and bias'."""
    program = tl.program_id(0)
    channel = tl.arange(0, BLOCK)
    weight = tl.load(WEIGHT + channel, channel < CHANNELS, 0.0).to(tl.float32)
    grad_weight = tl.zeros([R, BLOCK], tl.float32)
    grad_bias = tl.zeros([R, BLOCK], tl.float32)
    for first in range(program * R, TOKENS, tl.num_programs(0) * R):
        token, place, real = tile(first, TOKENS, CHANNELS, R, BLOCK)
        branch = tl.load(BRANCH + place, real, 0.0).to(tl.float32)
        if GRAD_Y is not None:
            grad = tl.load(GRAD_Y + place, real, 0.0).to(tl.float32)
            if GRAD_LOW is not None:
                grad += tl.load(GRAD_LOW + place, real, 0.0).to(tl.float32)
        else:
            grad = tl.load(GRAD_LOW + place, real, 0.0).to(tl.float32)
        if GRAD_X is not None:
            tl.store(GRAD_X + place, grad.to(GRAD_X.dtype.element_ty), real)
        if KEEP is not None:
            keep = tl.load(KEEP + token // IMAGE, token < TOKENS, 0.0).to(tl.float32)
            grad = grad * keep[:, None]
        mean = tl.load(STATS + token, token < TOKENS, 0.0)
        inverse = tl.load(STATS + TOKENS + token, token < TOKENS, 0.0)
        unit = (branch - mean[:, None]) * inverse[:, None]
        if PARTS is not None:
            grad_weight += grad * unit
            grad_bias += grad
        if GRAD_BRANCH is not None:
            grad = grad * weight[None, :]
            along = tl.sum(grad * unit, 1) / CHANNELS
            common = tl.sum(grad, 1) / CHANNELS
            grad = grad - common[:, None] - unit * along[:, None]
            grad = grad * inverse[:, None]
            grad = grad.to(GRAD_BRANCH.dtype.element_ty)
            tl.store(GRAD_BRANCH + place, grad, real)
    if PARTS is not None:
        part = PARTS + program * 2 * CHANNELS + channel
        tl.store(part, tl.sum(grad_weight, 0), channel < CHANNELS)
        tl.store(part + CHANNELS, tl.sum(grad_bias, 0), channel < CHANNELS)
