"""Draws the scenes of the mini data set: stuff, large things, small things.

The three small classes are discs of one size range and one mean colour. They
differ in a pattern of one-pixel stripes (upright, level, or checkered), which
averaging 2 x 2 pixels turns into the same flat disc: an input of half the
size shows where they are, and cannot show what they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

UNLABELLED = 0  # ADE20K's label of what no class describes
SMALL_DIAMETER = (10, 26)  # px; COCO calls an area under 32 * 32 px small
STRIPE_AMPLITUDE = 60  # grey levels above and below the mean colour
MIN_VISIBLE = 0.6  # share of what is seen of an object that the next one may leave


@dataclass(frozen=True)
class Stuff:
    """A background class.

    Args:
        name (str): Its name in ADE20K.
        ade_label (int): Its label in ADE20K, 1 to 150.
        colour (tuple[int, int, int]): Its mean colour (B, G, R).
        grain (tuple[int, int]): Size in px (height, width) of its texture.
    """

    name: str
    ade_label: int
    colour: tuple[int, int, int]
    grain: tuple[int, int]


@dataclass(frozen=True)
class Thing:
    """A class of objects.

    Args:
        coco_name (str): Its name among the 80 classes of COCO.
        ade_label (int): Its label in ADE20K, 1 to 150.
        small (bool): Whether it is one of the striped discs.
    """

    coco_name: str
    ade_label: int
    small: bool = False


SKY = Stuff("sky", 3, (205, 165, 120), (60, 90))
WALL = Stuff("wall", 1, (170, 190, 200), (200, 9))
MOUNTAIN = Stuff("mountain", 17, (115, 105, 100), (14, 14))
GRASS = Stuff("grass", 10, (65, 140, 75), (5, 3))
WATER = Stuff("water", 22, (150, 110, 50), (4, 40))
FLOOR = Stuff("floor", 4, (75, 105, 140), (7, 60))
STUFF = (WALL, SKY, FLOOR, GRASS, MOUNTAIN, WATER)

BUS = Thing("bus", 81)
BOAT = Thing("boat", 77)
AIRPLANE = Thing("airplane", 91)
BALL = Thing("sports ball", 120, small=True)
TRAFFIC_LIGHT = Thing("traffic light", 137, small=True)
CLOCK = Thing("clock", 149, small=True)
LARGE_THINGS = (BUS, BOAT, AIRPLANE)
SMALL_THINGS = (BALL, TRAFFIC_LIGHT, CLOCK)
THINGS = LARGE_THINGS + SMALL_THINGS


@dataclass
class Scene:
    """A picture and what is in it.

    Args:
        image (np.ndarray): Colours (H, W, 3), B G R, uint8.
        labels (np.ndarray): ADE20K labels (H, W), uint8, 0 = unlabelled.
        objects (list[tuple[Thing, np.ndarray]]): Each object's class and the
            mask (H, W) of what is seen of it, bool.
        crowds (list[tuple[Thing, np.ndarray]]): The same for groups of
            objects that are annotated as one.
    """

    image: np.ndarray
    labels: np.ndarray
    objects: list[tuple[Thing, np.ndarray]] = field(default_factory=list)
    crowds: list[tuple[Thing, np.ndarray]] = field(default_factory=list)


def draw_scene(rng: np.random.Generator, size: int) -> Scene:
    """Draw a scene.

    Args:
        rng (np.random.Generator): The source of every choice.
        size (int): Height and width in px.

    Returns:
        Scene: The picture and its truth.
    """
    scene = _draw_background(rng, size)
    for _ in range(rng.integers(1, 4)):
        thing = LARGE_THINGS[rng.integers(len(LARGE_THINGS))]
        _place(scene, thing, *_draw_large(rng, thing, size))
    if rng.random() < 0.05:
        _draw_crowd(rng, scene)
    for _ in range(rng.integers(5, 10)):
        thing = SMALL_THINGS[rng.integers(len(SMALL_THINGS))]
        diameter = int(rng.integers(SMALL_DIAMETER[0], SMALL_DIAMETER[1] + 1))
        centre = rng.uniform(diameter / 2, size - diameter / 2, 2)
        _place(scene, thing, *_draw_disc(rng, thing, size, centre, diameter))
    noise = rng.normal(0, 3, (size, size, 1))
    scene.image = np.clip(scene.image + noise, 0, 255).astype(np.uint8)
    return scene


def _draw_background(rng: np.random.Generator, size: int) -> Scene:
    """Paint two or three bands of stuff and some unlabelled clutter."""
    if rng.random() < 0.3:
        bands = [WALL, FLOOR]
    else:
        bands = [SKY, GRASS if rng.random() < 0.5 else WATER]
        if rng.random() < 0.5:
            bands.insert(1, MOUNTAIN)
    image = np.zeros((size, size, 3), np.float32)
    labels = np.zeros((size, size), np.uint8)
    rows = np.arange(size)[:, None]
    edges = np.linspace(0, 1, len(bands) + 1)[:-1]
    for stuff, edge in zip(bands, edges):
        rough = {SKY: 0.0, MOUNTAIN: 0.15}.get(stuff, 0.02)
        line = _noise(rng, (1, size), (1, max(size // 6, 1)))[0] * rough
        top = size * (edge + rng.uniform(-0.08, 0.08) * (edge > 0) + line)
        mask = rows >= np.where(edge > 0, top, -1)[None]
        tint = np.asarray(stuff.colour) + rng.normal(0, 8, 3)
        texture = 25 * _noise(rng, (size, size), stuff.grain)
        image[mask] = (tint + texture[..., None])[mask]
        labels[mask] = stuff.ade_label
    for _ in range(rng.integers(0, 3)):
        clutter = np.zeros((size, size), np.uint8)
        centre = tuple(int(v) for v in rng.integers(0, size, 2))
        axes = tuple(int(v) for v in rng.integers(size // 32, size // 10, 2))
        cv2.ellipse(clutter, centre, axes, rng.uniform(0, 180), 0, 360, 1, -1)
        grey = 90 + 40 * _noise(rng, (size, size), (3, 3))
        image[clutter > 0] = grey[clutter > 0, None]
        labels[clutter > 0] = UNLABELLED
    return Scene(image, labels)


def _draw_large(
    rng: np.random.Generator, thing: Thing, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a bus, a boat or an airplane as (colours, mask)."""
    length = rng.uniform(0.18, 0.65) * size
    x, y = rng.uniform(0.05, 0.95, 2) * (size - length)
    flip = rng.random() < 0.5

    def polygon(*points: tuple[float, float]) -> np.ndarray:
        unit = np.asarray(points)
        unit[:, 0] = 1 - unit[:, 0] if flip else unit[:, 0]
        return np.round(unit * length + (x, y)).astype(np.int32)

    parts: list[tuple[np.ndarray, tuple[int, int, int]]]
    if thing is BUS:
        body = polygon((0, 0.1), (0.95, 0.1), (1, 0.2), (1, 0.6), (0, 0.6))
        parts = [(body, (40, 160, 225))]
        for left in (0.06, 0.29, 0.52, 0.75):
            right = left + 0.18
            pane = ((left, 0.17), (right, 0.17), (right, 0.35), (left, 0.35))
            parts.append((polygon(*pane), (90, 70, 50)))
        for middle in (0.2, 0.78):
            turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
            rim = zip(middle + 0.1 * np.cos(turn), 0.6 + 0.1 * np.sin(turn))
            parts.append((polygon(*rim), (30, 30, 30)))
    elif thing is BOAT:
        sail = polygon((0.5, 0), (0.5, 0.66), (0.1, 0.66))
        jib = polygon((0.54, 0.1), (0.9, 0.66), (0.54, 0.66))
        hull = polygon((0, 0.7), (1, 0.7), (0.82, 0.95), (0.18, 0.95))
        mast = polygon((0.5, 0), (0.54, 0), (0.54, 0.72), (0.5, 0.72))
        brown, white = (35, 50, 110), (240, 240, 235)
        parts = [(mast, brown), (sail, white), (jib, white), (hull, brown)]
    else:
        body = polygon((0, 0.48), (0.85, 0.4), (1, 0.5), (0.85, 0.6), (0, 0.54))
        left = polygon((0.4, 0.5), (0.3, 0), (0.42, 0), (0.66, 0.5))
        right = polygon((0.4, 0.5), (0.3, 1), (0.42, 1), (0.66, 0.5))
        tail = polygon((0, 0.3), (0.07, 0.3), (0.16, 0.5), (0.07, 0.72), (0, 0.72))
        dark, grey = (75, 60, 60), (100, 85, 85)
        parts = [(left, grey), (right, grey), (tail, grey), (body, dark)]
    colours = np.zeros((size, size, 3), np.float32)
    mask = np.zeros((size, size), np.uint8)
    for points, colour in parts:
        cv2.fillPoly(colours, [points], colour)
        cv2.fillPoly(mask, [points], 1)
    shade = rng.normal(0, 10, 3) + 15 * _noise(rng, (size, size), (9, 9))[..., None]
    return colours + shade, mask > 0


