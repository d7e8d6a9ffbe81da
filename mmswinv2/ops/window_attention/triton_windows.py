"""Where the tokens of a window lie, for the Triton kernels.

Padding, shift, partition and their inverses are index arithmetic here: a kernel finds
the tokens of its window on the plain map. Windows come in two kinds, inner ones first:
those that neither padding nor the seam of the shift touches need no mask at all.

Maps are (H, W) or (T, H, W). Of the former T, ST, WT and PER_FRAME are None, and what
is compiled knows nothing of a third axis.
"""
# T H W map, ST SH SW shift, WT WH WW window, N = WT * WH * WW places of a window

# ruff: noqa: ANN001, ANN201 (kernels take pointers and blocks)

import triton
import triton.language as tl

NO_TOKEN = tl.constexpr(8)
BEYOND = tl.constexpr(15)
# All sizes are known at run time only, and neither arguments of 1 nor multiples of 16
# are worth another compilation: what is compiled depends on tiles, types and the number
# of axes alone.
SIZES = ["HEADS", "B", "T", "H", "W", "ST", "SH", "SW", "WT", "WH", "WW"]
SIZES += ["PER_ROW", "PER_FRAME"]


@triton.jit
def volume(T, H, W):
    """Tokens of a map, or places of a window."""
    size = H * W
    if T is not None:
        size *= T
    return size


@triton.jit
def table_entries(WT, WH, WW):
    """Offsets that the table of a head knows."""
    entries = (2 * WH - 1) * (2 * WW - 1)
    if WT is not None:
        entries *= 2 * WT - 1
    return entries


@triton.jit
def inner_windows(size, shift, window):
    """Windows of an axis without padding and seam: the first ones."""
    return tl.maximum(size - shift, 0) // window


@triton.jit
def count_windows(B, T, H, W, ST, SH, SW, WT, WH, WW):
    """Number of inner windows and of border windows of a batch."""
    inner = inner_windows(H, SH, WH) * inner_windows(W, SW, WW)
    windows = tl.cdiv(H, WH) * tl.cdiv(W, WW)
    if WT is not None:
        inner *= inner_windows(T, ST, WT)
        windows *= tl.cdiv(T, WT)
    return B * inner, B * (windows - inner)


