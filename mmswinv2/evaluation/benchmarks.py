"""Test sets beside a config's own: where they lie, and how a config predicts them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config, ConfigDict

from .unlabelled import test_set, without_labels


class Split(NamedTuple):
    """Where the images of a split lie.

    Attributes:
        root (str): Folder of the data by default.
        images (str): Folder of the images in it.
        ann_file (str | None): COCO's list of the images.
    """

    root: str
    images: str
    ann_file: str | None = None


class Benchmark(NamedTuple):
    """A benchmark with a server.

    Attributes:
        splits (dict[str, Split]): The test set first.
        metric (str): Class of the evaluator that writes the predictions, in any scope.
        server (str): Where they go, and when that last worked.
    """

    splits: dict[str, Split]
    metric: str
    server: str


def _coco(prefix: str) -> dict[str, Split]:
    test, val = f"{prefix}image_info_test-dev2017", f"{prefix or 'instances_'}val2017"
    return {
        "test-dev2017": Split("data/coco", "test2017", f"annotations/{test}.json"),
        "val2017": Split("data/coco", "val2017", f"annotations/{val}.json"),
    }


_COCO_SERVERS = (
    "none is known to accept since January 2026: CodaLab's{ids} were switched off or "
    "have submissions disabled, and no successor was open in April 2026; report "
    "val2017 until then"
)
BENCHMARKS = {
    "coco": Benchmark(
        _coco(""),
        "CocoMetric",
        _COCO_SERVERS.format(ids=" (7384 boxes, 7383 masks)"),
    ),
    "coco-panoptic": Benchmark(
        _coco("panoptic_"), "CocoPanopticMetric", _COCO_SERVERS.format(ids="")
    ),
    "ade20k": Benchmark(
        {
            "testing": Split("data/ade/release_test", "testing"),
            "validation": Split("data/ade/ADEChallengeData2016", "images/validation"),
        },
        "IoUMetric",
        "http://sceneparsing.csail.mit.edu/eval/ (with long outages; its state in 2026 "
        "is not known)",
    ),
}


# Protocol: the variant, whose archive unpacks to IMAGENET_V2_FOLDER.
IMAGENET_V2 = {
    "v2": "matched-frequency",
    "v2-threshold-0.7": "threshold0.7",
    "v2-top-images": "top-images",
}
IMAGENET_V2_FOLDER = "imagenetv2-{}-format-val"
IMAGENET_V2_IMAGES = 10000
IMAGENET_V2_ROOT = "data/imagenet-v2"


VIEWS = ("ss", "views")  # protocols of videos


def use_imagenet_v2(cfg: Config, protocol: str, root: str | None = None) -> None:
    """Lets a classifier of ImageNet-1K be tested on ImageNet-V2.

    Args:
        cfg (Config): The config, changed in place.
        protocol (str): One of ``IMAGENET_V2``.
        root (str, optional): Folder of the variants. Defaults to data/imagenet-v2.

    Raises:
        ValueError: If it is no classifier of 1000 classes.
    """
    classes = cfg.model.get("head", {}).get("num_classes")
    if cfg.default_scope != "mmpretrain" or classes != 1000:
        raise ValueError(
            f"protocol {protocol} is for classifiers of the 1000 classes of "
            f"ImageNet-1K, but the config has {cfg.model.type}"
            + f" with {classes} classes"
            * (classes is not None)
        )
    cfg.data_root = root or IMAGENET_V2_ROOT
    given = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = ConfigDict(
        type="mmswinv2.ImageNetV2",
        data_root=cfg.data_root,
        data_prefix=IMAGENET_V2_FOLDER.format(IMAGENET_V2[protocol]),
        pipeline=given.pipeline,
        indices=given.get("indices"),
    )


def use_views(cfg: Config, protocol: str, *, of_videos: bool) -> None:
    """Lets a test of videos look at as many views as a protocol says.

    Args:
        cfg (Config): The config, changed in place.
        protocol (str): 'ss', one view, as the config validates; 'views', all of its
            tests.
        of_videos (bool): Whether the model takes videos.

    Raises:
        ValueError: If the protocol is one of pictures, or the model.
    """
    if protocol not in VIEWS or not of_videos:
        kind = "pictures" if of_videos else "videos"
        raise ValueError(
            f"protocol {protocol} is for {kind}, but the config has {cfg.model.type}"
            + f"; take {' or '.join(VIEWS)}" * of_videos
        )
    if protocol == "ss":
        pipeline = cfg.val_dataloader.dataset.pipeline
        cfg.test_dataloader.dataset.pipeline = pipeline


def format_only(
    cfg: Config, benchmark: str, split_name: str, root: Path, out: Path
) -> None:
    """Lets a config predict a split that has no labels, and write instead of score.

    Args:
        cfg (Config): The config, changed in place.
        benchmark (str): One of ``BENCHMARKS``.
        split_name (str): One of its splits.
        root (Path): Folder of the data.
        out (Path): Folder of the predictions.

    Raises:
        ValueError: If the config is of another benchmark.
    """
    split = BENCHMARKS[benchmark].splits[split_name]
    wanted = BENCHMARKS[benchmark].metric
    metrics = cfg.test_evaluator
    metrics = metrics if isinstance(metrics, list) else [metrics]
    metric = next((m for m in metrics if m.type.split(".")[-1] == wanted), None)
    if metric is None:
        given = ", ".join(m.type for m in metrics)
        raise ValueError(f"{benchmark} needs a config with {wanted}, this has {given}")
    dataset = test_set(cfg)
    dataset.data_root = str(root)
    dataset.pipeline = without_labels(dataset.pipeline)
    dataset.pop("indices", None)
    if benchmark == "ade20k":
        dataset.data_prefix = dict(img_path=split.images)
        cfg.test_evaluator = ConfigDict(
            type=metric.type, format_only=True, output_dir=str(out)
        )
        return
    dataset.ann_file = split.ann_file
    dataset.data_prefix = {**dataset.data_prefix, "img": f"{split.images}/"}
    options = {k: v for k, v in metric.items() if k in ("metric", "proposal_nums")}
    cfg.test_evaluator = ConfigDict(
        type=metric.type,
        **options,
        ann_file=str(root / f"{split.ann_file}"),
        format_only=True,
        outfile_prefix=str(out / "results"),
    )
