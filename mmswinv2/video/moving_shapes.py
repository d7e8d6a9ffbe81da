"""Draws the clips of the mini data set, in which no single frame tells the class.

A shape has four phases, each a point on a circle: horizontal and vertical place, size,
angle. All are drawn evenly, whatever the class, and one of them advances or goes back,
which is the class: what leaves on the left enters on the right, and the largest is
followed by the smallest. A phase that is even at first is so at all times, and
independent of the others. Frames of all classes therefore have one distribution, at the
beginning, at the end and wherever a clip is cut out; order alone tells.

A shape that stays may lie beside it.
"""
# N frames, H height and W width in px

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

# Which phase advances, and in which direction.
X, Y, SIZE, ANGLE = range(4)
MOTIONS = {
    "left": (X, -1),
    "right": (X, 1),
    "up": (Y, -1),
    "down": (Y, 1),
    "grow": (SIZE, 1),
    "shrink": (SIZE, -1),
    "turn clockwise": (ANGLE, 1),
    "turn counterclockwise": (ANGLE, -1),
}
CLASSES = tuple(sorted(MOTIONS))
RATES = (12, 16, 24)  # frames a second
SECONDS = 2
SPEEDS = (0.4, 0.65)  # turns of the phase a second
RADII = (0.15, 0.35)  # of a shape, over the height of the frame
DARK, BRIGHT = (30, 110), (150, 255)  # colours of the background and of shapes
STILL = 1  # most shapes that do not move
# Corners as (angle / pi, distance): alike from no two sides, so that a turn is seen.
OUTLINES = {
    "arrow": ((0.0, 1.0), (0.65, 1.0), (1.0, 0.3), (1.35, 1.0)),
    "wedge": ((0.0, 1.0), (0.85, 0.8), (1.15, 0.8)),
    "block": ((0.1, 1.0), (0.4, 0.5), (0.7, 1.0), (1.1, 0.9), (1.9, 1.0)),
}
FRACTION_BITS = 4  # of a coordinate in px, for cv2


@dataclass(frozen=True)
class Clip:
    """A clip and what is in it.

    Args:
        frames (np.ndarray): ``(N, H, W, 3)`` of uint8, RGB.
        rate (int): Frames a second.
        phases (np.ndarray): ``(N, 4)``, from 0 to 1: place from left to right and from
            top to bottom, size, angle of the shape that moves.
    """

    frames: np.ndarray
    rate: int
    phases: np.ndarray


def draw_clip(rng: np.random.Generator, name: str, height: int) -> Clip:
    """Draws a clip, a little wider than it is high.

    Args:
        rng (np.random.Generator): The source of every choice.
        name (str): One of ``CLASSES``.
        height (int): In px.

    Returns:
        Clip: The frames and the truth.
    """
    width = height * 9 // 8 // 2 * 2  # even, as encoders want it
    ground = rng.uniform(*DARK, 3)
    picture = _draw_background(rng, ground, height, width)
    for _ in range(rng.integers(STILL + 1)):
        draw_shape(picture, *_choose_look(rng), rng.random(4))
    rate, phases = choose_motion(rng, name)
    outline, colour = _choose_look(rng)
    frames = np.repeat(picture[None], len(phases), 0)
    for frame, state in zip(frames, phases):
        draw_shape(frame, outline, colour, state)
    return Clip(frames, rate, phases)


def choose_motion(rng: np.random.Generator, name: str) -> tuple[int, np.ndarray]:
    """Frames a second, and the phases of a shape in each frame, ``(N, 4)``."""
    rate = int(rng.choice(RATES))
    moving, direction = MOTIONS[name]
    phases = np.tile(rng.random(4), (rate * SECONDS, 1))
    step = direction * rng.uniform(*SPEEDS) / rate
    phases[:, moving] += step * np.arange(len(phases))
    return rate, phases % 1


def draw_shape(
    picture: np.ndarray, outline: str, colour: Sequence[float], phases: np.ndarray
) -> None:
    """Draws a shape over a picture ``(H, W, 3)``, across its borders.

    Args:
        picture (np.ndarray): Which is changed.
        outline (str): One of ``OUTLINES``.
        colour (Sequence[float]): Of three channels.
        phases (np.ndarray): Four, from 0 to 1, as of a :class:`Clip`.
    """
    x, y, size, angle = phases
    lengths = np.array(picture.shape[1::-1])
    radius = RADII[0] * (RADII[1] / RADII[0]) ** size * lengths[1]
    angles, distances = np.array(OUTLINES[outline]).T
    angles = np.pi * (angles + 2 * angle)  # clockwise, as y points down
    corners = radius * distances * np.stack([np.cos(angles), np.sin(angles)])
    corners = corners.T + lengths * (x, y)
    copies = [corners + lengths * (i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    points = np.round(np.stack(copies) * 2**FRACTION_BITS).astype(np.int32)
    for polygon in points:
        cv2.fillPoly(picture, [polygon], colour, cv2.LINE_AA, FRACTION_BITS)


def _choose_look(rng: np.random.Generator) -> tuple[str, list[float]]:
    """Outline of a shape, and a colour that stands out."""
    colour = rng.uniform(*BRIGHT, 3)
    return str(rng.choice(list(OUTLINES))), colour.tolist()


def _draw_background(
    rng: np.random.Generator, ground: np.ndarray, height: int, width: int
) -> np.ndarray:
    """A smooth texture around a colour, ``(H, W, 3)``."""
    grain = int(rng.integers(3, 12))  # px
    coarse = rng.normal(0, 1, (height // grain + 2, width // grain + 2, 3))
    texture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(ground + 25 * texture, 0, 255).astype(np.uint8)
