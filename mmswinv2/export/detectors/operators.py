"""NMS and RoIAlign: mmcv's in torch, ONNX's own in a file."""
# n boxes, k kept, C channels, h w sides of maps

from collections.abc import Callable
from typing import Any

import torch
from mmcv import ops
from torch import Tensor


@torch.library.custom_op("mmswinv2::nms", mutates_args=())
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices ``(k,)`` of boxes that no better one overlaps, the best first.

    Args:
        boxes (Tensor): ``(n, 4)`` left, top, right, bottom.
        scores (Tensor): ``(n,)``.
        iou_threshold (float): Boxes that overlap more than so leave only the best.
    """
    return ops.nms(boxes, scores, iou_threshold)[1]


@nms.register_fake
def _(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    number = torch.library.get_ctx().new_dynamic_size()
    return boxes.new_empty(number, dtype=torch.int64)


@torch.library.custom_op("mmswinv2::roi_align", mutates_args=())
def roi_align(
    values: Tensor,
    boxes: Tensor,
    height: int,
    width: int,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Means of a map in the bins of boxes, ``(n, C, height, width)``.

    Args:
        values (Tensor): ``(1, C, h, w)``.
        boxes (Tensor): ``(n, 4)`` in px of the image.
        height (int): Bins.
        width (int): Bins.
        scale (float): px of the map per px of the image.
        sampling_ratio (int): Points per bin and axis; 0 for as many as it has px.
        aligned (bool): Whether px have their centre at 0.5.
    """
    regions = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], 1)  # of image 0
    return ops.roi_align(
        values, regions, (height, width), scale, sampling_ratio, "avg", aligned
    )


@roi_align.register_fake
def _(
    values: Tensor,
    boxes: Tensor,
    height: int,
    width: int,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    return values.new_empty(boxes.shape[0], values.shape[1], height, width)


def translations() -> dict[Callable, Callable]:
    """``custom_translation_table`` of :func:`torch.onnx.export`; needs onnxscript."""
    from onnxscript import opset18 as op

    def to_nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
        every = 2**63 - 1  # as many boxes as there are
        kept = op.NonMaxSuppression(  # rows of (image, class, box)
            op.Unsqueeze(boxes, [0]),
            op.Unsqueeze(scores, [0, 1]),
            every,
            iou_threshold,
        )
        return op.Reshape(op.Slice(kept, [2], [3], [1]), [-1])

    def to_roi_align(
        values: Any,
        boxes: Any,
        height: int,
        width: int,
        scale: float,
        sampling_ratio: int,
        aligned: bool,
    ) -> Any:
        number = op.Shape(boxes, start=0, end=1)
        return op.RoiAlign(
            values,
            boxes,
            op.Expand(op.Constant(value_ints=[0]), number),  # of image 0
            coordinate_transformation_mode=(
                "half_pixel" if aligned else "output_half_pixel"
            ),
            output_height=height,
            output_width=width,
            sampling_ratio=sampling_ratio,
            spatial_scale=scale,
        )

    return {
        torch.ops.mmswinv2.nms.default: to_nms,
        torch.ops.mmswinv2.roi_align.default: to_roi_align,
    }
