"""A classifier's head with a second one for every token."""
# B pictures, C channels, h w grid of tokens, N = h * w, K classes

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mmswinv2.pretraining.linear_head import LinearClsHead
from mmswinv2.registry import MODELS

from .mix_token import mix
from .targets import Targets


@MODELS.register_module()
class TokenLabelingHead(LinearClsHead):
    """Classifies the mean token, and every token (Token Labeling, arXiv 2104.10858).

    The loss is a weighted sum of the cross entropy of the mean token with the label of
    the picture, and that of each token, on average, with its own label. The classifier
    of the mean token, ``fc``, is that of :class:`LinearClsHead` in checkpoints; that of
    tokens is ``aux``. Takes the last map of a backbone, without a neck.

    Args:
        num_classes (int): K.
        in_channels (int): C.
        class_weight (float): Of the term of the mean token. Defaults to 1.0, that of
            the authors' code.
        token_weight (float): Of the term of tokens. Defaults to 1.0, that of the
            authors' code; the paper writes 0.5.
        label_smoothing (float): Share of both targets that all classes have in equal
            parts. Defaults to 0.1.
        test_token_weight (float): In tests, the largest logit of each class over all
            tokens, times this, is added to that of the mean token. Defaults to 0.5, as
            published; 0 tests the mean token alone.
        init_cfg (dict, optional): As of :class:`LinearClsHead`, for both classifiers.

    Raises:
        ValueError: If a weight is negative, or both are 0, or the smoothing is no share
            below 1.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        class_weight: float = 1.0,
        token_weight: float = 1.0,
        label_smoothing: float = 0.1,
        test_token_weight: float = 0.5,
        init_cfg: dict | None = None,
    ) -> None:
        if min(class_weight, token_weight) < 0 or class_weight + token_weight == 0:
            raise ValueError(
                f"class_weight={class_weight}, token_weight={token_weight}: expected "
                "weights from 0 on, not both 0"
            )
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f"label_smoothing={label_smoothing}: expected a share from 0 to below 1"
            )
        super().__init__(num_classes, in_channels, init_cfg)
        self.aux = nn.Linear(in_channels, num_classes)
        self.class_weight, self.token_weight = class_weight, token_weight
        self.label_smoothing = label_smoothing
        self.test_token_weight = test_token_weight

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """The mean token, ``(B, C)``, of the last map ``(B, C, h, w)``."""
        return feats[-1].mean((2, 3))

    def token_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """``(B, h, w, K)`` of the tokens of the last map."""
        return self.aux(feats[-1].movedim(1, -1))

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Logits ``(B, K)`` of pictures, as tests take them."""
        logits = super().forward(feats)
        if self.test_token_weight:
            tokens = self.token_logits(feats).amax((1, 2))
            logits = logits + self.test_token_weight * tokens
        return logits

    def loss(
        self,
        feats: tuple[Tensor, ...],
        targets: Targets,
        mixed: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Both terms of a batch, weighted.

        Args:
            feats (tuple[Tensor]): Maps of the backbone.
            targets (Targets): Of the pictures as they were before they were mixed.
            mixed (Tensor, optional): Bool ``(h, w)``: where tokens are those of the
                batch in reverse. Defaults to None: nowhere.

        Returns:
            dict[str, Tensor]: ``loss_class`` and ``loss_token``.
        """
        logits, tokens = self.fc(self.pre_logits(feats)), self.token_logits(feats)
        picture = targets.picture
        if mixed is not None:
            tokens = mix(tokens, mixed)
            share = mixed.float().mean()
            picture = (1 - share) * picture + share * picture.flip(0)
        labelled = targets.labelled.float()
        of_tokens = self._cross_entropy(tokens.flatten(1, 2), targets.tokens) * labelled
        return dict(
            loss_class=self.class_weight * self._cross_entropy(logits, picture).mean(),
            loss_token=self.token_weight
            * of_tokens.sum()
            / labelled.sum().clamp(min=1),
        )

    def _cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        """Of soft labels over the last axis, in fp32."""
        losses = F.cross_entropy(
            logits.float().flatten(0, -2),
            target.flatten(0, -2),
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        return losses.view(logits.shape[:-1])
