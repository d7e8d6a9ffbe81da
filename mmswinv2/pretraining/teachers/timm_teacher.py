"""Teachers of timm."""
# B batch, C channels, K classes, H W px, h w map in tokens, T tokens, P prefix tokens

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmswinv2.checkpoints.files import read_file
from mmswinv2.registry import MODELS

from .base import (
    Teacher,
    find_layer_norm,
    logits_of_tokens,
    to_map,
    to_tokens,
    without_weights,
)

INSTALL = "run pip install 'mmswinv2[teachers]', or pip install timm"


@MODELS.register_module()
class TimmTeacher(Teacher):
    """Any model of timm.

    A map of logits is what the model's head says of each token by itself. A model that
    classifies by a class token, attention pooling or an MLP has features only.

    Args:
        model (str): Name in timm, such as 'dm_nfnet_f6.dm_in1k'.
        weights (str | Path, optional): File of its weights, of as many classes as its
            classifier has. Defaults to those that timm downloads.
        pretrained (bool): Whether to download them; without, and without ``weights``,
            they are random. Defaults to True.
        input_size (tuple[int, int], optional): (h, w) in px of pictures. Defaults to
            what the model was tested with.
        model_args (dict, optional): Of timm's ``create_model``.

    Raises:
        RuntimeError: If timm is missing, or weights cannot be had or do not fit.
        ValueError: If timm has no such model.
    """

    def __init__(
        self,
        model: str,
        *,
        weights: str | Path | None = None,
        pretrained: bool = True,
        input_size: tuple[int, int] | None = None,
        model_args: dict | None = None,
    ) -> None:
        try:
            import timm
        except ModuleNotFoundError as error:
            raise RuntimeError(
                f"the teacher {model} is of timm, which is not installed: {INSTALL}"
            ) from error
        architecture = model.removeprefix("timm/").split(".")[0]
        if not timm.is_model(architecture):
            close = timm.list_models(f"*{architecture[:8]}*")[:3]
            hint = f", close to it: {', '.join(close)}" if close else ""
            raise ValueError(
                f"the teacher {model!r} is neither a config file of ours nor a model "
                f"of timm{hint}; one of Hugging Face is written hf:ORG/MODEL"
            )
        args = dict(model_args or {})
        if without_weights():
            weights, pretrained = None, False
        download = pretrained and weights is None
        if input_size is not None:
            input_size = (int(input_size[0]), int(input_size[1]))
        network: Any = _create(model, architecture, input_size, download, args)
        if weights is not None:
            _load(network, Path(weights), model)
        config = timm.data.resolve_data_config(model=network, use_test_size=True)
        size = getattr(getattr(network, "patch_embed", None), "img_size", None)
        size = input_size or size or config["input_size"][1:]
        super().__init__(
            network,
            kind="timm",
            name=model,
            input_size=tuple(size),
            channels=network.num_features,
            num_classes=getattr(network, "num_classes", 0) or None,
            mean=[255 * value for value in config["mean"]],
            std=[255 * value for value in config["std"]],
            interpolation=config["interpolation"],
        )
        head = getattr(network, "head", None)
        # of the pooled token, where it comes in place of a final norm
        self._norm = [
            find_layer_norm(
                getattr(network, "fc_norm", None), getattr(head, "norm", None)
            )
        ]

    def _features(self, images: Tensor) -> Tensor:
        tokens, size = self._tokens(self.model.forward_features(images), images)
        norm = self._norm[0]
        if norm is not None:
            tokens = torch.nn.functional.layer_norm(
                tokens, tokens.shape[2:], norm.weight, norm.bias, norm.eps
            )
        return to_map(tokens, size)

    def _logits(self, images: Tensor) -> Tensor:
        if self.num_classes is None:
            self._refuse_logits("it has no classifier")
        model = self.model
        if getattr(model, "global_pool", "avg") in ("token", "map"):
            pool = "its class token" if model.global_pool == "token" else "attention"
            self._refuse_logits(f"it classifies by {pool}, not by a mean")
        features = model.forward_features(images)
        tokens, size = self._tokens(features, images)

        def classify(tokens: Tensor) -> Tensor:
            """Each as a map of one token."""
            if features.ndim == 4:
                shape = (1, 1, -1) if self._is_channels_last(features) else (-1, 1, 1)
                return model.forward_head(tokens.unflatten(1, shape))
            prefix = tokens.new_zeros(len(tokens), self._prefix, tokens.shape[1])
            return model.forward_head(torch.cat([prefix, tokens[:, None]], 1))

        try:
            logits = logits_of_tokens(
                tokens, classify, self._norm[0], lambda: model.forward_head(features)
            )
        except (ValueError, RuntimeError) as error:
            if isinstance(error, torch.cuda.OutOfMemoryError):
                raise
            self._refuse_logits(str(error).splitlines()[0])
        return to_map(logits, size)

    @property
    def _prefix(self) -> int:
        return getattr(self.model, "num_prefix_tokens", 0)

    def _is_channels_last(self, features: Tensor) -> bool:
        last = getattr(self.model, "output_fmt", "NCHW") == "NHWC"
        return last or self.channels not in features.shape[1:2]

    def _tokens(
        self, features: object, images: Tensor
    ) -> tuple[Tensor, tuple[int, int]]:
        """Of a map or a sequence: ``(B, T, C)`` and (h, w)."""
        name = self.identity["name"]
        if not isinstance(features, Tensor) or features.ndim not in (3, 4):
            raise ValueError(
                f"teacher {name} gives no map of features; take another model of timm"
            )
        if features.ndim == 4:
            if self._is_channels_last(features):
                features = features.permute(0, 3, 1, 2)
            return to_tokens(features), (features.shape[2], features.shape[3])
        tokens = features[:, self._prefix :]
        embed: Any = getattr(self.model, "patch_embed", None)
        if hasattr(embed, "dynamic_feat_size"):
            size = tuple(embed.dynamic_feat_size((images.shape[2], images.shape[3])))
        else:
            size = (math.isqrt(tokens.shape[1]),) * 2
        if math.prod(size) != tokens.shape[1]:
            raise ValueError(
                f"teacher {name} gives {tokens.shape[1]} tokens, which are no map of "
                f"{size[0]} x {size[1]}; take another model of timm"
            )
        return tokens, size


