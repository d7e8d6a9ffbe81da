"""Draws what an exported model finds in photos, with onnxruntime alone.

It takes the file that tools/export.py wrote and the JSON beside it, and needs nothing
of this repository: only onnxruntime, numpy and Pillow.

Examples:
    >>> python onnx_demo.py photo.jpg model.onnx --out-dir out
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

try:
    import onnxruntime
except ImportError:
    sys.exit("error: onnxruntime is not installed: run pip install onnxruntime")

IDENTITY = "mmswinv2.identity"
PAPER, INK, OTHER = (255, 255, 255), (20, 20, 20), (0, 114, 178)
FILL = 0.35  # of the colour of an object, over the picture
LONG_SIDE = 480  # px; smaller pictures are drawn larger
SHOWN, LEGEND, TOP = 4, 30, 5  # classes named in a line, below a picture, beside one
MOST = 2**16 - 1  # px of a side of a JPEG
COEFFICIENT = 2**11  # of 1 in OpenCV's weights of pixels

Array = np.ndarray
Legend = list[tuple[str, tuple[int, int, int]]]
Drawn = tuple[Array, Legend]
font = ImageFont.load_default  # Pillow's own letters, by their size in px


class Model:
    """An exported model.

    Args:
        path (Path): Of the .onnx file.
        threads (int): Of ONNX Runtime; 0: as many as it likes.
        above (float): Detections up to this score are left out.

    Raises:
        ValueError: The file, or the JSON beside it, is not what was exported.
    """

    def __init__(self, path: Path, threads: int = 0, above: float = 0.3) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        beside = path.with_suffix(".json")
        try:
            self.session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
            self.facts = {**json.loads(beside.read_text()), "above": above}
            identity = self.facts[IDENTITY]
        except Exception as error:  # onnxruntime has many kinds of its own
            raise ValueError(
                f"{path} cannot be used ({str(error).splitlines()[0]}): a model is a "
                ".onnx file and the .json that tools/export.py wrote beside it"
            ) from error
        if self.session.get_modelmeta().custom_metadata_map.get(IDENTITY) != identity:
            raise ValueError(
                f"{beside} belongs to another file than {path}; take both of one export"
            )
        if self.facts["task"] not in TASKS:
            raise ValueError(
                f"{path} gives {self.facts['task']}, of which nothing is drawn here"
            )

    def __call__(self, picture: Array) -> dict[str, Array]:
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
            found["labels"] = found["labels"][: len(picture), : picture.shape[1]]
        if self.facts["task"] == "detection":
            sure = found["scores"] > self.facts["above"]
            found = {name: values[sure] for name, values in found.items()}
            whole = np.array(picture.shape[1::-1] * 2)
            scaled = np.divide(content[::-1] * 2, whole, dtype=np.float32)
            found["boxes"] = np.minimum(found["boxes"] / scaled, whole)
        return found


def read(path: Path) -> Array:
    """RGB ``(H, W, 3)`` of 8 bits of a file as viewers show it, on white."""
    try:
        with Image.open(path) as picture:
            picture.load()
            with suppress(Exception):  # EXIF data are broken more often than pictures
                picture = ImageOps.exif_transpose(picture)
            if picture.has_transparency_data:
                sheet = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(sheet, picture.convert("RGBA"))
            deep = picture.mode[0] in "IF"  # 16 bits, or floats from 0 to 1 or to 255
            pixels = np.asarray(picture if deep else picture.convert("RGB"))
    except Exception as error:  # Pillow raises many kinds over damaged files
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot be read as an image: {reason}") from error
    if not deep:
        return pixels
    whole = pixels.dtype.kind != "f"
    if not 0 <= pixels.min() <= pixels.max() <= (MOST if whole else 255):
        raise ValueError("has pixels that are no greys; save it with 8 bits")
    grey = pixels // 256 if whole else pixels * (255 if pixels.max() <= 1 else 1)
    return grey.round().astype(np.uint8)[..., None].repeat(3, 2)


def prepare(picture: Array, facts: dict) -> tuple[Array, tuple[int, int]]:
    """A picture at the scale of the network, and its content's (height, width)."""
    steps = facts["preprocessing"]["outside"]
    if steps is None:
        raise ValueError("is to be prepared in a way that the JSON does not tell")
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
        filled = np.full((*facts["size"], 3), steps[-1].get("pad", 0), np.uint8)
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


def resize(picture: Array, size: tuple[int, int], step: dict) -> Array:
    """A picture at (height, width), by the filter of a step."""
    backend, how = step.get("backend", "cv2"), step.get("interpolation", "bilinear")
    if backend == "pillow":
        filter_ = Image.Resampling[how.upper()]
        return np.asarray(Image.fromarray(picture).resize(size[::-1], filter_))
    if how != "bilinear":
        raise ValueError(f"needs the filter {how} of {backend}, which is not here")
    return bilinear(picture, size)


