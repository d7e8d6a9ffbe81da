"""What a teacher is: a frozen model that says what is where in a picture."""
# B batch, C channels, K classes, H W px, h w map in tokens, T tokens

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from mmswinv2.checkpoints.checksums import digest

# Of 0 to 255, as our configs' data preprocessors have them.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
# Of a mean of logits, relative: in fp32 it is off by 1e-6, in TF32 by 3e-4.
TOLERANCE, LOW_TOLERANCE = 1e-3, 3e-2


class Teacher(nn.Module, ABC):
    """A frozen model, always in eval mode, whose outputs have no gradient.

    Args:
        model (nn.Module): The whole of it, whose weights identify the teacher.
        kind (str): 'timm', 'config' or 'transformers'.
        name (str): Of the model.
        input_size (tuple[int, int]): (h, w) in px that it was made for.
        channels (int): Of its features.
        num_classes (int, optional): None: it has no classes, and no logits.
        classes (Sequence[str], optional): Their names, if they are known.
        mean (Sequence[float]): That its pictures are normalised with, of 0 to 255, in
            the order of its channels.
        std (Sequence[float]): Likewise.
        rgb (bool): Whether its channels are in this order, not BGR. Defaults to True.
        interpolation (str): How pictures are resized for it. Defaults to 'bicubic'.

    Attributes:
        identity (dict[str, str]): ``kind``, ``name`` and ``weights``, a SHA-256; equal
            for equal teachers.
        answer (str): What gives its logits, where that is not the classifier itself.
    """

    answer = ""

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        kind: str,
        name: str,
        input_size: tuple[int, int],
        channels: int,
        num_classes: int | None,
        classes: Sequence[str] | None = None,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        rgb: bool = True,
        interpolation: str = "bicubic",
    ) -> None:
        super().__init__()
        self.model: Any = model.eval().requires_grad_(False)
        weights = "" if without_weights() else digest(model.state_dict(), {})
        self.identity = dict(kind=kind, name=name, weights=weights)
        self.input_size = input_size
        self.channels = channels
        self.num_classes = num_classes
        self.classes = tuple(classes) if classes else None
        self.interpolation = interpolation
        self.rgb = rgb
        own = torch.tensor([*zip(mean, std)])
        given = torch.tensor([*zip(MEAN, STD)])
        if not rgb:
            given = given.flip(0)
        scale, shift = given[:, 1] / own[:, 1], (given[:, 0] - own[:, 0]) / own[:, 1]
        self.register_buffer("scale", scale.view(3, 1, 1), persistent=False)
        self.register_buffer("shift", shift.view(3, 1, 1), persistent=False)
        self.eval()

    def train(self, mode: bool = True) -> Teacher:
        """Stays in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Feature map after the model's own final norm.

        Args:
            images (Tensor): RGB ``(B, 3, H, W)``, normalised with ``MEAN`` and ``STD``.

        Returns:
            Tensor: ``(B, C, h, w)``.
        """
        return self._features(self._normalise(images))

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Logits of every token; those of a classifier have its own as their mean.

        Args:
            images (Tensor): As of :meth:`features`.

        Returns:
            Tensor: ``(B, K, h, w)``.

        Raises:
            ValueError: If the model has no such logits; ``features`` works.
        """
        return self._logits(self._normalise(images))

    def _normalise(self, images: Tensor) -> Tensor:
        if not self.rgb:
            images = images.flip(1)
        return images * self.scale + self.shift

    @abstractmethod
    def _features(self, images: Tensor) -> Tensor:
        """Of images that are normalised as the model's own."""

    @abstractmethod
    def _logits(self, images: Tensor) -> Tensor:
        """Likewise."""

    def _refuse_logits(self, why: str) -> NoReturn:
        raise ValueError(
            f"teacher {self.identity['name']} has no logits of tokens: {why}; its "
            "features can be used, and labels need a teacher with a linear classifier "
            "on the mean of its tokens"
        )


def logits_of_tokens(
    tokens: Tensor,
    classify: Callable[[Tensor], Tensor],
    norm: nn.LayerNorm | None,
    own: Callable[[], Tensor],
) -> Tensor:
    """What a classifier of mean tokens says of each token.

    Where a LayerNorm comes after pooling, each token is divided by the deviation of the
    picture's mean token: the norm is linear but for that number, so that the mean of
    logits is still the classifier's own.

    Args:
        tokens (Tensor): ``(B, T, C)``.
        classify (Callable): Takes ``(N, C)``, each for a mean token; gives ``(N, K)``.
        norm (nn.Module, optional): The LayerNorm within ``classify``, over C.
        own (Callable): Runs the classifier as it is, on what ``tokens`` are of; gives
            ``(B, K)``.

    Returns:
        Tensor: ``(B, T, K)``.

    Raises:
        ValueError: If their mean is not what the classifier says.
    """
    B, T, C = tokens.shape
    hook = None
    if norm is not None:
        deviation = tokens.mean(1).var(1, correction=0).add(norm.eps).sqrt()
        divisor = deviation.repeat_interleave(T)

        def divide(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            x = inputs[0].reshape(B * T, C)
            x = (x - x.mean(1, keepdim=True)) / divisor[:, None]
            return (x * norm.weight + norm.bias).view_as(output)

        hook = norm.register_forward_hook(divide)
    try:
        logits = classify(tokens.reshape(B * T, C)).reshape(B, T, -1)
    finally:
        if hook is not None:
            hook.remove()
    expected = own()
    share = TOLERANCE if logits.dtype.itemsize >= 4 else LOW_TOLERANCE
    close = expected.shape == logits.shape[::2] and torch.allclose(
        logits.mean(1), expected, rtol=0, atol=share * float(expected.abs().max())
    )
    if not close:
        raise ValueError("the mean of its tokens' logits is not what it says itself")
    return logits


def without_weights() -> bool:
    """Whether models are being built on the meta device, for their shapes alone."""
    return torch.get_default_device().type == "meta"


def find_layer_norm(*modules: Any) -> nn.LayerNorm | None:
    """The first that is an affine LayerNorm."""
    return next(
        (m for m in modules if isinstance(m, nn.LayerNorm) and m.bias is not None),
        None,
    )


def to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """``(B, T, C)`` -> ``(B, C, h, w)``."""
    return tokens.transpose(1, 2).unflatten(2, size)


def to_tokens(maps: Tensor) -> Tensor:
    """``(B, C, h, w)`` -> ``(B, T, C)``."""
    return maps.flatten(2).transpose(1, 2)