def _draw_disc(
    rng: np.random.Generator,
    thing: Thing,
    size: int,
    centre: np.ndarray,
    diameter: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a striped disc as (colours, mask)."""
    y, x = np.ogrid[:size, :size]
    mask = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= diameter**2 / 4
    phase = {BALL: x + 0 * y, CLOCK: 0 * x + y, TRAFFIC_LIGHT: x + y}[thing]
    stripes = STRIPE_AMPLITUDE * (2 * (phase % 2) - 1).astype(np.float32)
    colour = np.add((150, 75, 180), rng.normal(0, 6, 3)).astype(np.float32)
    return colour + stripes[..., None], mask


def _draw_crowd(rng: np.random.Generator, scene: Scene) -> None:
    """Draw a heap of tiny discs that is annotated as one region."""
    size = len(scene.image)
    thing = SMALL_THINGS[rng.integers(len(SMALL_THINGS))]
    middle = rng.uniform(0.15, 0.85, 2) * size
    heap = np.zeros((size, size), bool)
    for _ in range(12):
        centre = middle + rng.normal(0, size / 20, 2)
        colours, mask = _draw_disc(rng, thing, size, centre, 7)
        scene.image[mask] = colours[mask]
        heap |= mask
    scene.labels[heap] = thing.ade_label
    scene.crowds.append((thing, heap))


def _place(scene: Scene, thing: Thing, colours: np.ndarray, mask: np.ndarray) -> None:
    """Put an object in front of the others, unless it would hide one."""
    taken = [*scene.objects, *scene.crowds]
    if any((seen & ~mask).sum() < MIN_VISIBLE * seen.sum() for _, seen in taken):
        return
    scene.image[mask] = colours[mask]
    scene.labels[mask] = thing.ade_label
    scene.objects = [(kind, seen & ~mask) for kind, seen in scene.objects]
    scene.crowds = [(kind, seen & ~mask) for kind, seen in scene.crowds]
    scene.objects.append((thing, mask))


def _noise(
    rng: np.random.Generator, shape: tuple[int, int], grain: tuple[int, int]
) -> np.ndarray:
    """Smooth noise of unit spread whose bumps are ``grain`` px in size."""
    cells = [max(length // step, 1) + 2 for length, step in zip(shape, grain)]
    coarse = rng.normal(size=cells).astype(np.float32)
    fine = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return fine.reshape(shape)
