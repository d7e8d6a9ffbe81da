"""A whole detector: an image in, boxes out."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dense import dense_boxes
from .regions import region_boxes, region_masks


class ExportedDetector(nn.Module):
    """A detector from pixels to boxes."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector
        pre = detector.data_preprocessor
        self.register_buffer("mean", pre.mean.view(1, -1, 1, 1))
        self.register_buffer("std", pre.std.view(1, -1, 1, 1))
        self.divisor = pre.pad_size_divisor

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        x = image.permute(2, 0, 1)[None].float()
        x = (x - self.mean) / self.std
        height, width = image.shape[:2]
        x = F.pad(x, (0, -width % self.divisor, 0, -height % self.divisor))
        size = torch.tensor([height, width], dtype=torch.float32)
        detector = self.detector
        maps = detector.extract_feat(x)
        if not hasattr(detector, "roi_head"):
            head = detector.bbox_head
            return dense_boxes(head, maps, size, head.test_cfg, by_level=False)
        rpn = detector.rpn_head
        boxes, *_ = dense_boxes(rpn, maps, size, rpn.test_cfg, by_level=True)
        head = detector.roi_head
        boxes, scores, labels = region_boxes(head, maps, boxes, size)
        if not head.with_mask:
            return boxes, scores, labels
        return boxes, scores, labels, region_masks(head, maps, boxes, labels)
