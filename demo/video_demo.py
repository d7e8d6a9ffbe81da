"""Names what happens in videos, and draws it.

Examples:
    >>> python demo/video_demo.py clip.mp4 CONFIG WEIGHTS --out-dir out/
    >>> python demo/video_demo.py clips/ more.webm CONFIG WEIGHTS --views 4x3
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

import cv2
from mmengine.config import Config

from mmswinv2.apis import build_inferencer, find_config, is_of_videos
from mmswinv2.checkpoints.whole_files import whole_file
from mmswinv2.cli import console
from mmswinv2.cli.launch import explain
from mmswinv2.cli.out_dir import free_path, make_folder
from mmswinv2.config_types import read_config
from mmswinv2.drawing import top_classes
from mmswinv2.errors import RunError
from mmswinv2.pictures import VIDEO_SUFFIXES, find_files


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description="Name what happens in videos, and draw it."
    )
    parser.add_argument(
        "clips", nargs="+", metavar="clip", help="a video or a folder of videos"
    )
    parser.add_argument("config", help="a config file, or the name of one in configs/")
    parser.add_argument("weights", help="trained weights: a file, URL or name")
    parser.add_argument("--out-dir", default="out", help="default: out")
    parser.add_argument("--device", help="default: a GPU where there is one")
    parser.add_argument(
        "--views",
        metavar="CLIPSxCROPS",
        help="how often to look, as 4x3: 4 clips spread over a video, 3 crops of each "
        "(default: as the config tests)",
    )
    return parser.parse_args()


def find_clips(given: list[str]) -> list[str]:
    """The videos that files and folders name.

    Raises:
        FileNotFoundError: If a folder has none.
    """
    clips = []
    for path in given:
        folder = Path(path).is_dir()
        clips += find_files(path, VIDEO_SUFFIXES, "videos") if folder else [path]
    return [str(clip) for clip in clips]


def read_model(config: str, views: str | None) -> Config:
    """The config, with views as wished.

    Raises:
        ValueError: If it is not of videos, or views are none.
    """
    cfg = read_config(find_config(config))
    if not is_of_videos(cfg):
        raise ValueError(
            f"{config} has the model {cfg.get('model', {}).get('type')}, which takes "
            "no videos; demo/image_demo.py draws pictures"
        )
    if views:
        from mmswinv2.video.inferencer import use_views

        numbers = re.fullmatch(r"([1-9]\d*)x([135])", views)
        if not numbers:
            raise ValueError(
                f"--views {views}: expected clips x crops, such as 4x3, with 1, 3 or 5 "
                "crops"
            )
        use_views(cfg, *map(int, numbers.groups()))
    return cfg


def main() -> int:
    """Draws all videos and returns the exit code: 1 if one could not be drawn."""
    args = parse_args()
    shows_traceback = os.environ.get("MMSWINV2_TRACEBACK") == "1"
    console.hide_noise()
    out_dir = Path(args.out_dir)
    try:
        cfg = read_model(args.config, args.views)
        clips = find_clips(args.clips)
        with console.short_console():
            inferencer = build_inferencer(cfg, args.weights, args.device)
        make_folder(out_dir)
        from mmswinv2.video.reading import VideoReader, import_av

        import_av()  # not missed anew by each video
    except Exception as error:
        if shows_traceback:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1

    from mmswinv2.video.strips import draw_label, draw_strip
    from mmswinv2.video.writing import write_video

    meta = inferencer.visualizer.dataset_meta
    failed = 0
    for clip in clips:
        start = time.perf_counter()
        picture = free_path(out_dir, clip, ".jpg", ".mp4")
        try:
            (sample,) = inferencer(clip, return_datasamples=True)["predictions"]
            seconds = time.perf_counter() - start
            best = top_classes(sample, meta)
            strip = draw_strip(clip, sample, meta, with_truth=False)
            with whole_file(picture, flush=False) as unfinished:
                encoded = cv2.imencode(".jpg", strip[..., ::-1])[1]
                unfinished.write_bytes(encoded.tobytes())
            video = VideoReader(clip)
            text = "{1} {2:.2f}".format(*best[0])
            film = picture.with_suffix(".mp4")
            write_video(film, draw_label(video, text), video.rate)
        except RunError as error:  # a full disk, which no other video will fit on
            if shows_traceback:
                raise
            picture.unlink(missing_ok=True)
            print(f"error: {error}", file=sys.stderr)
            return 1
        except Exception as error:  # one bad video ends no job
            if shows_traceback:
                raise
            told = explain(error).removeprefix(f"{clip} ")
            print(f"{clip}: {told}", file=sys.stderr)
            failed += 1
            continue
        found = ", ".join(f"{name} {score:.2f}" for _, name, score in best)
        print(f"{clip}: {found} ({seconds:.1f} s) -> {picture}, {film}", flush=True)
    if failed:
        print(f"{failed} of {len(clips)} videos failed", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
