"""The largest batch that a config trains with, and one made up of that size."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mmswinv2.models.blocks import PATCH_SIZE

# Objects per image, a crowded one. RoI heads take up to 128 positive boxes of an image,
# and every object is one; transformer heads compare the masks of all objects.
ROI_OBJECTS, OBJECTS = 100, 20
LABEL_MAP = (5, 18, 18)  # the likeliest classes of the published label maps


def image_size(cfg: Config) -> tuple[int, ...]:
    """(height, width) in px of the largest images that the training pipeline gives.

    Of clips it is (frames, height, width).

    Raises:
        ValueError: If no transform in it sets a size.
    """
    pipeline = training_pipeline(cfg)
    frames = [t["clip_len"] for t in pipeline if _kind(t) == "SampleFrames"]
    size = _run(pipeline, None)
    if size is None:
        raise ValueError(
            "the training pipeline has no transform that sets the size of images; give "
            "it with --image-size HEIGHT WIDTH"
        )
    divisor = cfg.model.get("data_preprocessor", {}).get("pad_size_divisor") or 1
    return *frames, *(-(-int(length) // divisor) * divisor for length in size)


def training_pipeline(cfg: Config) -> list[dict]:
    """Transforms of a config's training pictures."""
    dataset = cfg.train_dataloader.dataset
    while "pipeline" not in dataset and "dataset" in dataset:
        dataset = dataset["dataset"]  # of a wrapper such as RepeatDataset
    return dataset.get("pipeline", cfg.get("train_pipeline", []))


def _kind(transform: dict) -> str:
    """Its name without a scope."""
    return transform["type"].split(".")[-1]


def _run(pipeline: list[dict], size: tuple | None) -> tuple | None:
    """(height, width) after the transforms of a pipeline, at most."""
    for transform in pipeline:
        kind = _kind(transform)
        if kind == "RandomChoice":
            sizes = [_run(branch, size) for branch in transform["transforms"]]
            size = max((s for s in sizes if s), key=lambda s: s[0] * s[1], default=size)
        elif kind == "RandomResizedCrop":
            scale = transform["scale"]  # a side, or width and height
            size = (scale, scale) if isinstance(scale, int) else tuple(scale)[::-1]
        elif kind in ("RandomResizedCropClip", "CenterCropClip"):
            size = (transform["size"],) * 2
        elif kind in ("ResizeEdge", "ResizeClip"):
            size = None  # the other edge is as the picture has it
        elif "Resize" in kind:
            scales = transform.get("scales") or transform.get("scale")
            if isinstance(scales, int):
                scales = (scales, scales)
            scales = scales if isinstance(scales[0], (list, tuple)) else [scales]
            width, height = max(scales, key=lambda scale: scale[0] * scale[1])
            if transform.get("keep_ratio") or kind == "RandomChoiceResize":
                height, width = sorted((height, width))  # a landscape photo
            ratio = max(transform.get("ratio_range", (1, 1)))
            size = (height * ratio, width * ratio)
        elif "Crop" in kind and transform.get("crop_type", "absolute") == "absolute":
            crop = transform["crop_size"]  # smaller images are padded to it
            size = (crop, crop) if isinstance(crop, int) else tuple(crop)
        elif kind == "Pad" and transform.get("size"):
            size = tuple(transform["size"])[::-1]
    return size


def make_batch(
    cfg: Config, batch: int, size: tuple[int, ...], device: str = "cpu"
) -> tuple[Tensor, list]:
    """Images and their annotations, as the data preprocessor hands them to a model.

    Args:
        cfg (Config): Of the model.
        batch (int): Images or clips.
        size (tuple[int, ...]): (height, width) in px, or (frames, height, width).
        device (str): Of all tensors. Defaults to 'cpu'.

    Returns:
        tuple[Tensor, list]: ``(B, 3, *size)`` and the data samples.
    """
    images = torch.zeros(batch, 3, *size, device=device)
    make = SAMPLES[cfg.default_scope]
    return images, [make(cfg, size).to(device) for _ in range(batch)]


def _meta(size: tuple[int, int]) -> dict:
    shapes = ("img_shape", "ori_shape", "pad_shape", "batch_input_shape")
    return dict.fromkeys(shapes, size) | {"scale_factor": (1.0, 1.0), "img_id": 0}


def _make_det_sample(cfg: Config, size: tuple[int, int]) -> object:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import PolygonMasks

    height, width = size
    objects = ROI_OBJECTS if "roi_head" in cfg.model else OBJECTS
    generator = torch.Generator().manual_seed(0)
    centre = torch.rand(objects, 2, generator=generator) * torch.tensor((width, height))
    half = 8 * 2 ** (3 * torch.rand(objects, 2, generator=generator))  # 16 to 128 px
    low = (centre - half).clamp(min=0)
    high = torch.minimum(centre + half, torch.tensor((width, height)))
    boxes = torch.cat((low, high), 1)
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].double().numpy()
    sample = DetDataSample(metainfo=_meta(size))
    sample.gt_instances = InstanceData(
        bboxes=boxes,
        labels=torch.zeros(objects, dtype=torch.long),
        masks=PolygonMasks([[polygon] for polygon in corners], height, width),
    )
    sample.gt_sem_seg = PixelData(sem_seg=torch.zeros(1, height, width).long())
    sample.ignored_instances = InstanceData(bboxes=boxes[:0], labels=torch.zeros(0))
    return sample


def _make_seg_sample(cfg: Config, size: tuple[int, int]) -> object:
    from mmseg.structures import SegDataSample

    labels = torch.zeros(1, *size, dtype=torch.long)
    bands = labels.view(1, *size).split(max(size[0] // 16, 1), dim=1)
    classes = min(cfg.model.decode_head.num_classes, 16)
    for label, band in enumerate(bands[:classes]):
        band.fill_(label)  # crops of ADE20K have about ten
    sample = SegDataSample(metainfo=_meta(size))
    sample.gt_sem_seg = PixelData(data=labels)
    return sample


def _make_cls_sample(cfg: Config, size: tuple[int, ...]) -> object:
    from mmpretrain.structures import DataSample

    # a label for a classifier, a mask for SimMIM, a published map for Token Labeling
    tokens = [-(-length // PATCH_SIZE) for length in size[-2:]]
    sample = DataSample().set_gt_label(0).set_mask(torch.ones(tokens))
    fields = {}
    if cfg.model.get("type") == "mmswinv2.TokenLabelingClassifier":
        names = ("token_label_values", "token_label_ids")
        fields = dict.fromkeys(names, torch.zeros(LABEL_MAP))
    if store := cfg.model.get("store"):  # of features to distil
        maps = json.loads(Path(store, "manifest.json").read_text())
        shape = (maps["channels"], *maps["grid"])
        fields["teacher_features"] = torch.zeros(shape, dtype=torch.float16)
    for name, value in dict(fields, geometry=torch.eye(2, 3)).items():
        sample.set_field(value, name)
    return sample


SAMPLES = dict(
    mmdet=_make_det_sample, mmseg=_make_seg_sample, mmpretrain=_make_cls_sample
)
