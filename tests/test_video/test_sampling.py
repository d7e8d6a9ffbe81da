"""Which frames make a clip, against cases of mmaction2's SampleFrames."""

import numpy as np
import pytest

from mmswinv2.video.sampling import clip_indices, even_starts, random_starts


@pytest.mark.parametrize(
    ("n", "starts"),
    [(300, [0, 90, 181, 271]), (40, [0, 4, 7, 11]), (20, [0, 0, 0, 0])],
)
def test_clips_to_test_on_are_spread_over_the_video(n: int, starts: list[int]) -> None:
    """Of 8 frames, every fourth one, as mmaction2 1.2.0 gives them."""
    assert even_starts(n, 8, 4, 4).tolist() == starts


@pytest.mark.parametrize(("n", "start"), [(300, 135), (29, 0), (5, 0)])
def test_one_clip_is_from_the_middle(n: int, start: int) -> None:
    assert even_starts(n, 8, 4, 1).tolist() == [start]


def test_a_video_shorter_than_its_clip_begins_again() -> None:
    indices = clip_indices(np.array([0]), 20, 8, 4)
    assert indices.tolist() == [[0, 4, 8, 12, 16, 0, 4, 8]]
    assert clip_indices(np.array([0]), 1, 3, 2).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(("n", "last"), [(40, 8), (33, 1), (32, 0), (31, 0), (2, 0)])
def test_a_clip_to_train_on_starts_anywhere_that_leaves_room(n: int, last: int) -> None:
    np.random.seed(0)
    drawn = {int(random_starts(n, 8, 4)[0]) for _ in range(200)}
    assert drawn == {*range(last + 1)}
