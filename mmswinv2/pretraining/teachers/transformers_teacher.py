"""Teachers of Hugging Face's transformers."""
# B batch, C channels, K classes, H W px, h w map in tokens, T tokens, P prefix tokens

from __future__ import annotations

import logging
from collections.abc import Callable
from math import ceil, prod
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn import functional as F

from mmswinv2.registry import MODELS

from .base import MEAN, STD, Teacher, logits_of_tokens, to_map, to_tokens

MAX_PREFIX = 16  # class and register tokens; DINOv2 has up to 5
RESAMPLING = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
CLASSIFIER = "ForImageClassification"


@MODELS.register_module()
class TransformersTeacher(Teacher):
    """A vision model of Hugging Face: ViT, DINOv2, CLIP, SigLIP, Swin, Swin V2, ...

    Features are its last hidden state, without class and register tokens, after the
    norm that it has for the pooled token, where it has one. Logits need a model for
    image classification whose layer is linear in the mean of tokens; one that sees the
    class token too, as DINOv2's, sees the picture's own beside each token.

    Args:
        model (str): Name such as 'facebook/dinov2-base', or a folder.
        input_size (tuple[int, int], optional): (h, w) in px of pictures. Defaults to
            what its image processor makes.
        weights (str, optional): None: they are the model's.

    Raises:
        RuntimeError: If transformers is missing, or the model cannot be had.
        ValueError: If it is no vision model.
    """

    def __init__(
        self,
        model: str,
        *,
        input_size: tuple[int, int] | None = None,
        weights: str | None = None,
    ) -> None:
        if weights is not None:
            raise ValueError(
                f"the teacher hf:{model} has its own weights; give hf: and the folder "
                f"of a model in place of {weights}"
            )
        network, processor = _load(str(model))
        config = network.config
        config = getattr(config, "vision_config", None) or config
        name = network.base_model_prefix
        base = getattr(network, "vision_model", None) or getattr(network, name, network)
        classifier = getattr(network, "classifier", None)
        if not isinstance(classifier, nn.Linear):
            network, classifier = base, None
        size: Any = input_size or _size(processor)
        size = size or getattr(config, "image_size", 224)
        names = getattr(config, "id2label", None) or {}
        classes = classifier.out_features if classifier is not None else None
        channels = getattr(config, "hidden_sizes", None) or [config.hidden_size]
        super().__init__(
            network,
            kind="transformers",
            name=str(model),
            input_size=_pair(size),
            channels=channels[-1],
            num_classes=classes,
            classes=[*names.values()] if len(names) == classes else None,
            mean=[255 * value for value in processor["image_mean"]],
            std=[255 * value for value in processor["image_std"]],
            interpolation=RESAMPLING.get(processor.get("resample", -1), "bicubic"),
        )
        self._base = [base]  # no module twice
        self._config = config
        self._pooled: list[nn.LayerNorm] = []  # norms of the pooled token
        for module in base.modules():
            if isinstance(module, nn.LayerNorm):
                module.register_forward_hook(self._note)

    def _note(self, norm: nn.LayerNorm, inputs: tuple, _: Tensor) -> None:
        if inputs and inputs[0].ndim == 2:
            self._pooled = [norm]

    def _run(self, network: nn.Module, images: Tensor) -> Any:
        given = getattr(self._config, "image_size", None)
        kwargs = {}
        if given and _pair(given) != (images.shape[2], images.shape[3]):
            kwargs = dict(interpolate_pos_encoding=True)
        self._pooled = []
        try:
            return network(pixel_values=images, return_dict=True, **kwargs)
        except TypeError:
            return network(pixel_values=images, return_dict=True)

    def _features(self, images: Tensor) -> Tensor:
        output = self._run(self._base[0], images)
        tokens, size = self._tokens(output.last_hidden_state, images)
        for norm in self._pooled:
            tokens = F.layer_norm(
                tokens, tokens.shape[2:], norm.weight, norm.bias, norm.eps
            )
        return to_map(tokens, size)

    def _logits(self, images: Tensor) -> Tensor:
        if self.num_classes is None:
            self._refuse_logits("it has no linear classifier")
        seen: list = []
        base, classifier = self._base[0], self.model.classifier
        hooks = [
            base.register_forward_hook(lambda _, __, output: seen.append(output)),
            classifier.register_forward_pre_hook(lambda _, given: seen.append(given)),
        ]
        try:
            own = self._run(self.model, images).logits
        finally:
            for hook in hooks:
                hook.remove()
        hidden, (pooled,) = seen
        tokens, size = self._tokens(hidden.last_hidden_state, images)
        norms = [None, *self._pooled]
        for norm in norms:
            classify = _classify(classifier, norm, pooled, tokens)
            try:
                logits = logits_of_tokens(tokens, classify, norm, lambda: own)
            except ValueError:
                continue
            return to_map(logits, size)
        self._refuse_logits("it classifies by its class token, or not linearly")

    def _tokens(self, hidden: Tensor, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """``(B, T, C)`` and (h, w), without class and register tokens."""
        if hidden.ndim == 4:
            return to_tokens(hidden), (hidden.shape[2], hidden.shape[3])
        patch = _pair(getattr(self._config, "patch_size", 1))
        depths = getattr(self._config, "depths", None)
        if depths:  # these pad
            patch = [side * 2 ** (len(depths) - 1) for side in patch]
        divide = ceil if depths else int
        height, width = images.shape[2:]
        size = divide(height / patch[0]), divide(width / patch[1])
        prefix = hidden.shape[1] - prod(size)
        if not 0 <= prefix <= MAX_PREFIX:
            raise ValueError(
                f"teacher {self.identity['name']} gives {hidden.shape[1]} tokens for "
                f"pictures of {images.shape[2]} x {images.shape[3]} px, which are no "
                f"map of {size[0]} x {size[1]}; take another model"
            )
        return hidden[:, prefix:], size


def _classify(
    classifier: nn.Linear, norm: nn.Module | None, pooled: Tensor, tokens: Tensor
) -> Callable[[Tensor], Tensor]:
    """The classifier of a pooled token, for every token of a picture."""
    _, T, C = tokens.shape

    def classify(tokens: Tensor) -> Tensor:
        tokens = norm(tokens) if norm is not None else tokens
        if classifier.in_features == 2 * C:  # the class token goes before the mean
            beside = pooled[:, :C].repeat_interleave(T, 0)
            tokens = torch.cat([beside, tokens], 1)
        return classifier(tokens)

    return classify


def _load(name: str) -> tuple[Any, dict]:
    """A model on the CPU, in fp32, and what its image processor does."""
    try:
        import transformers
        from transformers.models.auto.image_processing_auto import (
            get_image_processor_config,
        )
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"the teacher hf:{name} is of transformers, which is not installed: run "
            "pip install 'mmswinv2[teachers]', or pip install transformers"
        ) from error
    try:
        config = transformers.AutoConfig.from_pretrained(name)
        kinds = getattr(config, "architectures", None) or ()
        labelled = any(kind.endswith(CLASSIFIER) for kind in kinds)
        kind = "AutoModelForImageClassification" if labelled else "AutoModel"
        network = getattr(transformers, kind).from_pretrained(name).float()
        processor = get_image_processor_config(name)
    except Exception as error:  # of the hub, the connection, the file, ...
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]
        raise RuntimeError(
            f"the teacher hf:{name} could not be loaded by transformers ({reason}); "
            "give the name of a vision model, or a folder that has one"
        ) from error
    inner = getattr(network, "vision_model", network)
    if getattr(inner, "main_input_name", "") != "pixel_values":
        raise ValueError(
            f"the teacher hf:{name} is a {type(network).__name__}, no vision model"
        )
    if not processor.get("image_mean") or not processor.get("image_std"):
        print_log(
            f"Teacher hf:{name} has no image processor, so that pictures are "
            "normalised by ImageNet's mean and deviation",
            "current",
            logging.WARNING,
        )
        processor = dict(
            processor,
            image_mean=[value / 255 for value in MEAN],
            image_std=[value / 255 for value in STD],
        )
    return network, processor


def _size(processor: dict) -> tuple[int, int] | None:
    size = processor.get("crop_size") or processor.get("size") or {}
    if isinstance(size, dict):
        side = size.get("shortest_edge")
        size = [size.get("height", side), size.get("width", side)]
    return _pair(size) if size and all(_pair(size)) else None


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)