def bilinear(picture: Array, size: tuple[int, int]) -> Array:
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


def neighbours(old: int, new: int, *, inner: bool) -> tuple[Array, Array, Array]:
    """The two pixels that each new one is mixed of, and their weights ``(2, new)``."""
    places = ((np.arange(new) + 0.5) * (1 / (new / old)) - 0.5).astype(np.float32)
    first = np.floor(places).astype(int)
    part = places - first.astype(np.float32)
    if inner:
        part[(first < 0) | (first >= old - 1)] = 0
    weights = np.stack([np.float32(1) - part, part]) * np.float32(COEFFICIENT)
    edges = (index.clip(0, old - 1) for index in (first, first + 1))
    return (*edges, weights.round().astype(np.int32))


def draw_labels(picture: Array, found: dict, facts: dict, zoom: int) -> Drawn:
    """Classes over a picture, and those present, the largest first."""
    classes, palette = facts["classes"], facts["palette"]
    labels = found["labels"].repeat(zoom, 0).repeat(zoom, 1).astype(int)
    drawn = picture * 0.45 + np.array(palette, np.float32)[labels] * 0.55
    counts = np.bincount(labels.flatten(), minlength=len(classes))
    shares = [f"{s:.0%}" if s >= 0.01 else "< 1%" for s in counts / labels.size]
    present = [i for i in np.argsort(-counts, kind="stable") if counts[i]]
    legend = [(f"{classes[i]} {shares[i]}", tuple(palette[i])) for i in present]
    return drawn.astype(np.uint8), legend


