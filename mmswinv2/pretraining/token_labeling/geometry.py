"""Where the pixels of a picture come from in its file, through any affine steps.

Positions are relative: x and y in [0, 1], pixel i of W covering [i / W, (i + 1) / W].
So a resize moves nothing, and a map of any size has the positions of its picture.
"""

from __future__ import annotations

import cv2
import numpy as np

from mmswinv2.pretraining.map_store import WHOLE

IDENTITY = np.eye(2, 3)
DIRECTIONS = {"horizontal": (True, False), "vertical": (False, True)}
DIRECTIONS["diagonal"] = (True, True)

Size = tuple[int, int]  # height, width in px


def note(results: dict, step: np.ndarray) -> None:
    """Adds a step to ``results['geometry']``.

    That is float64 ``(2 + n, 3)``, rows (a, b, c) of functions a x + b y + c of a
    position in the picture as it is now: the first two are x and y in the picture in
    the file; the others are below 0 where the picture shows nothing, as a step has
    moved in what is beyond its border. Without it the picture is the file's.

    Args:
        results (dict): Of a pipeline.
        step (ndarray): Float64 ``(2, 3)``, turns a position after the step into one
            before it.
    """
    geometry = results.get("geometry", IDENTITY)
    # the four borders of the picture before this step
    limits = np.vstack((IDENTITY, (0, 0, 1) - IDENTITY))
    geometry = np.vstack((geometry, limits)) @ np.vstack((step, (0, 0, 1)))
    least = geometry[:, 2] + geometry[:, :2].clip(max=0).sum(1)  # over the picture
    least[:2] = -1
    results["geometry"] = geometry[least < -1e-9]


def show_on(results: dict, place: np.ndarray) -> None:
    """Makes ``results['geometry']`` lead to positions in a map in place of the file.

    Args:
        results (dict): Of a pipeline.
        place (ndarray): ``(2, 3)``, from positions in the file's picture to the map's.
    """
    there, limits = np.split(results.get("geometry", IDENTITY), [2])
    results["geometry"] = np.vstack((place @ np.vstack((there, (0, 0, 1))), limits))


def of_coverage(coverage: str, picture: Size) -> np.ndarray:
    """From positions in a picture to those in a map of it, or of its middle square.

    Args:
        coverage (str): Of the store, 'whole' or 'centre-square'.
        picture (tuple[int, int]): (height, width).
    """
    if coverage == WHOLE:
        return IDENTITY
    side = min(picture)
    scale = np.array(picture[::-1]) / side
    return np.column_stack((np.diag(scale), (1 - scale) / 2))


def crop(top: float, left: float, height: float, width: float) -> np.ndarray:
    """Step of a crop, all of it relative to the picture before, which it may exceed."""
    return np.array([[width, 0.0, left], [0.0, height, top]])


def crop_px(top: int, left: int, size: Size, picture: Size) -> np.ndarray:
    """Step of a crop of so many px out of a picture."""
    return crop(
        top / picture[0], left / picture[1], size[0] / picture[0], size[1] / picture[1]
    )


def flip(direction: str) -> np.ndarray:
    """Step of a flip: 'horizontal', 'vertical' or 'diagonal', which is both."""
    matrix = IDENTITY.copy()
    for axis, flipped in enumerate(DIRECTIONS[direction]):
        if flipped:
            matrix[axis, [axis, 2]] = -1, 1
    return matrix


def warp(matrix: np.ndarray, picture: Size) -> np.ndarray:
    """Step of OpenCV's ``warpAffine`` into a picture of the same size.

    Args:
        matrix (ndarray): As OpenCV takes it: ``(2, 3)``, from pixels before to pixels
            after, the centre of the first at 0.
        picture (tuple[int, int]): (height, width) in px.
    """
    size = np.array(picture[::-1], float)
    back = cv2.invertAffineTransform(np.asarray(matrix, float))
    # from centres at whole numbers to pixels of unit area, then to relative positions
    linear, offset = back[:, :2], back[:, 2]
    offset = offset + 0.5 - linear @ (0.5, 0.5)
    return np.column_stack((linear * size / size[:, None], offset / size))


def rotation(
    angle: float, centre: tuple[float, float] | None, scale: float, picture: Size
) -> np.ndarray:
    """Step of mmcv's ``imrotate``: degrees clockwise about (x, y) in px."""
    if centre is None:
        centre = ((picture[1] - 1) / 2, (picture[0] - 1) / 2)
    return warp(cv2.getRotationMatrix2D(centre, -angle, scale), picture)


def shear(magnitude: float, direction: str, picture: Size) -> np.ndarray:
    """Step of mmcv's ``imshear``."""
    matrix = IDENTITY.copy()
    matrix[(0, 1) if direction == "horizontal" else (1, 0)] = magnitude
    return warp(matrix, picture)


def translation(share: float, direction: str) -> np.ndarray:
    """Step of mmcv's ``imtranslate`` by a share of the picture's side."""
    matrix = IDENTITY.copy()
    matrix[0 if direction == "horizontal" else 1, 2] = -share
    return matrix


def swap_axes(step: np.ndarray) -> np.ndarray:
    """The step of a crop with x and y exchanged in what it reads."""
    return np.array([[step[1, 1], 0.0, step[1, 2]], [0.0, step[0, 0], step[0, 2]]])
