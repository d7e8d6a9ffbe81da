"""The size of images that a checkpoint was trained with, from the config in it."""

from __future__ import annotations

import os

from mmengine.config import Config

from mmswinv2.checkpoints import read_checkpoint
from mmswinv2.checkpoints.saved_config import read_saved_config

from .training_batch import image_size


def trained_size(path: str | os.PathLike) -> tuple[int, ...] | None:
    """Height and width in px of the largest images, or clips, of a training run.

    Args:
        path (str | PathLike): A checkpoint, as :func:`read_checkpoint` takes it.

    Returns:
        tuple[int, ...] | None: As :func:`image_size`; None where the checkpoint has no
        config, or one that tells no size.
    """
    settings = read_saved_config(read_checkpoint(path))
    if settings is None:
        return None
    try:
        return image_size(Config(settings))
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
