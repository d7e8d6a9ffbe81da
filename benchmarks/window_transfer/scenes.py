"""Scenes in which what an object is called depends on where it lies.

A scene holds one landmark (a square) and several ellipses that all look alike. An
ellipse is named by the direction in which it lies from the landmark and by whether it
is near to it or far from it: eight names that no local appearance tells apart. A scene
is kept in fractions of its side, so that it can be drawn at any resolution.
"""
# B scenes, K objects of a scene (the first is the landmark), S side of a picture in px

from dataclasses import dataclass

import torch
from torch import Tensor

DIRECTIONS = ("right", "below", "left", "above")
DISTANCES = ("near", "far")
CLASSES = (
    "background",
    *(f"{distance} {direction}" for distance in DISTANCES for direction in DIRECTIONS),
    "landmark",
)
LANDMARK = len(CLASSES) - 1
NUM_OBJECTS = 6
RADIUS = (0.06, 0.12)  # of an ellipse along one axis, in sides of the picture
NEAR, FAR = 0.34, 0.42  # at most and at least, between centres
MARGIN = 0.08  # between |dx| and |dy|, so that a direction is never in doubt
TRIALS = 24  # positions that are tried for an object, which is left out if none fits


@dataclass
class Scenes:
    """Objects of some scenes; lengths in sides of the picture.

    Attributes:
        boxes (Tensor): Centre and radii (x, y, rx, ry), ``(B, K, 4)``.
        labels (Tensor): Index in ``CLASSES``, 0 for an absent object, ``(B, K)``.
        colours (Tensor): Of background, ellipses and landmark, ``(B, 3, 3)``.
    """

    boxes: Tensor
    labels: Tensor
    colours: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice) -> "Scenes":
        return Scenes(self.boxes[index], self.labels[index], self.colours[index])

    def to(self, device: str | torch.device) -> "Scenes":
        """The same scenes on a device."""
        return Scenes(*(x.to(device) for x in (self.boxes, self.labels, self.colours)))


def relation(dx: Tensor, dy: Tensor) -> Tensor:
    """Class of objects that lie at ``(dx, dy)`` from the landmark, 0 for none."""
    horizontal = dx.abs() > dy.abs()
    direction = torch.where(horizontal, 2 * (dx < 0), 1 + 2 * (dy < 0))
    distance = dx.hypot(dy)
    clear = (dx.abs() - dy.abs()).abs() > MARGIN
    clear &= (distance < NEAR) | (distance > FAR)
    return clear * (1 + direction + len(DIRECTIONS) * (distance > FAR))


def make_scenes(count: int, generator: torch.Generator) -> Scenes:
    """Draw scenes at random; objects do not touch each other or the border."""

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    radii = uniform(count, NUM_OBJECTS, 2, low=RADIUS[0], high=RADIUS[1])
    radii[:, 0, 1] = radii[:, 0, 0]  # the landmark is a square
    boxes = torch.zeros(count, NUM_OBJECTS, 4)
    labels = torch.zeros(count, NUM_OBJECTS, dtype=torch.long)
    every = torch.arange(count)
    for k in range(NUM_OBJECTS):
        r = radii[:, k]
        centres = r[:, None] + (1 - 2 * r[:, None]) * uniform(count, TRIALS, 2)
        if k == 0:
            fits = torch.ones(count, TRIALS, dtype=torch.bool)
            names = torch.full((count, TRIALS), LANDMARK)
        else:
            names = relation(*(centres - boxes[:, :1, :2]).unbind(-1))
            gap = (centres[:, :, None] - boxes[:, None, :k, :2]).abs()
            gap -= r[:, None, None] + boxes[:, None, :k, 2:]
            apart = (gap.amax(-1) > 0.02) | (labels[:, None, :k] == 0)
            fits = apart.all(-1) & (names > 0)
        first = fits.int().argmax(1)  # the first trial that fits
        boxes[:, k] = torch.cat((centres[every, first], r), dim=-1)
        labels[:, k] = names[every, first] * fits.any(1)
    colours = uniform(count, 3, 3, low=-0.25, high=0.25)
    colours += torch.tensor([[-1.0, -1.0, -1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.5]])
    return Scenes(boxes, labels, colours)


def draw(
    scenes: Scenes, size: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw scenes with soft edges of one px and, with a generator, pixel noise.

    Args:
        scenes (Scenes): What to draw.
        size (int): Side of the pictures in px.
        generator (torch.Generator, optional): For noise of standard deviation 0.1.

    Returns:
        tuple[Tensor, Tensor]: Pictures ``(B, 3, size, size)`` of about unit variance,
        and the class of every px, ``(B, size, size)``.
    """
    at = (torch.arange(size, device=scenes.boxes.device) + 0.5) / size
    x, y, rx, ry = scenes.boxes[..., None, None].unbind(2)  # (B, K, 1, 1) each
    dx, dy = (
        (at[None, :] - x) / rx,
        (at[:, None] - y) / ry,
    )  # (B, K, 1, S), (B, K, S, 1)
    square = dx[:, :1].abs().maximum(dy[:, :1].abs())
    level = torch.cat((square, dx[:, 1:].hypot(dy[:, 1:])), dim=1)  # 1 on the edge
    inside = (level < 1) & (scenes.labels > 0)[..., None, None]
    labels = (inside * scenes.labels[..., None, None]).amax(1)
    cover = (0.5 + (1 - level) * size * rx.minimum(ry)).clamp(0, 1)
    cover = cover * (scenes.labels > 0)[..., None, None]
    image = scenes.colours[:, 0, :, None, None].expand(-1, -1, size, size)
    for part, colour in ((cover[:, 1:].amax(1), 1), (cover[:, 0], 2)):
        image = image.lerp(scenes.colours[:, colour, :, None, None], part[:, None])
    if generator is not None:
        noise = torch.randn(
            image.shape, generator=generator, device=scenes.boxes.device
        )
        image = image + 0.1 * noise
    return image, labels
