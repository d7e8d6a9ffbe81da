"""Draws what a trained detector, segmentor or classifier finds in photos and videos.

Examples:
    >>> python demo/image_demo.py photo.jpg CONFIG WEIGHTS --out-dir out/
    >>> python demo/image_demo.py photos/ "more/*.png" CONFIG WEIGHTS --device cpu
    >>> python demo/image_demo.py clip.mp4 CONFIG WEIGHTS --every 5
    >>> python demo/image_demo.py 0 CONFIG WEIGHTS  # a camera, until Ctrl-C
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

import cv2
import numpy as np
from rich.console import Console

from mmswinv2.apis import build_inferencer, find_config, is_of_videos
from mmswinv2.checkpoints.whole_files import whole_file
from mmswinv2.cli import console
from mmswinv2.cli.launch import explain
from mmswinv2.cli.out_dir import free_path, make_folder
from mmswinv2.cli.progress import progress_bar
from mmswinv2.cli.sources import Source, find_sources
from mmswinv2.cli.stopping import asks_to_stop
from mmswinv2.config_types import read_config
from mmswinv2.drawing import describe, draw_sample
from mmswinv2.drawing.films import FilmDrawing
from mmswinv2.errors import RunError
from mmswinv2.inferencers import predict
from mmswinv2.large_images.tiling import is_out_of_memory
from mmswinv2.pictures import read_picture


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description="Draw what a trained detector, segmentor or classifier finds."
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="input",
        help="a photo, a video, a folder of such, a quoted glob, or the number of a "
        "camera",
    )
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
    parser.add_argument(
        "--tile",
        metavar="PX",
        help="cut large pictures into tiles of this side, which are seen at the "
        "picture's own scale; 'auto': where the model would see too little of it, or "
        "memory be too small (default: pictures are seen whole)",
    )
    parser.add_argument(
        "--every",
        type=int,
        default=1,
        metavar="N",
        help="of a video or camera, look at every N-th frame; the others show what was "
        "found last (default: 1)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="of a video or camera, draw the first S seconds (default: all; a camera "
        "until Ctrl-C)",
    )
    return parser.parse_args()


def check(args: argparse.Namespace) -> None:
    """Raises ValueError where a number is none that can be meant."""
    if args.every < 1:
        raise ValueError(f"--every {args.every}: expected 1 or more frames")
    if args.seconds is not None and not args.seconds > 0:
        raise ValueError(f"--seconds {args.seconds:g}: expected more than 0")


def build(args: argparse.Namespace) -> Callable:
    """The inferencer of the config.

    Raises:
        ValueError: It is one of video classifiers.
    """
    cfg = read_config(find_config(args.config))
    if is_of_videos(cfg):
        raise ValueError(
            f"{args.config} has the model {cfg.model.type}, which takes no pictures; "
            "demo/video_demo.py draws videos"
        )
    tile = int(args.tile) if (args.tile or "").isdecimal() else args.tile
    with console.short_console():
        return build_inferencer(cfg, args.weights, args.device, tile)


def encode(drawn: np.ndarray) -> tuple[bytes, str]:
    """A JPEG of a picture (H, W, 3) in RGB, or a PNG of what JPEG does not take."""
    suffix = ".jpg" if max(drawn.shape[:2]) < 2**16 else ".png"
    return cv2.imencode(suffix, drawn[..., ::-1])[1].tobytes(), suffix


def draw_picture(path: str, inferencer: Callable, args: argparse.Namespace) -> str:
    """Draws one picture, and says what was found."""
    start = time.perf_counter()
    pixels = read_picture(path)
    with progress_bar(path, Console(stderr=True), unit="tiles") as inferencer.on_tile:
        prediction = predict(inferencer, pixels)
    seconds = time.perf_counter() - start
    meta = inferencer.visualizer.dataset_meta
    pixels = np.ascontiguousarray(pixels[..., ::-1])
    drawn = draw_sample(
        pixels, prediction, meta, score_thr=args.score_thr, with_truth=False
    )
    encoded, suffix = encode(drawn)
    picture = free_path(Path(args.out_dir), path, suffix)
    with whole_file(picture, flush=False) as unfinished:
        unfinished.write_bytes(encoded)
    found = describe(prediction, meta["classes"], args.score_thr)
    return f"{found} ({seconds:.1f} s) -> {picture}"


def draw_film(source: Source, inferencer: Callable, args: argparse.Namespace) -> str:
    """Draws a video or what a camera sees, and says what was found.

    Raises:
        ValueError: It ends early, by a fault; what there is is kept.
        KeyboardInterrupt: As above, of a video, by the user.
    """
    from mmswinv2.video.camera import Camera
    from mmswinv2.video.films import EveryNth, make_film
    from mmswinv2.video.reading import VideoReader, import_av

    import_av()
    is_camera = source.kind == "camera"
    frames = Camera(int(source.name)) if is_camera else VideoReader(source.name)
    total = None if is_camera else len(frames)
    name = f"camera{source.name}" if is_camera else source.name
    film = free_path(Path(args.out_dir), name, ".mp4")
    meta = inferencer.visualizer.dataset_meta
    drawing = FilmDrawing(meta, score_thr=args.score_thr)
    look = EveryNth(partial(predict, inferencer), drawing, args.every)
    with (
        asks_to_stop("the film ends with this frame") as asked,
        progress_bar(name, Console(stderr=True), unit="frames") as show,
    ):

        def goes_on(done: int) -> bool:
            show(done, total)
            return not asked()

        made = make_film(frames, film, look, seconds=args.seconds, goes_on=goes_on)
        stopped = asked()
    of = f" of {total}" if stopped and total else ""
    height, width = made.size
    told = (
        f"{drawing.describe()} ({made.frames}{of} frames of {width} x {height} px, "
        f"{made.frames / made.seconds:.1f} frames/s) -> {film}"
    )
    if made.fault:
        raise ValueError(f"{made.fault}; what comes before it: {told}")
    if stopped and not is_camera:
        raise KeyboardInterrupt(f"stopped; {told}")
    return told


def main() -> int:
    """Draws all there is and returns the exit code: 1 if one could not be drawn."""
    args = parse_args()
    shows_traceback = os.environ.get("MMSWINV2_TRACEBACK") == "1"
    console.hide_noise()
    try:
        check(args)
        sources = find_sources(args.inputs)
        inferencer = build(args)
        make_folder(Path(args.out_dir))
    except Exception as error:
        if shows_traceback:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1

    failed = 0
    for source in sources:
        kind, name = source
        try:
            if kind == "picture":
                told = draw_picture(name, inferencer, args)
            else:
                told = draw_film(source, inferencer, args)
        except KeyboardInterrupt as stop:
            print(f"{name}: {str(stop) or 'interrupted'}", file=sys.stderr)
            return 128 + signal.SIGINT
        except RunError as error:  # a full disk, which no other picture will fit on
            if shows_traceback:
                raise
            print(f"error: {error}", file=sys.stderr)
            return 1
        except Exception as error:  # one bad picture ends no job
            if shows_traceback:
                raise
            told = explain(error).removeprefix(f"{name} ")
            if is_out_of_memory(error):
                told = "takes more memory than is free"
                told += "; --tile auto cuts large pictures" * (args.tile is None)
            print(f"{name}: {told}", file=sys.stderr)
            failed += 1
            continue
        print(f"{name}: {told}", flush=True)
    if failed:
        print(f"{failed} of {len(sources)} failed", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
