"""Draws what a trained detector, segmentor or classifier finds in photos.

Examples:
    >>> python demo/image_demo.py photo.jpg CONFIG WEIGHTS --out-dir out/
    >>> python demo/image_demo.py "photos/*.png" CONFIG WEIGHTS --device cpu
"""

from __future__ import annotations

import argparse
import glob
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled

import cv2
import numpy as np
from mmengine.structures import BaseDataElement

from mmswinv2.apis import build_inferencer
from mmswinv2.cli import console
from mmswinv2.drawing import draw_sample, top_classes
from mmswinv2.inferencers import IMAGE_SUFFIXES

SHOWN = 4  # classes named per image, the largest first


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description="Draw what a trained detector, segmentor or classifier finds."
    )
    parser.add_argument("images", help="a photo, a folder of photos or a quoted glob")
    parser.add_argument("config", help="a config file, or the name of one in configs/")
    parser.add_argument("weights", help="trained weights: a file, URL or name")
    parser.add_argument("--out-dir", default="out", help="default: out")
    parser.add_argument("--device", help="default: a GPU where there is one")
    parser.add_argument(
        "--score-thr",
        type=float,
        default=0.3,
        help="detections below this score are left out (default: 0.3)",
    )
    return parser.parse_args()


def find_images(images: str) -> list[str]:
    """The files that a photo, folder or glob names, sorted.

    Raises:
        FileNotFoundError: There is none.
    """
    if os.path.isfile(images):
        return [images]
    pattern = os.path.join(glob.escape(images), "*")
    found = sorted(glob.glob(pattern if os.path.isdir(images) else images))
    if os.path.isdir(images):
        found = [path for path in found if Path(path).suffix.lower() in IMAGE_SUFFIXES]
    found = [path for path in found if os.path.isfile(path)]
    if not found:
        raise FileNotFoundError(
            f"no image at {images!r}: give a photo, a folder with photos "
            f"({' '.join(sorted(IMAGE_SUFFIXES))}) or a quoted glob"
        )
    return found


def free_path(out_dir: Path, image: str) -> Path:
    """A name for the picture of an image that no file in the folder has."""
    stem = Path(image).stem
    path = out_dir / f"{stem}.jpg"
    count = 1
    while path.exists():
        count += 1
        path = out_dir / f"{stem}_{count}.jpg"
    return path


def read_image(path: str) -> np.ndarray | None:
    """Pixels (H, W, 3) in OpenCV's order BGR, or None where there are none."""
    try:
        content = np.fromfile(path, np.uint8)
        return cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    except (OSError, cv2.error):
        return None


def describe(prediction: BaseDataElement, classes: Sequence[str], score: float) -> str:
    """What was found.

    Objects as '3 person, 1 dog'; classes as 'sky 41%, building 22%' of the area, or, of
    a whole picture, as 'tench 0.93, goldfish 0.02' with their scores.
    """
    if "pred_score" in prediction:
        best = top_classes(prediction, dict(classes=classes))
        return ", ".join(f"{name} {score:.2f}" for _, name, score in best)
    if "pred_sem_seg" in prediction:
        labels = prediction.pred_sem_seg.data.flatten().cpu().numpy()
    else:
        found = prediction.pred_instances
        labels = found.labels[found.scores > score].cpu().numpy()
    counts = np.bincount(labels, minlength=len(classes))
    largest = [i for i in np.argsort(-counts, kind="stable") if counts[i]][:SHOWN]
    if "pred_sem_seg" in prediction:
        return ", ".join(f"{classes[i]} {counts[i] / labels.size:.0%}" for i in largest)
    named = [f"{counts[i]} {classes[i]}" for i in largest]
    rest = labels.size - counts[largest].sum()
    return ", ".join(named + [f"{rest} other"] * bool(rest)) or "nothing"


def main() -> int:
    """Draws all images and returns the exit code: 1 if one could not be read."""
    args = parse_args()
    console.hide_noise()
    try:
        images = find_images(args.images)
        with console.short_console():
            inferencer = build_inferencer(args.config, args.weights, args.device)
        out_dir = Path(args.out_dir)
        out_dir.mkdir(parents=True, exist_ok=True)
    except Exception as error:
        if os.environ.get("MMSWINV2_TRACEBACK") == "1":
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1

    meta = inferencer.visualizer.dataset_meta
    unread = 0
    for image in images:
        start = time.perf_counter()
        pixels = read_image(image)
        if pixels is None:
            print(f"{image}: cannot be read as an image", file=sys.stderr)
            unread += 1
            continue
        result = inferencer(pixels, return_datasamples=True)
        # MMSegInferencer returns a single one bare, the others wrap theirs
        prediction = result["predictions"][0] if isinstance(result, dict) else result
        seconds = time.perf_counter() - start
        picture = free_path(out_dir, image)
        pixels = np.ascontiguousarray(pixels[..., ::-1])
        options = dict(score_thr=args.score_thr, with_truth=False)
        drawn = draw_sample(pixels, prediction, meta, **options)
        _, encoded = cv2.imencode(picture.suffix, drawn[..., ::-1])
        encoded.tofile(picture)
        found = describe(prediction, meta["classes"], args.score_thr)
        print(f"{image}: {found} ({seconds:.1f} s) -> {picture}", flush=True)
    return int(unread > 0)


if __name__ == "__main__":
    sys.exit(main())
