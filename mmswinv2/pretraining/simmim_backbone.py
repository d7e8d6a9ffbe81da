"""The backbone as SimMIM trains it: some of its tokens are hidden from it."""
# B batch, H W map in tokens of stage 0, C channels

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmswinv2.models import SwinTransformerV2
from mmswinv2.registry import MODELS


@MODELS.register_module()
class SimMIMSwinV2(SwinTransformerV2):
    """Swin V2 with a learnt token in the place of masked ones, for SimMIM.

    `SimMIM <https://arxiv.org/abs/2111.09886>`_, section 3.2: patches are embedded, the
    masked ones replaced, and all of them go through the backbone.

    Its checkpoints are those of :class:`SwinTransformerV2` with one tensor more, which
    a detector ignores. The token is trained whatever ``frozen_stages`` freezes.

    Args:
        arch (str, optional): As of :class:`SwinTransformerV2`.
        **kwargs (Any): Likewise; ``out_indices`` defaults to the last stage.
    """

    def __init__(self, arch: str | None = None, **kwargs: Any) -> None:
        super().__init__(arch, **{"out_indices": (3,), **kwargs})
        self.mask_token = nn.Parameter(torch.empty(1, 1, self.embed_dims))
        self._reset_mask_token()

    def forward(  # type: ignore[override]  # what is changed, the mask says
        self, x: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Feature maps of an image whose masked tokens are not seen.

        Args:
            x (Tensor): Images ``(B, 3, height, width)``.
            mask (Tensor, optional): ``(B, H, W)``, other than 0 where a token is
                masked. Defaults to None: none is.

        Returns:
            tuple[Tensor]: As of :class:`SwinTransformerV2`.

        Raises:
            ValueError: If the mask is of another size than the map of tokens.
        """
        if mask is None:
            return super().forward(x)

        def hide(tokens: Tensor) -> Tensor:
            if mask.shape != tokens.shape[:3]:
                raise ValueError(
                    f"the mask is {tuple(mask.shape)}, but images of "
                    f"{tuple(x.shape[2:])} px have {tuple(tokens.shape[:3])} tokens; "
                    "put RandomPatchMask last among the transforms of size"
                )
            masked = mask.bool().unsqueeze(-1)
            return torch.where(masked, self.mask_token.to(tokens), tokens)

        return super().forward(x, hide)

    def init_weights(self) -> None:
        """As of :class:`SwinTransformerV2`."""
        if not self.is_init and not self._loads_checkpoint():
            self._reset_mask_token()
        super().init_weights()

    def _reset_mask_token(self) -> None:
        nn.init.trunc_normal_(self.mask_token, std=0.02)
