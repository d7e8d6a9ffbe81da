import pytest

from mmswinv2.models.window_fit import fit_axis, parse_windows


@pytest.mark.parametrize(
    ("size", "window", "fit", "expected"),
    [
        (64, 8, "shrink", (8, 4)),
        (8, 8, "shrink", (8, 0)),  # one window never shifts
        (5, 8, "shrink", (5, 0)),
        (9, 8, "shrink", (8, 4)),
        (5, 8, "pad", (8, 0)),
        (9, 8, "pad", (8, 4)),
        (25, 24, "divide", (13, 6)),  # 1 padded token against 23
        (42, 24, "divide", (21, 10)),
        (50, 16, "divide", (10, 5)),
        (48, 16, "divide", (16, 8)),
        (5, 16, "divide", (5, 0)),
        (1, 1, "shrink", (1, 0)),
    ],
)
def test_window_and_shift_of_an_axis(size, window, fit, expected):
    assert fit_axis(size, window, shifted=True, fit=fit) == expected
    assert fit_axis(size, window, shifted=False, fit=fit) == (expected[0], 0)


@pytest.mark.parametrize("size", range(1, 70))
@pytest.mark.parametrize("window", [7, 16, 24])
def test_divide_pads_the_least_of_all_allowed_windows(size, window):
    fitted, _ = fit_axis(size, window, shifted=False, fit="divide")
    if size <= window:
        assert fitted == size
        return
    allowed = range(-(-window // 2), window + 1)
    assert fitted in allowed
    best = min(-size % w for w in allowed)
    assert fitted == max(w for w in allowed if -size % w == best)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (8, ((8, 8),) * 4),
        ((8, 16), ((8, 16),) * 4),
        ([16, 16, 16, 8], ((16, 16), (16, 16), (16, 16), (8, 8))),
        ([(8, 4), 8, [6, 7], 1], ((8, 4), (8, 8), (6, 7), (1, 1))),
    ],
)
def test_windows_are_an_int_a_pair_or_one_of_these_per_stage(value, expected):
    assert parse_windows(value, 4) == expected


@pytest.mark.parametrize(
    "value",
    [
        0,
        -8,
        8.0,
        True,
        None,
        "8",
        [8],
        [8, 8, 8],
        [8] * 5,
        [8, 8, 8, -1],
        [8, 8, 8, "8"],
    ],
)
def test_other_windows_are_refused_with_what_is_expected(value):
    with pytest.raises(
        ValueError, match=r"window_size=.*expected a positive int.*tokens"
    ):
        parse_windows(value, 4)
