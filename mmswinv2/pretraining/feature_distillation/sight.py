"""A frozen teacher beside the model that learns from it."""
# B batch, H W size in px, D channels, h w map in tokens

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor

from mmswinv2.pretraining.teachers import Teacher

Size = tuple[int, int]  # height and width


class Sight:
    """What a teacher sees in pictures.

    No module, so that the teacher is in no checkpoint, optimizer, average or shard of
    the model that has this; copies of the model share it.

    Args:
        teacher (Teacher): It follows the pictures to their device.
    """

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher
        self._device: torch.device | None = None
        self._sizes: dict[Size, Size] = {}  # of pictures, and as the teacher gets them

    def __deepcopy__(self, memo: dict) -> Sight:
        return self

    @torch.no_grad()
    def __call__(self, images: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """The teacher's map.

        Args:
            images (Tensor): ``(B, 3, H, W)``, as :meth:`Teacher.features` takes them.
            dtype (dtype, optional): Of an autocast of its own. Defaults to None: that
                of the caller, if there is one.

        Returns:
            Tensor: ``(B, D, h, w)``.

        Raises:
            ValueError: If the teacher takes neither these pictures nor pictures of the
                size that it was made for, or what it gives is no map of its channels.
        """
        if images.device != self._device:
            self.teacher.to(images.device)
            self._device = images.device
        kind = images.device.type
        with torch.autocast(kind, dtype) if dtype is not None else nullcontext():
            size = (images.shape[2], images.shape[3])
            if size not in self._sizes:
                self._sizes[size] = self._choose_size(images[:1])
            return self._features(images, self._sizes[size])

    def _choose_size(self, image: Tensor) -> Size:
        """The size of a picture if the teacher takes it, else the teacher's own."""
        size, own = (image.shape[2], image.shape[3]), self.teacher.input_size
        reasons = []
        for tried in dict.fromkeys((size, own)):
            try:
                self._features(image, tried)
            except torch.cuda.OutOfMemoryError:
                raise
            except (AssertionError, RuntimeError, ValueError) as error:
                reasons.append(f"{error}".strip().partition("\n")[0].rstrip("."))
                continue
            if tried != size:
                text = f"the teacher does not take {written(size)} ({reasons[0]})"
                print_log(
                    f"{text}: it gets pictures resized to {written(own)}", "current"
                )
            return tried
        raise ValueError(
            f"the teacher {self.teacher.identity['name']} takes neither pictures of "
            f"{written(size)} nor of its own {written(own)} ({reasons[-1]}); choose "
            "another teacher, or its input_size"
        )

    def _features(self, images: Tensor, size: Size) -> Tensor:
        if (images.shape[2], images.shape[3]) != size:
            images = F.interpolate(images, size, mode="bicubic", antialias=True)
        features = self.teacher.features(images)
        channels = self.teacher.channels
        if features.ndim != 4 or features.shape[1] != channels:
            raise ValueError(
                f"its features are {tuple(features.shape)}, expected a map (B, "
                f"{channels}, h, w)"
            )
        return features


def written(size: Size) -> str:
    """Such as '224 x 224 px', width first."""
    return f"{size[1]} x {size[0]} px"
