"""How long one thread takes to load a training picture, with a config's own pipeline.

The picture is drawn, of the usual size of its set and about as many bytes: decoding
costs what pixels and bytes cost, whatever they show.
"""

from __future__ import annotations

import io
import platform
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from PIL import Image

from .run_data import DataSet, data_set
from .training_batch import training_pipeline

OBJECTS = 7  # of a picture of COCO, on average
ROUNDS = 40  # crops and sizes are drawn anew in each


def draw_picture(known: DataSet, seed: int = 0) -> bytes:
    """A JPEG of a size and about of a number of bytes.

    Args:
        known (DataSet): Whose pictures it stands for.
        seed (int): Of what is drawn. Defaults to 0.
    """
    width, height = known.side
    generator = np.random.default_rng(seed)
    scene = np.zeros((height, width, 3))
    for cells in (3, 9, 27, 81):  # coarse shapes down to grain
        coarse = generator.normal(0, 128 / cells**0.7, (cells, cells, 3))
        fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        scene = scene + fine
    scene += generator.normal(128, 6, scene.shape)
    picture = Image.fromarray(scene.clip(0, 255).astype(np.uint8))
    files = []
    for quality in range(30, 100):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        files.append(buffer.getvalue())
    return min(files, key=lambda file: abs(len(file) - known.size))


def _sample(scope: str, path: Path, size: tuple[int, int]) -> dict:
    """What a dataset hands to its pipeline."""
    width, height = size
    labels = path.with_suffix(".png")
    rows = np.arange(height * width).reshape(height, width) * 10 // (height * width)
    Image.fromarray(rows.astype(np.uint8)).save(labels)
    common = dict(img_path=str(path), height=height, width=width, img_id=0)
    if scope == "mmpretrain":
        return dict(common, gt_label=0)
    common["seg_map_path"] = str(labels)
    if scope == "mmseg":
        return dict(common, label_map=None, reduce_zero_label=True, seg_fields=[])
    instances = []
    for i in range(OBJECTS):
        x, y = width * i // (OBJECTS + 3), height * i // (OBJECTS + 3)
        right, low = x + width // 4, y + height // 4
        corners = [float(n) for n in (x, y, right, y, right, low, x, low)]
        instances.append(
            dict(bbox=[x, y, right, low], bbox_label=0, mask=[corners], ignore_flag=0)
        )
    return dict(common, instances=instances)


def seconds_per_picture(cfg: Config) -> float:
    """Processor time of one thread for a training picture, decoding included.

    Args:
        cfg (Config): With a pipeline of single pictures, on a set that is known.

    Raises:
        ValueError: If the set is not known, or its pictures are clips or need files of
            their own.
    """
    known, scope = data_set(cfg), cfg.default_scope
    pipeline = training_pipeline(cfg)
    kinds = [str(transform["type"]).split(".")[-1] for transform in pipeline]
    if known is None or not kinds or kinds[0] != "LoadImageFromFile":
        raise ValueError(
            "loading is measured for pictures of a published set, in a pipeline that "
            f"begins with LoadImageFromFile; this one has {', '.join(kinds[:2])}"
        )
    init_default_scope(scope)
    cv2_threads, torch_threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture.jpg"
            path.write_bytes(draw_picture(known))
            load = Compose(pipeline)
            sample = _sample(scope, path, known.side)
            times = []
            for _ in range(ROUNDS):
                start = time.process_time()
                load(dict(sample))
                times.append(time.process_time() - start)
    finally:
        cv2.setNumThreads(cv2_threads)
        torch.set_num_threads(torch_threads)
    return statistics.mean(times[1:])  # the first one opens what the others find


def processor() -> str:
    """The processor's name, as the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    name = fields.get("model name") or platform.processor() or platform.machine()
    family = fields.get("cpu family")
    return f"{name}, family {family}" if family else name
