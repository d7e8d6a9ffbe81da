import pytest

from mmswinv2.engine.window_schedule import (
    Step,
    check_windows,
    parse_schedule,
    scaled,
    step_at,
)


def test_a_step_keeps_what_it_does_not_name():
    steps = parse_schedule(
        [
            dict(begin=0, scale=0.5),
            dict(begin=10, window_size=(16, 8)),
            dict(begin=20, scale=1),
        ]
    )
    assert steps == (
        Step(0, None, 0.5),
        Step(10, (16, 8), 0.5),
        Step(20, (16, 8), 1.0),
    )


@pytest.mark.parametrize(("now", "begin"), [(0, 0), (9, 0), (10, 10), (99, 20)])
def test_the_step_of_an_iteration_is_the_last_that_has_begun(now, begin):
    steps = [Step(0, 8), Step(10, 16), Step(20, 32)]
    assert step_at(steps, now).begin == begin


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ([], "is no list of steps"),
        (dict(begin=0, window_size=8), "is no list of steps"),
        ([8, 16], "step 0 is 8, no dict"),
        ([dict(begin=0, window=8)], r"has \['window'\], but only begin, window_size"),
        ([dict(begin=0, end=5, scale=0.5)], "'end'"),
        ([dict(window_size=8)], "begin=None, no whole number"),
        ([dict(begin=-1, window_size=8)], "begin=-1"),
        ([dict(begin=0.5, window_size=8)], "begin=0.5"),
        ([dict(begin=5, window_size=8)], "begins at 5, and nothing is said of"),
        (
            [dict(begin=0, window_size=8), dict(begin=0, window_size=16)],
            "step 1 begins at 0, not after 0",
        ),
        (
            [dict(begin=0, scale=0.5), dict(begin=9), dict(begin=5, scale=1)],
            "step 1 changes neither",
        ),
        (
            [dict(begin=0, scale=0.2), dict(begin=9, scale=0.5), dict(begin=5)],
            "step 2 begins at 5, not after 9",
        ),
        ([dict(begin=0, scale=0)], "scale=0, not over 0"),
        ([dict(begin=0, scale=1.5)], "let the data pipeline give the largest"),
        ([dict(begin=0, scale="half")], "scale='half'"),
    ],
)
def test_a_malformed_schedule_is_refused_with_an_example(schedule, message):
    with pytest.raises(ValueError, match=f"schedule: .*{message}") as error:
        parse_schedule(schedule)
    assert "such as [dict(begin=0, window_size=8, scale=0.5)" in str(error.value)


def test_lengths_are_rounded_and_never_vanish():
    assert [scaled(x, 0.75) for x in (800, 1333, 1)] == [600, 1000, 1]
    assert scaled(3, 0.1) == 1


@pytest.mark.parametrize(
    ("step", "fits"),
    [
        (Step(0, 16), True),
        (Step(0, 17), False),
        (Step(0, (17, 8)), True),  # shrinks along one axis
        (Step(0, 16, 0.5), False),
        (Step(0, [8, 99, 99, 99], 0.5), True),
        (Step(0, None, 0.5), True),
        (Step(0, None, 0.4), False),
    ],
)
def test_a_window_larger_than_the_largest_map_is_refused(step, fits):
    windows = [(8, 8)] * 4
    if fits:
        check_windows([step], (64, 50), windows)
        return
    with pytest.raises(ValueError, match="Take a smaller window or a larger scale"):
        check_windows([Step(0), step], (64, 50), windows)