def draw_objects(picture: Array, found: dict, facts: dict, zoom: int) -> Drawn:
    """Objects over a picture, and their classes, the most frequent first."""
    labels, boxes, classes = found["labels"], found["boxes"] * zoom, facts["classes"]
    colors = [tuple(facts["palette"][label]) for label in labels]
    few = len(labels) <= LEGEND
    width = max(1, min(picture.shape[:2]) // 400 // (1 if few else 2))
    drawn, lines = picture.copy(), []
    for color, box, mask in zip(colors, found["boxes"], found.get("masks", ())):
        mask, left, top = paste(mask, box, [n // zoom for n in picture.shape[:2]])
        mask = (mask >= facts["limits"]["mask"]).repeat(zoom, 0).repeat(zoom, 1)
        area = drawn[top * zoom :, left * zoom :][: mask.shape[0], : mask.shape[1]]
        area[mask] = area[mask] * (1 - FILL) + np.array(color) * FILL
        inner = mask
        for _ in range(width):
            rows, columns = np.pad(inner, ((1,), (0,))), np.pad(inner, ((0,), (1,)))
            inner = inner & rows[:-2] & rows[2:] & columns[:, :-2] & columns[:, 2:]
        lines.append((area, mask & ~inner))
    for index in reversed(range(len(labels))):  # the surest on top
        if lines:
            area, line = lines[index]
            area[line] = colors[index]
        if few or not lines:
            left, top, right, bottom = boxes[index].round().astype(int).clip(min=0)
            area = drawn[top : bottom + 1, left : right + 1]
            for side in (np.s_[:width], np.s_[-width:]):
                area[side] = area[:, side] = colors[index]
    if few:
        texts = [
            f"{classes[i]} {score:.2f}" for i, score in zip(labels, found["scores"])
        ]
        drawn = name(drawn, texts, boxes, colors)
    counts = Counter(labels.tolist()).most_common()
    return drawn, [(f"{n} {classes[i]}", tuple(facts["palette"][i])) for i, n in counts]


def paste(mask: Array, box: Array, size: Sequence[int]) -> tuple[Array, int, int]:
    """A mask at the size of its box, of a picture (H, W), and its left and top px."""
    left, top = (np.floor(box[:2]).astype(int) - 1).clip(min=0)
    right, bottom = np.minimum(np.ceil(box[2:]).astype(int) + 1, size[::-1])
    weights = []  # of every value of the mask in every px
    for first, last, axis in ((top, bottom, 1), (left, right, 0)):
        length, n = max(box[axis + 2] - box[axis], 1e-6), mask.shape[1 - axis]
        places = (np.arange(first, last) + 0.5 - box[axis]) / length * n - 0.5
        weights.append((1 - np.abs(places[:, None] - np.arange(n))).clip(min=0))
    return weights[0] @ mask @ weights[1].T, left, top


def name(picture: Array, texts: Sequence, boxes: Array, colors: Sequence) -> Array:
    """Texts at the objects that are as large as the letters or more."""
    size, drawn = text_size(picture), Image.fromarray(picture)
    draw = ImageDraw.Draw(drawn)
    for text, box, color in zip(texts, boxes.tolist(), colors):
        if min(box[2] - box[0], box[3] - box[1]) < 2 * size:
            continue
        corner = (box[0] + 2, box[1] + 1)
        place = np.add(draw.textbbox(corner, text, font(size)), (-2, -1, 2, 1))
        draw.rectangle(place.tolist(), fill=color)
        light = np.dot(color, (0.299, 0.587, 0.114)) > 140
        draw.text(corner, text, INK if light else PAPER, font(size))
    return np.array(drawn)


def draw_classes(picture: Array, found: dict, facts: dict, zoom: int) -> Drawn:
    """A picture, beside it its likeliest classes with bars; of synonyms the first."""
    size = text_size(picture)
    line = size * 3 // 2
    scores = found["scores"].tolist()
    likeliest = np.argsort(-found["scores"], kind="stable")[:TOP]
    rows = [(facts["classes"][i].split(",")[0], scores[i]) for i in likeliest]
    width = max(int(font(size).getlength(name)) for name, _ in rows) + 8 * line
    bars = Image.new("RGB", (width, len(picture)), PAPER)
    draw = ImageDraw.Draw(bars)
    for row, (name, score) in enumerate(rows):
        x, y = size // 3, 2 * line * row
        text = f"{score:.2f} {name}"
        draw.text((x, y + line // 2), text, INK, font(size), anchor="lm")
        end = x + score * (width - size)
        draw.rectangle((x, y + line, end, y + line + size), fill=OTHER)
    told = [(f"{name} {score:.2f}", PAPER) for name, score in rows]
    return np.concatenate([picture, np.array(bars)], 1), told


TASKS = dict(detection=draw_objects, segmentation=draw_labels)
TASKS["classification"] = draw_classes


def draw(picture: Array, found: dict, facts: dict) -> tuple[Image.Image, str]:
    """A picture with what was found in it, its title and legend; and that in a line."""
    zoom = math.ceil(LONG_SIDE / max(picture.shape[:2]))
    picture = picture.repeat(zoom, 0).repeat(zoom, 1)
    drawn, legend = TASKS[facts["task"]](picture, found, facts, zoom)
    title, told = "prediction", [text for text, _ in legend[:SHOWN]]
    if facts["task"] == "detection":
        number = len(found["labels"])
        title += f": {number} object{'s' * (number != 1)}, score > {facts['above']:g}"
        rest = number - sum(int(text.split()[0]) for text in told)
        told += [f"{rest} other"] * bool(rest)
    below = [] if facts["task"] == "classification" else legend
    sheet = panel(drawn, title, below, text_size(picture))
    return sheet, ", ".join(told) or "nothing"


def panel(pixels: Array, title: str, legend: Sequence, size: int) -> Image.Image:
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


def text_size(picture: Array) -> int:
    """Size of letters in px that suits a picture."""
    return max(12, min(picture.shape[:2]) // 45)


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Draw what an exported model finds.")
    parser.add_argument("pictures", nargs="+", type=Path, help="photos")
    parser.add_argument("model", type=Path, help="a .onnx file of tools/export.py")
    parser.add_argument("--out-dir", type=Path, default="out", help="default: out")
    parser.add_argument("--threads", type=int, default=0, help="default: as it likes")
    parser.add_argument("--score-thr", type=float, default=0.3, help="default: 0.3")
    return parser.parse_args()


def main() -> int:
    """Draws all pictures and returns the exit code: 1 if one could not be drawn."""
    args = parse_args()
    try:
        model = Model(args.model, args.threads, args.score_thr)
        args.out_dir.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            error = f"--out-dir {args.out_dir} cannot be made ({error.strerror})"
        print(f"error: {error}", file=sys.stderr)
        return 1
    failed = 0
    for path in args.pictures:
        start = time.perf_counter()
        try:
            picture = read(path)
            found = model(picture)
            seconds = time.perf_counter() - start
            drawn, told = draw(picture, found, model.facts)
            if max(drawn.size) > MOST:
                raise ValueError(f"is {drawn.size} px when drawn, more than JPEG takes")
            names = (path.stem + f"_{n}" * (n > 1) + ".jpg" for n in count(1))
            targets = (args.out_dir / name for name in names)
            target = next(target for target in targets if not target.exists())
            drawn.save(target, quality=95)
        except Exception as error:  # one bad picture ends no job
            if isinstance(error, LookupError):
                error = f"the .json lacks what the model takes ({error!r}); export anew"
            print(f"{path}: {error}", file=sys.stderr)
            failed += 1
            continue
        print(f"{path}: {told} ({seconds:.1f} s) -> {target}", flush=True)
    if failed:
        print(f"{failed} of {len(args.pictures)} pictures failed", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
