"""Swin Transformer V2 as a backbone for videos."""
# B batch, T H W map in tokens, C channels

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.blocks import PATCH_SIZE, PatchEmbed
from mmswinv2.models.window_fit import TIME_AND_SPACE, is_int
from mmswinv2.registry import MODELS


class TubeletEmbed(PatchEmbed):
    """Embed tubelets of some frames of 4 x 4 px, then LayerNorm.

    Clips are padded with zeros at the end of time, at the bottom and right.

    Args:
        in_channels (int): Channels of a frame.
        embed_dims (int): Channels C.
        frames (int): Frames of a tubelet.
        norm (bool): Whether there is a LayerNorm. Defaults to True.
    """

    def __init__(
        self, in_channels: int, embed_dims: int, *, frames: int, norm: bool = True
    ) -> None:
        super().__init__(in_channels, embed_dims, norm=norm)
        size = (frames, PATCH_SIZE, PATCH_SIZE)
        self.proj = nn.Conv3d(in_channels, embed_dims, size, size)

    def forward(self, clip: Tensor) -> Tensor:
        """``(B, 3, frames, height, width)`` in px -> ``(B, T, H, W, C)``."""
        pad_t, pad_h, pad_w = (
            -length % size for length, size in zip(clip.shape[2:], self.proj.stride)
        )
        if pad_t or pad_h or pad_w:
            clip = F.pad(clip, (0, pad_w, 0, pad_h, 0, pad_t))
        return self.norm(self.proj(clip).movedim(1, -1))


@MODELS.register_module()
class VideoSwinTransformerV2(SwinTransformerV2):
    """Swin Transformer V2 whose windows reach over time, for clips.

    The structure is that of `Video Swin <https://arxiv.org/abs/2106.13230>`_: tubelets
    as tokens, (shifted) windows of three axes, patch merging in space alone, as many
    tokens in time at the last stage as at the first. The blocks are those of Swin V2,
    and so is the position bias, over offsets (time, vertical, horizontal). Of its video
    model, size G, the Swin V2 paper states windows, training and accuracy (its appendix
    on Kinetics-400), but not the frames of a token, the shift in time, the unit of
    temporal offsets or what 2-D weights become: those here are ours.

    Weights of images load from all files that :class:`SwinTransformerV2` takes. They
    are inflated so that each map of a clip of equal frames, a whole number of tubelets,
    is the image's map at every time; the log says what was inflated.

    Args:
        arch (str, optional): As of :class:`SwinTransformerV2`.
        temporal_patch_size (int): Frames of a token. Defaults to 2.
        **kwargs (Any): Likewise. ``window_size`` and ``pretrained_window_size`` are an
            int for all axes, (time, height, width), or one of these per stage, in
            tokens. An axis that is no longer than its window is one window.
            ``window_size='auto'`` is not known here.

    Raises:
        ValueError: If an argument is out of range or unknown.

    Examples:
        >>> backbone = VideoSwinTransformerV2('nano', window_size=(8, 7, 7))
        >>> [tuple(x.shape) for x in backbone(torch.rand(1, 3, 16, 100, 64))][0]
        (1, 32, 8, 25, 16)
    """

    axes = TIME_AND_SPACE

    def __init__(
        self,
        arch: str | None = None,
        *,
        temporal_patch_size: int = 2,
        **kwargs: object,
    ) -> None:
        if not is_int(temporal_patch_size) or temporal_patch_size < 1:
            raise ValueError(
                f"temporal_patch_size={temporal_patch_size!r}: expected the frames of "
                "a token, a positive int such as 2"
            )
        if kwargs.get("window_size") == "auto" or kwargs.get("auto_windows"):
            raise ValueError(
                "window_size='auto' chooses windows of images: write those of a video, "
                "such as window_size=(8, 7, 7) for (time, height, width) in tokens"
            )
        self.temporal_patch_size = temporal_patch_size  # which the embedding needs
        super().__init__(arch, **kwargs)

    def _make_patch_embed(self, in_channels: int, norm: bool) -> TubeletEmbed:
        return TubeletEmbed(
            in_channels, self.embed_dims, frames=self.temporal_patch_size, norm=norm
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
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

    def embed(self, x: Tensor) -> Tensor:
        """Clips ``(B, 3, frames, height, width)`` -> ``(B, T, H, W, C)`` of stage 0."""
        return super().embed(x)