def _create(
    model: str,
    architecture: str,
    size: tuple[int, int] | None,
    download: bool,
    args: dict,
) -> torch.nn.Module:
    import timm

    if size is None and "img_size" not in args:
        config = timm.models.get_pretrained_cfg(model, allow_unregistered=True)
        if config is not None and config.test_input_size:
            size = tuple(config.test_input_size[1:])
    try:
        if size is not None:
            try:  # models of tokens are built for a size, and others do not know it
                return timm.create_model(
                    model, pretrained=download, **{"img_size": size, **args}
                )
            except TypeError as error:
                if "img_size" not in str(error):
                    raise
        return timm.create_model(model, pretrained=download, **args)
    except Exception as error:  # of timm, the hub, the connection, ...
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise RuntimeError(
            f"the teacher {model} could not be made by timm ({reason}); where its "
            "weights cannot be downloaded, give a file of them"
        ) from error


def _load(network: Any, file: Path, name: str) -> None:
    state = read_file(file, str(file))
    for key in ("state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(state.get(key), dict):
            state = state[key]
            break
    state = {key.removeprefix("module."): value for key, value in state.items()}
    # what timm does to downloads: other sizes of pictures, older names
    module = sys.modules[type(network).__module__]
    convert = getattr(module, "checkpoint_filter_fn", lambda state, _: state)
    classifier = state.get(f"{network.default_cfg.get('classifier')}.weight")
    if classifier is not None and len(classifier) != network.num_classes:
        network.reset_classifier(len(classifier))
    try:
        network.load_state_dict(convert(state, network))
    except (RuntimeError, KeyError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()[1:3]]
        reason = " ".join(lines)[:300].rstrip(".")
        raise RuntimeError(
            f"{file} does not fit the teacher {name}: {reason}; give weights of this "
            "model of timm"
        ) from error
