"""Teachers that a config describes: classifiers, segmentors, and backbones."""
# B batch, C channels, K classes, H W px, h w map in tokens

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.model import PretrainedInit, initialize
from mmengine.registry import DATASETS, DefaultScope
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmpretrain.models import ImageClassifier
from torch import Tensor, nn

from mmswinv2.apis import find_config, load_trained_weights
from mmswinv2.config_types import name_types, read_config
from mmswinv2.registry import MODELS

from .base import Teacher, logits_of_tokens, to_map, to_tokens, without_weights

SIZES = ("crop_size", "scale", "size")  # keys of transforms, in px


@MODELS.register_module()
class ConfigTeacher(Teacher):
    """A model of a config of mmpretrain, MMSegmentation or MMDetection.

    Logits of a classifier are what its linear layer says of each token of the last
    stage: the layer ``head.aux``, which was trained on tokens, where there is one, as
    Token Labeling leaves it; else ``head.fc``, whose mean is the classifier's answer.
    Those of a segmentor are its decode head's. Detectors and SimMIM have features only,
    the last map of their backbone.

    Args:
        config (str | Path | dict): File, name of :func:`list_models`, or the content.
        weights (str | Path, optional): Trained with it: a file, URL or ``swinv2://``
            name. Defaults to the config's ``load_from``, then to its ``init_cfg``.
        input_size (tuple[int, int], optional): (h, w) in px of pictures. Defaults to
            the crop that a segmentor is trained on, or to the last size in the config's
            test pipeline.

    Raises:
        FileNotFoundError: If the config or the weights do not exist.
        ValueError: If there are no weights.
        RuntimeError: If the weights are of another model.
    """

    def __init__(
        self,
        config: str | Path | dict,
        *,
        weights: str | Path | None = None,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        if isinstance(config, (str, Path)):
            cfg, name = _read(find_config(config)), Path(config).stem
        else:
            cfg = name_types(Config(dict(config)))
            name = Path(cfg.filename).stem if cfg.filename else cfg.model.type
        if cfg.get("model") is None:
            raise ValueError(
                f"{config} has no model in it, expected a config of a model; one of "
                "timm is given by its name there"
            )
        weights = weights or cfg.get("load_from")
        model, classes = _build(cfg, name, weights)
        backbone = getattr(model, "backbone", model)
        self.fault = ""  # why there are no logits
        num_classes = None
        if not (weights or _is_pretrained(getattr(model, "init_cfg", None))):
            self.fault = "its weights are of a backbone alone"
        elif isinstance(model, ImageClassifier):
            num_classes = self._find_linear(model)
        elif hasattr(model, "decode_head"):
            num_classes, self.answer = _decoder(model).out_channels, "decode_head"
        else:
            self.fault = f"it is a {type(model).__name__}"
        size = input_size or _size(cfg)
        norm = cfg.model.get("data_preprocessor") or cfg.get("data_preprocessor") or {}
        whole = model if num_classes else backbone
        super().__init__(
            whole,
            kind="config",
            name=name,
            input_size=(int(size[0]), int(size[1])),
            channels=_channels(backbone, name),
            num_classes=num_classes,
            classes=classes if len(classes) == num_classes else None,
            mean=norm.get("mean") or (0, 0, 0),
            std=norm.get("std") or (1, 1, 1),
            rgb=bool(norm.get("to_rgb") or norm.get("bgr_to_rgb")),
        )

    def _find_linear(self, model: ImageClassifier) -> int | None:
        pooled = type(model.neck).__name__ == "GlobalAveragePooling"
        fc, aux = (getattr(model.head, name, None) for name in ("fc", "aux"))
        if isinstance(aux, nn.Linear):
            self.answer = "head.aux, which was trained on tokens"
            return aux.out_features
        if pooled and isinstance(fc, nn.Linear):
            return fc.out_features
        self.fault = (
            f"its {type(model.head).__name__} is no linear layer on the mean of tokens"
        )
        return None

    @property
    def _backbone(self) -> nn.Module:
        return self.model.backbone if self.num_classes else self.model

    def _features(self, images: Tensor) -> Tensor:
        maps = self._backbone(images)
        last = maps[-1] if isinstance(maps, (list, tuple)) else maps
        if not isinstance(last, Tensor) or last.ndim != 4:
            raise ValueError(
                f"teacher {self.identity['name']}: its {type(self._backbone).__name__} "
                "gives no map of features; take another model"
            )
        return last

    def _logits(self, images: Tensor) -> Tensor:
        if self.fault:
            self._refuse_logits(self.fault)
        if hasattr(self.model, "decode_head"):
            logits = self.model._forward(images)
            if not isinstance(logits, Tensor) or logits.ndim != 4:
                kind = type(_decoder(self.model)).__name__
                self._refuse_logits(f"its {kind} gives no map of them")
            return logits
        features = self._features(images)
        tokens, head = to_tokens(features), self.model.head
        if isinstance(getattr(head, "aux", None), nn.Linear):
            return to_map(head.aux(tokens), (features.shape[2], features.shape[3]))
        logits = logits_of_tokens(
            tokens, head.fc, None, lambda: head((self.model.neck(features),))
        )
        return to_map(logits, (features.shape[2], features.shape[3]))


def _read(file: str | Path) -> Config:
    try:
        return read_config(file)
    except Exception as error:  # whatever the code in it raises
        raise ValueError(
            f"{file} cannot be read as a config: {type(error).__name__}: {error}"
        ) from error


def _build(
    cfg: Config, name: str, weights: str | Path | None
) -> tuple[Any, Sequence[str]]:
    """The model with its weights, and names of classes as far as they are known."""
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        settings = dict(cfg.model)
        if cfg.get("default_scope") == "mmpretrain":
            settings.pop("train_cfg", None)  # mixup and the like
        model = MMENGINE_MODELS.build(settings)
        if weights and without_weights():
            return model, _classes(cfg)
        if weights:
            classes = load_trained_weights(model, weights).get("classes")
            return model, classes or _classes(cfg)
        parts = [model, getattr(model, "backbone", None)]
        parts = [p for p in parts if _is_pretrained(getattr(p, "init_cfg", None))]
        if not parts:
            raise ValueError(
                f"the teacher {name} has no weights: give a checkpoint trained with "
                "this config, or an init_cfg of type Pretrained in it"
            )
        initialize(parts[0], parts[0].init_cfg)
        return model, _classes(cfg)


def _classes(cfg: Config) -> Sequence[str]:
    """Names that the config's data set has without looking at its files."""
    dataset = (cfg.get("test_dataloader") or {}).get("dataset")
    if dataset is None:
        return ()
    kind = DATASETS.get(dataset["type"])
    meta = {**getattr(kind, "METAINFO", {}), **(dataset.get("metainfo") or {})}
    return meta.get("classes") or ()


def _is_pretrained(init_cfg: object) -> bool:
    kinds = ("Pretrained", PretrainedInit)
    return isinstance(init_cfg, dict) and init_cfg.get("type") in kinds


def _decoder(model: Any) -> Any:
    """Of a cascade the last."""
    head = model.decode_head
    return head[-1] if isinstance(head, nn.ModuleList) else head


def _channels(backbone: Any, name: str) -> int:
    """Of the last map, found without running the model where it is ours."""
    if hasattr(backbone, "embed_dims") and hasattr(backbone, "out_indices"):
        return backbone.embed_dims * 2 ** max(backbone.out_indices)
    for attribute in ("num_features", "feat_dim", "out_channels"):
        value = getattr(backbone, attribute, None)
        if isinstance(value, (list, tuple)):
            value = value[-1]
        if isinstance(value, int):
            return value
    raise ValueError(
        f"the teacher {name} has a {type(backbone).__name__}, which does not tell how "
        "many channels it has; take a model with a backbone of ours, or one of timm"
    )


def _size(cfg: Config) -> tuple[int, int]:
    """(h, w) of what a segmentor is trained on, or of the end of the test pipeline."""
    crop = (cfg.model.get("data_preprocessor") or {}).get("size")
    if crop is not None:
        return tuple(crop)
    dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
    for step in reversed(dataset.get("pipeline") or ()):
        size = next((step[key] for key in SIZES if step.get(key) is not None), None)
        if isinstance(size, int):
            return size, size
        if isinstance(size, (list, tuple)) and len(size) == 2:
            if step.get("keep_ratio"):  # the longer and the shorter side at most
                return min(size), min(size)
            # 'scale' is (w, h) in all of the frameworks, others are (h, w)
            return tuple(reversed(size)) if step.get("scale") else tuple(size)
    return 224, 224
