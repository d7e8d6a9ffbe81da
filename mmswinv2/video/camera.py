"""Frames of a camera, as they come."""
# H W size in px

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np

RATE = 25  # frames a second, where the camera does not say


class Camera:
    """A camera of this machine, by OpenCV.

    Frames that come while one is looked at are left out, as they would pile up.

    Args:
        number (int): From 0.

    Attributes:
        rate (float): Frames a second, as the camera says.
        time_base (Fraction): Of the times of :meth:`timed`, in s.

    Raises:
        RuntimeError: There is no such camera, or another program has it.
    """

    time_base = Fraction(1, 90000)

    def __init__(self, number: int) -> None:
        self.number = number
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise RuntimeError(
                "is no camera that can be opened; plug one in, close other programs "
                "that use it, or give another number"
            )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self.rate = self._capture.get(cv2.CAP_PROP_FPS) or RATE

    def timed(self) -> Iterator[tuple[int, np.ndarray]]:
        """Frames ``(H, W, 3)`` of uint8, RGB, each after the time when it came."""
        start = None
        try:
            while True:
                found, frame = self._capture.read()
                now = time.monotonic()
                if not found:  # it was unplugged
                    return
                start = now if start is None else start
                passed = round((now - start) / self.time_base)
                yield passed, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            self._capture.release()
