"""Swin Transformer V2 as a backbone for videos."""
# B batch, T H W map in tokens, C channels

from __future__ import annotations

from typing import Any

from torch import Tensor

from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.window_fit import is_int
from mmswinv2.registry import MODELS


@MODELS.register_module()
class VideoSwinTransformerV2(SwinTransformerV2):
    """Swin Transformer V2 whose windows reach over time, for clips.

    The structure is that of `Video Swin <https://arxiv.org/abs/2106.13230>`_: tubelets
    as tokens, (shifted) windows of three axes, patch merging in space alone, as many
    tokens in time at the last stage as at the first. The blocks are those of Swin V2,
    and so is the position bias, over offsets (time, vertical, horizontal). Of its video
    model, size G, the Swin V2 paper states windows, training and accuracy (table 5),
    but not the frames of a token, the shift in time, the unit of temporal offsets or
    what 2-D weights become: those here are ours.

    Weights of images load from all files that :class:`SwinTransformerV2` takes. They
    are inflated so that each map of a clip of equal frames, a whole number of tubelets,
    is the image's map at every time; the log says what was inflated.

    Args:
        arch (str, optional): As of :class:`SwinTransformerV2`.
        temporal_patch_size (int): Frames of a token. Defaults to 2.
        **kwargs (Any): Likewise. ``window_size`` and ``pretrained_window_size`` are an
            int for all axes, (time, height, width), or one of these per stage, in
            tokens. An axis that is no longer than its window is one window. In
            ``auto_windows``, ``image_size`` is (frames, height, width).

    Raises:
        ValueError: If an argument is out of range or unknown.

    Examples:
        >>> backbone = VideoSwinTransformerV2('nano', window_size=(8, 7, 7))
        >>> [tuple(x.shape) for x in backbone(torch.rand(1, 3, 16, 100, 64))][0]
        (1, 32, 8, 25, 16)
    """

    def __init__(
        self,
        arch: str | None = None,
        *,
        temporal_patch_size: int = 2,
        **kwargs: Any,
    ) -> None:
        if not is_int(temporal_patch_size) or temporal_patch_size < 1:
            raise ValueError(
                f"temporal_patch_size={temporal_patch_size!r}: expected the frames of "
                "a token, a positive int such as 2"
            )
        self.patch_size = (temporal_patch_size, *super().patch_size)
        super().__init__(arch, **kwargs)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]  # no SimMIM
        """Feature maps of clips.

        Args:
            x (Tensor): Clips ``(B, 3, frames, height, width)``, any size from 1 frame
                and 1 px up.

        Returns:
            tuple[Tensor]: ``(B, C_i, T, H_i, W_i)`` for every stage i of
            ``out_indices``, contiguous; T is the number of frames over
            ``temporal_patch_size``, ``H_i`` the height over 4, 8, 16 or 32, rounded up.

        Raises:
            ValueError: If there are no such clips.
        """
        if x.dim() != 5:
            raise ValueError(
                f"the input is {tuple(x.shape)}, expected clips (batch, channels, "
                "frames, height, width)"
            )
        return super().forward(x)
