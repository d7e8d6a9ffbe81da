"""How a window is fitted to a feature map, and how users write windows."""

from collections.abc import Sequence
from typing import Any

WINDOW_FITS = ("shrink", "pad", "divide")
Window = tuple[int, ...]  # tokens along every axis of a map
# Axes of maps, in the order of their windows.
SPACE = ("height", "width")
TIME_AND_SPACE = ("time", "height", "width")
AXES = {len(axes): axes for axes in (SPACE, TIME_AND_SPACE)}


def fit_axis(size: int, window: int, *, shifted: bool, fit: str) -> tuple[int, int]:
    """Window and shift really used along one axis.

    Args:
        size (int): Length of the map in tokens.
        window (int): Configured window in tokens.
        shifted (bool): Whether the block shifts its windows.
        fit (str): 'shrink': an axis no longer than its window is one window (the
            official rule, per axis). 'pad': keep the window. 'divide': as 'shrink', and
            a longer axis takes, of the windows from half the configured one up to it,
            that with the fewest padded tokens, the largest of equals.

    Returns:
        tuple[int, int]: (window, shift). A single window never shifts: there is no
        neighbour to connect to.
    """
    if fit != "pad" and size <= window:
        return size, 0
    if fit == "divide":
        candidates = range(window, (window + 1) // 2 - 1, -1)
        window = min(candidates, key=lambda w: -size % w)
    return window, window // 2 if shifted and size > window else 0


def parse_windows(
    value: int | Sequence,
    num_stages: int,
    *,
    name: str = "window_size",
    built: int | None = None,
    axes: tuple[str, ...] = SPACE,
) -> tuple[Window, ...]:
    """Bring a configured window to one per stage, such as (height, width).

    Args:
        value (int | Sequence): An int, (height, width), or one of these per stage. Two
            numbers are (height, width) except where there are two stages; likewise
            three and (time, height, width).
        num_stages (int): Number of stages.
        name (str): Argument that an error names. Defaults to 'window_size'.
        built (int, optional): Stages that the model has, if not all; windows of the
            others may be left out. Defaults to None: all.
        axes (tuple[str, ...]): Axes of a map. Defaults to height and width.

    Returns:
        tuple[tuple[int, ...], ...]: Tokens along every axis, of every stage that the
        model has.

    Raises:
        ValueError: If ``value`` is none of these or not positive.
    """

    def fail() -> ValueError:
        kind = "pair" if len(axes) == 2 else "triple"
        return ValueError(
            f"{name}={value!r}: expected a positive int, a ({', '.join(axes)}) {kind}, "
            f"or {num_stages} of these, one per stage (tokens; one token is 4, 8, 16, "
            "32 px at stages 0 to 3)"
        )

    def one(entry: Any) -> Window:
        sizes = (entry,) * len(axes) if is_int(entry) else entry
        if not is_list(sizes) or len(sizes) != len(axes):
            raise fail()
        if not all(map(is_int, sizes)) or min(sizes) < 1:
            raise fail()
        return tuple(map(int, sizes))

    built = built or num_stages
    if is_int(value):
        return (one(value),) * built
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise fail()
    is_one = len(value) == len(axes) and all(map(is_int, value))
    if len(value) == num_stages or (len(value) == built and not is_one):
        return tuple(one(entry) for entry in value)[:built]
    if is_one:
        return (one(value),) * built
    raise fail()


def is_int(value: Any) -> bool:
    """Whether a value is an integer; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_list(value: Any) -> bool:
    """Whether a value is a list, a tuple or the like, but no string."""
    return isinstance(value, Sequence) and not isinstance(value, str)
