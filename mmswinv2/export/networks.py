"""What exported files compute: one picture in, what is found in it out."""
# H W the picture in px, H' W' the map of labels in px, h w maps of features, C channels

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .preparation import Preparation
from .sliding import slide

BYTE_LABELS = 256  # classes of whose labels each is one byte


class Exported(nn.Module):
    """A network that takes a picture as it is read from a file.

    ``forward`` takes ``image``, RGB ``(H, W, 3)`` of 8 bits, and what else
    ``input_names`` names; it returns a tuple of what ``output_names`` names.

    Args:
        preprocessor (Mapping): ``data_preprocessor`` of the config.
    """

    task: str
    input_names: tuple[str, ...] = ("image",)
    output_names: tuple[str, ...]

    @property
    def translations(self) -> Mapping[Callable, Callable]:
        """Of own operators, for ONNX."""
        return {}

    def __init__(self, preprocessor: Mapping) -> None:
        super().__init__()
        self.prepare = Preparation(preprocessor)

    def more_inputs(self) -> tuple[Tensor, ...]:
        """Values of the inputs after ``image`` where nothing else is wished."""
        return ()

    def facts(self) -> dict:
        """What readers of its outputs need beside names and colours."""
        return {}


class ExportedBackbone(Exported):
    """Gives feature maps ``stage0``, ...: ``(1, C, h, w)`` of the padded picture.

    Args:
        backbone (nn.Module): With ``out_indices``, as the hosts' backbones have them.
        preprocessor (Mapping): ``data_preprocessor`` of the config.
    """

    task = "features"

    def __init__(self, backbone: Any, preprocessor: Mapping) -> None:
        super().__init__(preprocessor)
        self.backbone: Any = backbone
        stages = getattr(backbone, "out_indices", None)
        if stages is None:
            raise ValueError(
                f"the backbone {type(backbone).__name__} does not tell the stages that "
                "it gives (out_indices), which name what its file gives"
            )
        self.output_names = tuple(f"stage{stage}" for stage in stages)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        return tuple(self.backbone(self.prepare(image)))


class ExportedSegmentor(Exported):
    """Gives ``labels``: the class of every pixel, ``(H', W')``.

    They are uint8, and int32 for more than 256 classes. The second input ``size``, two
    int64, says H' and W', to which scores are resized as MMSegmentation does it to the
    size of the file; zeros stand for H and W.

    Args:
        model (nn.Module): Of MMSegmentation.
        preprocessor (Mapping): ``data_preprocessor`` of the config.
    """

    task = "segmentation"
    input_names = ("image", "size")
    output_names = ("labels",)

    def __init__(self, model: Any, preprocessor: Mapping) -> None:
        super().__init__(preprocessor)
        self.model: Any = model

    def more_inputs(self) -> tuple[Tensor, ...]:
        """See :class:`Exported`."""
        return (torch.zeros(2, dtype=torch.int64),)

    def forward(self, image: Tensor, size: Tensor) -> tuple[Tensor]:
        """See the class."""
        height, width = image.shape[:2]
        scores = self._scores(self.prepare(image))[..., :height, :width]
        own = [torch.scalar_tensor(n, dtype=torch.int64) for n in (height, width)]
        wished = torch.where(size > 0, size, torch.stack(own)).tolist()
        for length in wished:  # numbers that only the run knows
            torch._check(length > 0)
        scores = F.interpolate(
            scores,
            size=wished,
            mode="bilinear",
            align_corners=self.model.align_corners,
        )
        if scores.shape[1] == 1:
            threshold = self.model.decode_head.threshold
            return ((scores[0, 0].sigmoid() > threshold).to(torch.uint8),)
        few = scores.shape[1] <= BYTE_LABELS
        return (scores.argmax(1)[0].to(torch.uint8 if few else torch.int32),)

    def _scores(self, x: Tensor) -> Tensor:
        """``(1, 3, h, w)`` -> ``(1, classes, h, w)``."""
        test = self.model.test_cfg
        if test.get("mode", "whole") == "slide":
            return slide(self._whole, x, crop=test.crop_size, stride=test.stride)
        return self._whole(x)

    def _whole(self, x: Tensor) -> Tensor:
        return self.model.encode_decode(x, [dict(img_shape=x.shape[2:])] * len(x))


class ExportedClassifier(Exported):
    """Gives ``scores``: ``(classes,)``, of a picture as the test pipeline crops it.

    Args:
        model (nn.Module): Of mmpretrain.
        preprocessor (Mapping): ``data_preprocessor`` of the config.
    """

    task = "classification"
    output_names = ("scores",)

    def __init__(self, model: Any, preprocessor: Mapping) -> None:
        super().__init__(preprocessor)
        self.model: Any = model

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """See the class."""
        features = self.model.extract_feat(self.prepare(image))
        return (self.model.head.predict(features)[0].pred_score,)
