"""How many pictures a config trains on, and what they are read from."""

from __future__ import annotations

from dataclasses import dataclass

from mmengine.config import Config


@dataclass(frozen=True)
class DataSet:
    """A training set as it is published.

    Attributes:
        label (str): Its name.
        pictures (int): Of its training set; of videos, clips.
        size (int): Bytes of one as a file, mean.
        side (tuple[int, int]): Usual width and height in px.
    """

    label: str
    pictures: int
    size: int
    side: tuple[int, int]


# By what is in the data_root of our configs; the first that is counts. Sizes are the
# published archives over their pictures: 19 GB, 148 GB, 1.31 TB; of ADE20K and
# Kinetics-400 estimates. COCO without its 1021 pictures that have no object.
SETS = {
    "imagenet22k": DataSet("ImageNet-22K", 14_197_122, 92_000, (500, 375)),
    "imagenet": DataSet("ImageNet-1K", 1_281_167, 115_000, (500, 375)),
    "coco": DataSet("COCO", 117_266, 163_000, (640, 480)),
    "ade": DataSet("ADE20K", 20_210, 45_000, (683, 512)),
    "kinetics400": DataSet("Kinetics-400", 240_436, 1_700_000, (340, 256)),
}


def data_set(cfg: Config) -> DataSet | None:
    """The published set that a config trains on, by its data_root."""
    node = cfg.train_dataloader.dataset
    while "dataset" in node and "data_root" not in node:
        node = node["dataset"]
    root = str(node.get("data_root") or cfg.get("data_root") or "").lower()
    parts = root.replace("\\", "/").split("/")
    return next((known for key, known in SETS.items() if key in parts), None)


def step_pictures(cfg: Config, gpus: int) -> int:
    """Pictures of a step that the recipe wants, on all GPUs.

    Raises:
        ValueError: If they are fewer than there are GPUs.
    """
    own = gpus * cfg.train_dataloader.batch_size
    own *= cfg.optim_wrapper.get("accumulative_counts", 1)
    batch = cfg.get("auto_scale_lr", {}).get("base_batch_size") or own
    if gpus > batch:
        raise ValueError(
            f"--gpus {gpus}: a step of the config has {batch} pictures, so that many "
            "GPUs can share it at most; take fewer, or raise "
            "auto_scale_lr.base_batch_size"
        )
    return batch


def run_pictures(cfg: Config, batch: int, pictures: int | None = None) -> int | None:
    """Pictures that the whole schedule sees, or None where the set is not known.

    Args:
        cfg (Config): With ``train_cfg`` in iterations or epochs.
        batch (int): Pictures of an iteration.
        pictures (int, optional): Of an epoch; else those of a published set.
    """
    schedule = cfg.get("train_cfg") or {}
    if "max_iters" in schedule:
        return schedule["max_iters"] * batch
    known = data_set(cfg)
    pictures = pictures or (known.pictures if known else None)
    if pictures is None or "max_epochs" not in schedule:
        return None
    repeated, node = 1, cfg.train_dataloader.dataset
    while "dataset" in node:
        repeated *= node.get("times", 1)
        node = node["dataset"]
    return schedule["max_epochs"] * pictures * repeated