@triton.jit
def locate(index, T, H, W, ST, SH, SW, WT, WH, WW, BORDER: tl.constexpr):
    """First token of the map, and corner of an inner or border window before the shift.

    Returns:
        The token in 64 bits, then front, top and left place of the window.
    """
    front = 0
    Y = inner_windows(H, SH, WH)
    X = inner_windows(W, SW, WW)
    if BORDER:
        columns = tl.cdiv(W, WW)
        layer = tl.cdiv(H, WH) * columns
        count = layer - Y * X
        if WT is None:
            image = index // count
            index = index % count
        else:  # border windows of layers with inner ones, then the layers behind those
            F = inner_windows(T, ST, WT)
            windows = tl.cdiv(T, WT) * layer - F * Y * X
            image = index // windows
            index = index % windows
            behind = index - F * count
            count = tl.maximum(count, 1)
            front = tl.where(behind < 0, index // count, F + behind // layer) * WT
            index = tl.where(behind < 0, index % count, behind % layer)
            Y = tl.where(behind < 0, Y, 0)
        right = columns - X  # windows to the right of the inner ones, then those below
        below = index - Y * right
        y = tl.where(below < 0, index // tl.maximum(right, 1), Y)
        x = tl.where(below < 0, X + index % tl.maximum(right, 1), 0)
        below = tl.maximum(below, 0)
        y += below // columns
        x += below % columns
    else:
        image = index // (Y * X)
        if WT is not None:
            F = inner_windows(T, ST, WT)
            front = image % F * WT
            image //= F
        y = index // X % Y
        x = index % X
    token = image.to(tl.int64) * H * W
    if WT is not None:
        token *= T
    return token, front, y * WH, x * WW


@triton.jit
def find(
    first, front, top, left, T, H, W, ST, SH, SW, WT, WH, WW, PER_ROW, PER_FRAME,
    SIZE: tl.constexpr, INSIDE: tl.constexpr, BORDER: tl.constexpr,
):  # fmt: skip
    """Places of a window from ``first`` on: offset of the bias, token and region."""
    place, row = places(first, WT, WH, WW, PER_ROW, SIZE)
    token = tokens(place, row, front, top, left, T, H, W, ST, SH, SW, WT, WH, WW,
                   PER_FRAME, BORDER)  # fmt: skip
    region = regions(first, place, row, front, top, left, T, H, W, ST, SH, SW,
                     WT, WH, WW, PER_FRAME, SIZE, INSIDE, BORDER)  # fmt: skip
    return bias_offset(place, row, WT, WH, WW, PER_FRAME), token, region


@triton.jit
def places(first, WT, WH, WW, PER_ROW, SIZE: tl.constexpr):
    """``SIZE`` places of a window from ``first`` on, and their rows.

    Those beyond the window repeat its last one. That limit stands in loops without
    such places too: what compilers would compute once without it, and keep, fills the
    registers.
    """
    place = tl.minimum(first + tl.arange(0, SIZE), volume(WT, WH, WW) - 1)
    return place, divide(place, PER_ROW)


@triton.jit
def divide(i, PER_ONE):
    """``i // size`` by one multiplication, with ``PER_ONE = ceil(2**30 / size)``.

    It is (i + 0.5) / size, too large by less than 0.5 / size while i * size < 2**29.
    """
    return tl.umulhi(4 * i + 2, PER_ONE)


@triton.jit
def tokens(
    place, row, front, top, left, T, H, W, ST, SH, SW, WT, WH, WW, PER_FRAME,
    BORDER: tl.constexpr,
):  # fmt: skip
    """Token at places of a window."""
    if BORDER:
        y = row + top + SH
        if WT is not None:
            frame = divide(row, PER_FRAME)
            y -= frame * WH
        y = wrap(y, H, WH)
        if WT is not None:
            y += wrap(frame + front + ST, T, WT) * H
        token = y * W + wrap(place - row * WW + left + SW, W, WW)
    else:
        token = row * (W - WW) + place + ((top + SH) * W + left + SW)
        if WT is not None:
            token += divide(row, PER_FRAME) * ((H - WH) * W) + (front + ST) * H * W
    return token


@triton.jit
def wrap(i, size, window):
    """Token of an axis after the shift; at least its size in the padding."""
    padded = tl.cdiv(size, window) * window
    return tl.where(i >= padded, i - padded, i)


@triton.jit
def regions(
    first, place, row, front, top, left, T, H, W, ST, SH, SW, WT, WH, WW, PER_FRAME,
    SIZE: tl.constexpr, INSIDE: tl.constexpr, BORDER: tl.constexpr,
):  # fmt: skip
    """Region of places of a window: tokens see those of their own.

    0 to 7 on either side of the seams; from NO_TOKEN on there is none. Every axis has a
    bit of its own, which spares instructions; padding of more than 16 is no region of
    REGIONS: nothing sees it. INSIDE: no place is beyond the window.
    """
    region = row * 0
    if BORDER:
        y = row
        if WT is not None:
            frame = divide(row, PER_FRAME)
            y -= frame * WH
            region = side(frame, front + ST, T, WT, 4, 4 * NO_TOKEN)
        region += side(y, top + SH, H, WH, 2, NO_TOKEN)
        region += side(place - row * WW, left + SW, W, WW, 1, 2 * NO_TOKEN)
    if not INSIDE:
        beyond = first + tl.arange(0, SIZE) >= volume(WT, WH, WW)
        region = tl.where(beyond, BEYOND, region)
    return region


@triton.jit
def side(i, start, size, window, WRAPPED: tl.constexpr, PADDING: tl.constexpr):
    """Side of the seam of an axis: 0 before it, WRAPPED behind; or PADDING.

    ``i`` counts from ``start``, the first place of the window after the shift.
    """
    seam = tl.cdiv(size, window) * window - start
    return tl.where(i < size - start, 0, tl.where(i < seam, PADDING, WRAPPED))


@triton.jit
def used_places(front, top, T, H, ST, SH, WT, WH, WW):
    """Places up to the last that can hold a token: without a shift padding is last."""
    if WT is None:
        used = tl.where(SH == 0, tl.minimum(H - top, WH), WH)
    else:
        used = tl.where(ST == 0, tl.minimum(T - front, WT), WT) * WH
    return used * WW


@triton.jit
def bias_offset(place, row, WT, WH, WW, PER_FRAME):
    """Bias of (query, key): entry offset(query) - offset(key) from the centre."""
    offset = place + row * (WW - 1)
    if WT is not None:
        offset += divide(row, PER_FRAME) * ((WH - 1) * (2 * WW - 1))
    return offset


@triton.jit
def bias_centre(WT, WH, WW):
    """Entry of the table for offset 0."""
    return table_entries(WT, WH, WW) // 2
