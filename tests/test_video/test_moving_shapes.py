"""Clips of moving shapes: no frame tells the class, their order does."""

import numpy as np
import pytest

from mmswinv2.video.moving_shapes import (
    ANGLE,
    CLASSES,
    MOTIONS,
    SIZE,
    choose_motion,
    draw_clip,
    draw_shape,
)

SIDE = 64  # px
OPPOSITES = [("left", "right"), ("up", "down"), ("grow", "shrink")]
OPPOSITES.append(("turn clockwise", "turn counterclockwise"))


@pytest.mark.parametrize("name", CLASSES)
def test_phases_of_any_frame_are_even_and_independent(name: str) -> None:
    """As those of all classes: at the start, in the middle and at the end."""
    rng = np.random.default_rng(0)
    motions = [choose_motion(rng, name)[1] for _ in range(2000)]
    for share in (0.0, 0.5, 1.0):
        phases = np.array([m[round(share * (len(m) - 1))] for m in motions])
        for phase in np.sort(phases, axis=0).T:
            even = (np.arange(len(phase)) + 0.5) / len(phase)
            assert abs(phase - even).max() < 0.05  # 0.044 once in a thousand times
        around = np.exp(2j * np.pi * phases)
        for other in (around, around.conj()):  # moving together, or against
            together = abs(around.T @ other) / len(phases)
            assert (together - (other is not around) * np.eye(4)).max() < 0.1


@pytest.mark.parametrize("pair", OPPOSITES, ids=" and ".join)
def test_opposites_differ_by_the_order_of_frames_alone(pair: tuple[str, str]) -> None:
    """One phase goes on evenly, in opposite directions from the same start."""
    phases = [choose_motion(np.random.default_rng(3), name)[1] for name in pair]
    assert np.array_equal(phases[0][0], phases[1][0])
    (steps, back) = ((np.diff(p, axis=0) + 0.5) % 1 - 0.5 for p in phases)
    np.testing.assert_allclose(steps, -back, atol=1e-9)
    moving, direction = MOTIONS[pair[0]]
    assert (np.sign(steps[:, moving]) == direction).all()
    np.testing.assert_allclose(steps, steps[:1].repeat(len(steps), 0), atol=1e-9)
    assert not np.delete(steps, moving, axis=1).any()


def draw(*phases: float) -> np.ndarray:
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    draw_shape(picture, "arrow", (255, 255, 255), np.array(phases))
    return picture[..., 0].astype(int)


def differ(one: np.ndarray, other: np.ndarray) -> float:
    """Which share of a shape is elsewhere."""
    return abs(one - other).sum() / one.sum()


def test_names_are_what_is_seen() -> None:
    """Rightwards, downwards, larger and clockwise, and around the borders."""
    start = draw(0.5, 0.5, 0.5, 0.1)
    for shift in (0.25, 0.5):
        px = round(shift * SIDE)
        assert differ(draw(0.5 + shift, 0.5, 0.5, 0.1), np.roll(start, px, 1)) < 0.02
        assert differ(draw(0.5, 0.5 + shift, 0.5, 0.1), np.roll(start, px, 0)) < 0.02
    areas = [draw(0.5, 0.5, size, 0.1).sum() for size in (0.0, 0.5, 0.99)]
    assert areas[0] < areas[1] / 1.5 < areas[2] / 1.5**2
    turned = draw(0.5, 0.5, 0.5, 0.35)
    assert differ(turned, np.roll(np.rot90(start, -1), 1, 1)) < 0.1
    assert differ(turned, np.rot90(start, 1)) > 0.5
    assert {name for name, (_, direction) in MOTIONS.items() if direction > 0} == {
        *("right", "down", "grow", "turn clockwise")
    }
    assert MOTIONS["grow"][0] == SIZE and MOTIONS["turn clockwise"][0] == ANGLE


def test_all_but_the_shape_stands_still() -> None:
    clip = draw_clip(np.random.default_rng(1), "up", SIDE)
    assert clip.frames.shape == (len(clip.phases), SIDE, 72, 3)
    assert len(clip.frames) == 2 * clip.rate
    changes = (clip.frames[1:] != clip.frames[:-1]).any(axis=(0, 3))
    assert 0.05 < changes.mean() < 0.6
