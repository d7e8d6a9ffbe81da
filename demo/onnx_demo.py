"""Draws what an exported model finds in photos, as demo/image_demo.py does.

It takes the file that tools/export.py wrote and the JSON beside it, and needs nothing
of this repository: only onnxruntime, numpy and Pillow.

Examples:
    >>> python onnx_demo.py photo.jpg model.onnx --out-dir out
    >>> python onnx_demo.py photos/*.jpg model.onnx --threads 4
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

IDENTITY = "mmswinv2.identity"
PAPER, INK, OTHER = (255, 255, 255), (20, 20, 20), (0, 114, 178)
LONG_SIDE = 480  # px; smaller pictures are drawn larger
SHOWN, LEGEND, TOP = 4, 30, 5  # classes named in a line, below a picture, beside one
MOST = 2**16 - 1  # px of a side of a JPEG
COEFFICIENT = 2**11  # of 1 in OpenCV's weights of pixels

Legend = list[tuple[str, tuple[int, int, int]]]


# The model


class Model:
    """An exported model.

    Args:
        path (Path): Of the .onnx file.
        threads (int): Of ONNX Runtime; 0: as many as it likes.

    Raises:
        RuntimeError: onnxruntime is not installed.
        ValueError: The file, or the JSON beside it, is not what was exported.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise RuntimeError(
                "onnxruntime is not installed: run pip install onnxruntime"
            ) from error
        beside = path.with_suffix(".json")
        for file in (path, beside):
            if not file.is_file():
                raise ValueError(
                    f"{file} is not there; a model is a .onnx file and the .json that "
                    "tools/export.py wrote beside it"
                )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has many kinds of its own
            raise ValueError(
                f"{path} cannot be read as ONNX ({str(error).splitlines()[0]})"
            ) from error
        try:
            self.facts = json.loads(beside.read_text())
            identity = self.facts[IDENTITY]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{beside} was not written by tools/export.py; export again"
            ) from error
        own = self.session.get_modelmeta().custom_metadata_map
        if own.get(IDENTITY) != identity:
            raise ValueError(
                f"{beside} belongs to another file than {path}; both are written "
                "together: take them from one export"
            )
        if self.facts["task"] not in TASKS:
            raise ValueError(
                f"{path} gives {', '.join(self.facts['outputs'])} ({self.facts['task']}"
                "), which nothing is drawn of here"
            )

    def __call__(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """What is found in RGB ``(H, W, 3)`` of 8 bits, at the size of the picture."""
        image, content = prepare(picture, self.facts)
        inputs = {"image": image}
        if "size" in self.facts["inputs"]:
            # Of a picture that was filled up, the content has its size
            sides = zip(image.shape, picture.shape[:2], content)
            size = [round(whole * own / part) for whole, own, part in sides]
            inputs["size"] = np.array(size, np.int64)
        found = dict(zip(self.facts["outputs"], self.session.run(None, inputs)))
        if self.facts["task"] == "segmentation":
            height, width = picture.shape[:2]
            found["labels"] = found["labels"][:height, :width]
        return found


# Pictures


def read(path: Path) -> np.ndarray:
    """RGB ``(H, W, 3)`` of 8 bits of a file, its EXIF rotation followed.

    Raises:
        ValueError: It cannot be read, or not all of it.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            picture = ImageOps.exif_transpose(opened)
    except UnidentifiedImageError as error:
        raise ValueError("cannot be read as an image") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"is too large: {error}") from error
    except Exception as error:  # Pillow raises many kinds over damaged files
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot be read: {reason}") from error
    if picture.mode.startswith("I"):  # 16 bits
        grey = np.asarray(picture).clip(0, MOST).astype(np.uint16) >> 8
        return grey.astype(np.uint8)[..., None].repeat(3, 2)
    return np.asarray(picture.convert("RGB"))


def prepare(picture: np.ndarray, facts: dict) -> tuple[np.ndarray, tuple[int, int]]:
    """A picture at the scale of the network, and its content's (height, width)."""
    steps = facts["preprocessing"]["outside"]
    if steps is None:
        raise ValueError(
            "the config of this model prepares pictures in a way that the JSON does "
            "not tell; feed the file from your own code"
        )
    for step in steps:
        height, width = picture.shape[:2]
        if step["type"] == "CenterCrop":
            side = step["crop_size"]
            top, left = (max(round((n - side) / 2), 0) for n in (height, width))
            picture = picture[top : top + side, left : left + side]
            continue
        new = new_size(step, height, width)
        if min(new) < 1:
            raise ValueError(f"is so thin that a side becomes shorter than 1 px: {new}")
        picture = resize(picture, new, step)
    content = picture.shape[:2]
    if facts["size"]:
        filled = np.empty((*facts["size"], 3), np.uint8)
        filled[:] = steps[-1].get("pad", 0)
        filled[: content[0], : content[1]] = picture
        picture = filled
    return np.ascontiguousarray(picture), content


def new_size(step: dict, height: int, width: int) -> tuple[int, int]:
    """(height, width) that a step gives a picture."""
    if step["type"] == "ResizeEdge":
        side, short = step["scale"], step["edge"] == "short"
        if (width < height) == short and width != height:
            return int(side * height / width), side
        return side, int(side * width / height)
    if step["type"] == "Fit":
        factor = min(step["size"][0] / height, step["size"][1] / width)
    elif step["keep_ratio"]:
        long, short = max(step["scale"]), min(step["scale"])
        factor = min(long / max(height, width), short / min(height, width))
    else:
        return step["scale"][1], step["scale"][0]
    return int(height * factor + 0.5), int(width * factor + 0.5)


def resize(picture: np.ndarray, size: tuple[int, int], step: dict) -> np.ndarray:
    """A picture at (height, width), by the filter of a step."""
    backend, how = step.get("backend", "cv2"), step.get("interpolation", "bilinear")
    if backend == "pillow":
        filter_ = Image.Resampling[how.upper()]
        return np.asarray(Image.fromarray(picture).resize(size[::-1], filter_))
    if how != "bilinear":
        raise ValueError(f"needs the filter {how} of {backend}, which is not here")
    return bilinear(picture, size)


def bilinear(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """As OpenCV's INTER_LINEAR of 8 bits, whose weights are whole numbers."""
    if picture.shape[:2] == (2 * size[0], 2 * size[1]):  # it takes means there
        parts = picture.astype(np.uint16).reshape(size[0], 2, size[1], 2, -1)
        return ((parts.sum((1, 3)) + 2) >> 2).astype(np.uint8)
    first, second, weights = neighbours(picture.shape[1], size[1], inner=True)
    wide = picture.astype(np.int32)
    rows = wide[:, first] * weights[0, :, None] + wide[:, second] * weights[1, :, None]
    first, second, weights = neighbours(picture.shape[0], size[0], inner=False)
    weights = weights[..., None, None]
    above, below = (rows[index] >> 4 for index in (first, second))
    mixed = (above * weights[0] >> 16) + (below * weights[1] >> 16)
    return (mixed + 2 >> 2).astype(np.uint8)


def neighbours(
    old: int, new: int, *, inner: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two pixels that each new one is mixed of, and their weights ``(2, new)``."""
    places = ((np.arange(new) + 0.5) * (1 / (new / old)) - 0.5).astype(np.float32)
    first = np.floor(places).astype(int)
    part = places - first.astype(np.float32)
    if inner:
        part[(first < 0) | (first >= old - 1)] = 0
    weights = np.stack([np.float32(1) - part, part]) * np.float32(COEFFICIENT)
    edges = (index.clip(0, old - 1) for index in (first, first + 1))
    return (*edges, weights.round().astype(np.int32))


# Drawing


def draw_labels(
    picture: np.ndarray, found: dict, facts: dict, zoom: int
) -> tuple[np.ndarray, Legend]:
    """Classes over a picture, and those present, the largest first."""
    classes, palette = facts["classes"], facts["palette"]
    labels = found["labels"].repeat(zoom, 0).repeat(zoom, 1).astype(int)
    drawn = picture * 0.45 + np.array(palette, np.float32)[labels] * 0.55
    counts = np.bincount(labels.flatten(), minlength=len(classes))
    shares = [
        f"{share:.0%}" if share >= 0.01 else "< 1%" for share in counts / labels.size
    ]
    present = [i for i in np.argsort(-counts, kind="stable") if counts[i]]
    legend = [(f"{classes[i]} {shares[i]}", tuple(palette[i])) for i in present]
    return drawn.astype(np.uint8), legend


def tell_labels(found: dict, facts: dict) -> str:
    """Such as 'sky 41%, building 22%'."""
    labels, classes = found["labels"], facts["classes"]
    counts = np.bincount(labels.flatten(), minlength=len(classes))
    largest = [i for i in np.argsort(-counts, kind="stable") if counts[i]][:SHOWN]
    return ", ".join(f"{classes[i]} {counts[i] / labels.size:.0%}" for i in largest)


def best(found: dict, facts: dict) -> list[tuple[str, float]]:
    """The likeliest classes of a picture; of synonyms the first."""
    order = np.argsort(-found["scores"], kind="stable")[:TOP]
    names = (facts["classes"][i].split(",")[0] for i in order)
    return [*zip(names, found["scores"][order].tolist())]


def draw_classes(
    picture: np.ndarray, found: dict, facts: dict, zoom: int
) -> tuple[np.ndarray, Legend]:
    """A picture, and beside it its likeliest classes with bars."""
    size = text_size(picture)
    line = size * 3 // 2
    rows = best(found, facts)
    width = max(int(font(size).getlength(name)) for name, _ in rows) + 8 * line
    bars = Image.new("RGB", (width, len(picture)), PAPER)
    draw = ImageDraw.Draw(bars)
    for row, (name, score) in enumerate(rows):
        x, y = size // 3, 2 * line * row
        text = f"{score:.2f} {name}"
        draw.text((x, y + line // 2), text, INK, font(size), anchor="lm")
        end = x + score * (width - size)
        draw.rectangle((x, y + line, end, y + line + size), fill=OTHER)
    return np.concatenate([picture, np.array(bars)], 1), []


def tell_classes(found: dict, facts: dict) -> str:
    """Such as 'tench 0.93, goldfish 0.02'."""
    return ", ".join(f"{name} {score:.2f}" for name, score in best(found, facts))


TASKS = {
    "segmentation": (draw_labels, tell_labels),
    "classification": (draw_classes, tell_classes),
}


def draw(picture: np.ndarray, found: dict, facts: dict) -> Image.Image:
    """A picture with what was found in it, its title and legend."""
    zoom = math.ceil(LONG_SIDE / max(picture.shape[:2]))
    picture = picture.repeat(zoom, 0).repeat(zoom, 1)
    size = text_size(picture)
    drawn, legend = TASKS[facts["task"]][0](picture, found, facts, zoom)
    return panel(drawn, "prediction", legend, size)


def panel(pixels: np.ndarray, title: str, legend: Sequence, size: int) -> Image.Image:
    """A picture below its title and above its legend."""
    height, width = pixels.shape[:2]
    line = size * 3 // 2
    if len(legend) > LEGEND:
        legend = [*legend[:LEGEND], (f"and {len(legend) - LEGEND} more", PAPER)]
    places, x, row = [], 0, 0
    for name, _ in legend:
        length = int(font(size).getlength(name)) + 2 * line
        if x and x + length > width:
            x, row = 0, row + 1
        places.append((x, row))
        x += length
    rows = row + 1 if legend else 0
    sheet = Image.new("RGB", (width, height + line * (1 + rows)), PAPER)
    sheet.paste(Image.fromarray(pixels), (0, line))
    draw = ImageDraw.Draw(sheet)
    draw.text((size // 3, line // 2), title, INK, font(size), anchor="lm")
    for (name, color), (x, row) in zip(legend, places):
        middle = height + line * row + line * 3 // 2
        box = [x + size // 3, middle - size // 2, x + size * 4 // 3, middle + size // 2]
        if color != PAPER:
            draw.rectangle(box, fill=color, outline=INK)
        draw.text((x + size * 5 // 3, middle), name, INK, font(size), anchor="lm")
    return sheet


def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own."""
    return ImageFont.load_default(size)


def text_size(picture: np.ndarray) -> int:
    """Size of letters in px that suits a picture."""
    return max(12, min(picture.shape[:2]) // 45)


# The command


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description="Draw what an exported model finds in photos."
    )
    parser.add_argument("pictures", nargs="+", type=Path, help="photos")
    parser.add_argument("model", type=Path, help="a .onnx file of tools/export.py")
    parser.add_argument("--out-dir", type=Path, default="out", help="default: out")
    parser.add_argument(
        "--threads", type=int, default=0, help="default: as many as ONNX Runtime likes"
    )
    return parser.parse_args()


def free_path(folder: Path, stem: str) -> Path:
    """A name under which a folder has nothing."""
    names = (f"{stem}_{n}.jpg" if n > 1 else f"{stem}.jpg" for n in count(1))
    return next(folder / name for name in names if not (folder / name).exists())


def main() -> int:
    """Draws all pictures and returns the exit code: 1 if one could not be drawn."""
    args = parse_args()
    try:
        model = Model(args.model, args.threads)
        args.out_dir.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    failed = 0
    for path in args.pictures:
        start = time.perf_counter()
        try:
            picture = read(path)
            found = model(picture)
            seconds = time.perf_counter() - start
            drawn = draw(picture, found, model.facts)
            if max(drawn.size) > MOST:
                raise ValueError(f"is {drawn.size} px when drawn, more than JPEG takes")
            target = free_path(args.out_dir, path.stem)
            drawn.save(target, quality=95)
        except Exception as error:  # one bad picture ends no job
            print(f"{path}: {error}", file=sys.stderr)
            failed += 1
            continue
        told = TASKS[model.facts["task"]][1](found, model.facts)
        print(f"{path}: {told} ({seconds:.1f} s) -> {target}", flush=True)
    if failed:
        print(f"{failed} of {len(args.pictures)} pictures failed", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
