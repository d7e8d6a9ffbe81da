"""The backbone with two heads that know nothing of position themselves."""
# B pictures, C classes, H W map in tokens of 4 px, S side of a picture in px

import torch
import torch.nn.functional as F
from mmcv.ops import batched_nms
from torch import Tensor, nn

from mmswinv2.models import SwinTransformerV2

STRIDE = 4  # px per token of the finest map


class Net(nn.Module):
    """Segmentation and detection from one fused map.

    All layers after the backbone look at single tokens (1 x 1 convolutions, no zero
    padding), so that position can only come from the backbone. Box sides are
    regressed as fractions of the picture: a larger resolution does not make the
    regression wrong by itself.

    Args:
        backbone (SwinTransformerV2): With all stages as outputs.
        num_classes (int): Number of classes C, background first.
        channels (int): Of the fused map. Defaults to 64.
    """

    def __init__(
        self, backbone: SwinTransformerV2, num_classes: int, channels: int = 64
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.laterals = nn.ModuleList(
            nn.Conv2d(backbone.embed_dims * 2**i, channels, 1)
            for i in backbone.out_indices
        )
        self.segment = nn.Conv2d(channels, num_classes, 1)
        self.classify = nn.Conv2d(channels, num_classes - 1, 1)
        self.regress = nn.Conv2d(channels, 4, 1)
        nn.init.constant_(self.classify.bias, -3.0)  # few tokens lie in any object
        nn.init.constant_(self.regress.bias, -2.5)  # exp(-2.5) is a usual radius

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of px ``(B, C, S, S)`` and tokens ``(B, C - 1, H, W)``, and boxes.

        Boxes ``(B, 4, H, W)`` are (left, top, right, bottom) in sides of the picture.
        """
        maps = self.backbone(image)
        laterals = [layer(x) for layer, x in zip(self.laterals, maps)]
        size = laterals[0].shape[2:]
        fused = F.gelu(sum(F.interpolate(x, size=size) for x in laterals))
        segment = F.interpolate(
            self.segment(fused), scale_factor=STRIDE, mode="bilinear"
        )
        x, y = token_centres(size[0], image.device)
        left, top, right, bottom = self.regress(fused).exp().unbind(1)
        boxes = torch.stack((x - left, y - top, x + right, y + bottom), dim=1)
        return segment, self.classify(fused), boxes


def token_centres(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Their x ``(1, count)`` and y ``(count, 1)``, in sides of the picture."""
    at = (torch.arange(count, device=device) + 0.5) / count
    return at[None, :], at[:, None]


def targets(boxes: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """What every token is to predict: that of the object whose box holds its centre.

    Args:
        boxes (Tensor): Centre and radii, ``(B, K, 4)``; they do not overlap.
        labels (Tensor): Classes, 0 for an absent object, ``(B, K)``.
        count (int): Tokens along a side of the map.

    Returns:
        tuple[Tensor, Tensor]: Classes ``(B, H, W)``, 0 for none, and corners
        ``(B, 4, H, W)``.
    """
    at_x, at_y = token_centres(count, boxes.device)
    x, y, rx, ry = boxes[..., None, None].unbind(2)
    inside = ((at_x - x).abs() < rx) & ((at_y - y).abs() < ry)
    inside &= (labels > 0)[..., None, None]  # (B, K, H, W)
    owner = inside.int().argmax(1)  # (B, H, W)
    corners = torch.cat(
        (boxes[..., :2] - boxes[..., 2:], boxes[..., :2] + boxes[..., 2:]), -1
    )
    batch = torch.arange(len(boxes), device=boxes.device)[:, None, None]
    return labels[batch, owner] * inside.any(1), corners[batch, owner].permute(
        0, 3, 1, 2
    )


def loss(
    outputs: tuple[Tensor, Tensor, Tensor],
    label_map: Tensor,
    boxes: Tensor,
    labels: Tensor,
) -> Tensor:
    """Cross entropy of px, plus focal loss of tokens, plus IoU loss of their boxes."""
    segment, logits, predicted = outputs
    classes, corners = targets(boxes, labels, logits.shape[-1])
    one_hot = F.one_hot(classes, logits.shape[1] + 1)[..., 1:].permute(0, 3, 1, 2)
    error = (one_hot - logits.sigmoid()).abs()
    bce = F.binary_cross_entropy_with_logits(logits, one_hot.float(), reduction="none")
    found = classes > 0
    number = found.sum().clamp(min=1)
    focal = (error**2 * bce).sum() / number
    overlap = (1 - box_iou(predicted, corners))[found].sum() / number
    return F.cross_entropy(segment, label_map) + focal + overlap


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """Overlap of boxes one by one, corners ``(B, 4, ...)`` -> ``(B, ...)``."""
    low = torch.maximum(a[:, :2], b[:, :2])
    high = torch.minimum(a[:, 2:], b[:, 2:])
    both = (high - low).clamp(min=0).prod(1)
    areas = ((x[:, 2:] - x[:, :2]).prod(1) for x in (a, b))
    return both / (sum(areas) - both).clamp(min=1e-6)


@torch.no_grad()
def detections(logits: Tensor, boxes: Tensor, keep: int = 100) -> list[Tensor]:
    """The surest boxes of every picture after suppression of overlaps above 0.5.

    Returns:
        list[Tensor]: Rows (left, top, right, bottom, score, class), per picture.
    """
    found = []
    for score, box in zip(logits.sigmoid().flatten(2), boxes.flatten(2)):
        values, order = score.flatten().topk(min(5 * keep, score.numel()))
        label, token = order // score.shape[1], order % score.shape[1]
        rows, kept = batched_nms(
            box[:, token].T.contiguous(),
            values,
            label,
            dict(type="nms", iou_threshold=0.5),
        )
        found.append(torch.cat((rows, label[kept, None] + 1.0), dim=1)[:keep])
    return found
