"""Which frames of a video make a clip: the rules of Kinetics, as in mmaction2.

Legend: n frames of the video, C clips, T frames of a clip.
"""

from __future__ import annotations

import numpy as np


def random_starts(n: int, length: int, stride: int) -> np.ndarray:
    """Where a clip to train on starts: anywhere that leaves room for it.

    Room is ``length * stride`` frames, as in mmaction2, so that clips end up to
    ``stride`` frames before the last. A shorter video is begun at its start. Draws from
    numpy's global generator.

    Args:
        n (int): Frames of the video.
        length (int): Frames of the clip.
        stride (int): From a frame of the clip to the next, in frames of the video.

    Returns:
        np.ndarray: ``(1,)``, counted from 0.
    """
    room = n - length * stride + 1
    return np.array([np.random.randint(room) if room > 0 else 0])


def even_starts(n: int, length: int, stride: int, clips: int) -> np.ndarray:
    """Where clips to test on start: spread over the video, or in its middle.

    Args:
        n (int): Frames of the video.
        length (int): Frames of a clip.
        stride (int): From a frame of a clip to the next, in frames of the video.
        clips (int): How many.

    Returns:
        np.ndarray: ``(C,)``, counted from 0.
    """
    last = max(n - ((length - 1) * stride + 1), 0)
    if clips == 1:
        return np.array([last // 2])
    return np.round(np.arange(clips) * (last / (clips - 1))).astype(np.int64)


def clip_indices(starts: np.ndarray, n: int, length: int, stride: int) -> np.ndarray:
    """Frames of clips; a video that ends before its clip does begins again.

    Args:
        starts (np.ndarray): ``(C,)``.
        n (int): Frames of the video.
        length (int): Frames of a clip.
        stride (int): From a frame of a clip to the next, in frames of the video.

    Returns:
        np.ndarray: ``(C, T)``, each from 0 to n - 1.
    """
    return (starts[:, None] + np.arange(length) * stride) % n
