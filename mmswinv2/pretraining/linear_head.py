"""A linear classifier that takes over the classifier of other weights."""
# K classes, C channels

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import mmpretrain.models
import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from mmswinv2.registry import MODELS

IN1K, IN22K = 1000, 21841  # classes
MAP_FILE = Path(__file__).with_name("in22k_to_in1k.txt")


def in22k_to_in1k() -> Tensor:
    """The class of ImageNet-22K that each class of ImageNet-1K is, ``(1000,)``."""
    return torch.from_numpy(np.loadtxt(MAP_FILE, dtype=np.int64))


@MODELS.register_module()
class LinearClsHead(mmpretrain.models.LinearClsHead):
    """mmpretrain's linear head, which adapts classifiers of other classes it loads.

    As the official code does: of ImageNet-22K's 21841 classes it takes those of
    ImageNet-1K where it has 1000; where numbers of classes differ otherwise, it starts
    from zero, with a warning.

    Args:
        num_classes (int): Number of classes, K.
        in_channels (int): Channels of the feature, C.
        init_cfg (dict, optional): Defaults to the official initialisation, a normal
            distribution of deviation 0.02, cut at two deviations.
        **kwargs (Any): Of mmpretrain's head, such as ``loss``.

    Attributes:
        untrained (str): Why the weights that were loaded last left the head untrained;
            empty where they did not.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        init_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        init_cfg = init_cfg or dict(type="TruncNormal", layer="Linear", std=0.02)
        super().__init__(num_classes, in_channels, init_cfg, **kwargs)
        self.untrained = ""

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest: Any) -> None:
        """Fit the rows of a classifier to the classes of this one, in place."""
        names = [f"{prefix}fc.weight", f"{prefix}fc.bias"]
        given = [state_dict[name] for name in names if name in state_dict]
        self.untrained = ""
        if len(given) == 2 and len(given[0]) != self.num_classes:
            classes = len(given[0])
            if (classes, self.num_classes) == (IN22K, IN1K):
                rows = in22k_to_in1k()
                fitted = [tensor[rows.to(tensor.device)] for tensor in given]
                text = f"{IN1K} of the {IN22K} classes of ImageNet-22K taken over"
                print_log(f"Classifier: {text}", "current")
            else:
                fitted = [t.new_zeros(self.num_classes, *t.shape[1:]) for t in given]
                self.untrained = (
                    f"its classifier has {classes} classes, this one "
                    f"{self.num_classes} (model.head.num_classes)"
                )
                text = f"{self.untrained}: it starts from zero"
                print_log(f"Loading weights: {text}", "current", logging.WARNING)
            state_dict.update(zip(names, fitted))
        super()._load_from_state_dict(state_dict, prefix, *rest)
