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
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled

import cv2
import numpy as np
from mmengine.structures import BaseDataElement

from mmswinv2.apis import build_inferencer, find_config, is_of_videos
from mmswinv2.cli import console
from mmswinv2.cli.launch import explain
from mmswinv2.cli.out_dir import free_path, make_folder
from mmswinv2.config_types import read_config
from mmswinv2.drawing import draw_sample, top_classes
from mmswinv2.inferencers import IMAGE_SUFFIXES, read_picture

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

    What has the suffix of a picture is named even if it is none, such as a folder.

    Raises:
        FileNotFoundError: There is none.
    """
    if os.path.isfile(images):
        return [images]
    pattern = os.path.join(glob.escape(images), "*")
    found = sorted(glob.glob(pattern if os.path.isdir(images) else images))
    if os.path.isdir(images):
        found = [path for path in found if Path(path).suffix.lower() in IMAGE_SUFFIXES]
    found = [
        path
        for path in found
        if os.path.isfile(path) or Path(path).suffix.lower() in IMAGE_SUFFIXES
    ]
    if not found:
        raise FileNotFoundError(
            f"no image at {images!r}: give a photo, a folder with photos "
            f"({' '.join(sorted(IMAGE_SUFFIXES))}) or a quoted glob"
        )
    return found


def encode(drawn: np.ndarray) -> bytes:
    """A JPEG of a picture (H, W, 3) in RGB.

    Raises:
        ValueError: It is larger than these are.
    """
    height, width = drawn.shape[:2]
    if max(height, width) >= 2**16:
        raise ValueError(f"is {width} x {height} px when drawn, more than JPEG takes")
    return cv2.imencode(".jpg", drawn[..., ::-1])[1].tobytes()


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


def predict(inferencer: Callable, pixels: np.ndarray) -> BaseDataElement:
    """What is found in a picture (H, W, 3) in BGR."""
    result = inferencer(pixels, return_datasamples=True)
    # MMSegInferencer returns a single one bare, the others wrap theirs
    return result["predictions"][0] if isinstance(result, dict) else result


def main() -> int:
    """Draws all images and returns the exit code: 1 if one could not be drawn."""
    args = parse_args()
    shows_traceback = os.environ.get("MMSWINV2_TRACEBACK") == "1"
    console.hide_noise()
    out_dir = Path(args.out_dir)
    try:
        images = find_images(args.images)
        cfg = read_config(find_config(args.config))
        if is_of_videos(cfg):
            raise ValueError(
                f"{args.config} has the model {cfg.model.type}, which takes no "
                "pictures; demo/video_demo.py draws videos"
            )
        with console.short_console():
            inferencer = build_inferencer(cfg, args.weights, args.device)
        make_folder(out_dir)
    except Exception as error:
        if shows_traceback:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1

    meta = inferencer.visualizer.dataset_meta
    options = dict(score_thr=args.score_thr, with_truth=False)
    failed = 0
    for image in images:
        start = time.perf_counter()
        picture = free_path(out_dir, image, ".jpg")
        try:
            pixels = read_picture(image)
            prediction = predict(inferencer, pixels)
            seconds = time.perf_counter() - start
            pixels = np.ascontiguousarray(pixels[..., ::-1])
            drawn = draw_sample(pixels, prediction, meta, **options)
            found = describe(prediction, meta["classes"], args.score_thr)
            encoded = encode(drawn)
        except Exception as error:  # one bad picture ends no job
            if shows_traceback:
                raise
            print(f"{image}: {explain(error)}", file=sys.stderr)
            failed += 1
            continue
        try:
            picture.write_bytes(encoded)
        except OSError as error:
            picture.unlink(missing_ok=True)  # what there is of it
            reason = error.strerror or error
            print(f"error: {picture} cannot be written: {reason}", file=sys.stderr)
            return 1
        print(f"{image}: {found} ({seconds:.1f} s) -> {picture}", flush=True)
    if failed:
        print(f"{failed} of {len(images)} pictures failed", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
