"""Predictions as the servers of COCO and ADE20K want them, checked before packing."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Set
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from .files import write_zip

MAX_DETECTIONS = 100  # per image; COCO's evaluation reads no more
MAX_EMPTY = 0.05  # of the images may have no detection before that looks like a bug
ADE20K_CLASSES = 150

Kind = TypeVar("Kind", dict, list)


def pack_coco(predictions: Path, images: Path, archive: Path) -> str:
    """Packs boxes or masks for COCO's detection server.

    Boxes are rounded to 0.1 px, as COCO asks for, and the best 100 of an image kept.

    Args:
        predictions (Path): A result file of pycocotools: a list of detections.
        images (Path): The annotation file, or ``image_info_test-dev2017.json``.
        archive (Path): ``detections_<split>_<name>_results.zip``, to be written.

    Returns:
        str: What was packed, in one line.

    Raises:
        ValueError: If a detection is malformed or too many images have none.
    """
    info = read_json(images, dict)
    sizes = {image["id"]: (image["height"], image["width"]) for image in info["images"]}
    categories = {category["id"] for category in info["categories"]}
    by_image = defaultdict(list)
    for i, detection in enumerate(read_json(predictions, list)):
        where = f"{predictions}, detection {i}"
        _check_detection(where, detection, sizes, categories)
        box = [round(float(value), 1) for value in detection["bbox"]]
        by_image[detection["image_id"]].append({**detection, "bbox": box})
    empty = len(sizes) - len(by_image)
    if empty > MAX_EMPTY * len(sizes):
        first = next(image for image in sizes if image not in by_image)
        raise ValueError(
            f"{predictions}: {empty} of the {len(sizes)} images in {images.name} have "
            f"no detection, such as image {first}; was the run complete?"
        )
    kept = []
    for image in sorted(by_image):
        best = sorted(by_image[image], key=lambda detection: -detection["score"])
        kept += best[:MAX_DETECTIONS]
    write_zip(archive, {f"{archive.stem}.json": json.dumps(kept)})
    return f"{len(kept)} detections in {len(by_image)} of {len(sizes)} images"


def _check_detection(
    where: str, detection: dict, sizes: dict[int, tuple], categories: set[int]
) -> None:
    if missing := {"image_id", "category_id", "bbox", "score"} - detection.keys():
        raise ValueError(f"{where} has no {', '.join(sorted(missing))}")
    image, box = detection["image_id"], detection["bbox"]
    if image not in sizes:
        raise ValueError(f"{where} is of image {image}, which is not in this split")
    if detection["category_id"] not in categories:
        raise ValueError(
            f"{where} has category_id {detection['category_id']}, but COCO's run from "
            f"{min(categories)} to {max(categories)}, with gaps"
        )
    if len(box) != 4 or not all(map(math.isfinite, box)) or min(box[2:]) < 0:
        raise ValueError(f"{where} has the box {box}; expected x, y, width, height")
    if not 0 <= detection["score"] <= 1:
        raise ValueError(f"{where} has the score {detection['score']}, not in 0 to 1")
    mask = detection.get("segmentation")
    if mask is not None and tuple(mask["size"]) != sizes[image]:
        raise ValueError(
            f"{where} has a mask of {mask['size']} px, but its image is of "
            f"{list(sizes[image])} px (height, width)"
        )


def pack_ade20k(labels: Path, images: Path, archive: Path) -> str:
    """Packs label maps for ADE20K's server: 1 to 150, one PNG per image.

    Args:
        labels (Path): Folder of PNGs.
        images (Path): Folder of the JPEGs that they belong to.
        archive (Path): To be written; the server asks for no name of its own.

    Returns:
        str: What was packed, in one line.

    Raises:
        ValueError: If an image has no label map, or one has other labels or sizes.
    """
    wanted = {path.stem: path for path in sorted(images.glob("*.jpg"))}
    found = {path.stem: path for path in sorted(labels.glob("*.png"))}
    _check_names(wanted.keys(), found.keys(), labels, images)
    seen = set()
    for name, path in found.items():
        with Image.open(path) as image, Image.open(wanted[name]) as photo:
            if image.mode != "L":
                raise ValueError(f"{path} has mode {image.mode}; expected 8-bit grey")
            if image.size != photo.size:
                raise ValueError(
                    f"{path} is of {_size(image.size)}, but its image is of "
                    f"{_size(photo.size)}"
                )
            values = np.unique(np.asarray(image))
        if values[0] < 1 or values[-1] > ADE20K_CLASSES:
            raise ValueError(
                f"{path} has the labels {values[0]} to {values[-1]}, but the server "
                f"wants 1 to {ADE20K_CLASSES}: those of MMSegmentation plus 1"
            )
        seen.update(values.tolist())
    write_zip(archive, {path.name: path for path in found.values()})
    return f"{len(found)} label maps with {len(seen)} of {ADE20K_CLASSES} classes"


def pack_panoptic(predictions: Path, folder: Path, images: Path, archive: Path) -> str:
    """Packs segments for COCO's panoptic server.

    Args:
        predictions (Path): A result file of panopticapi: an object with
            ``annotations``.
        folder (Path): Its PNGs, whose colours are ids of segments.
        images (Path): ``panoptic_image_info_test-dev2017.json`` or an annotation file.
        archive (Path): ``panoptic_<split>_<name>_results.zip``, to be written.

    Returns:
        str: What was packed, in one line.

    Raises:
        ValueError: If an image is missing or twice there, or its PNG differs from
            what the result file says.
    """
    info = read_json(images, dict)
    sizes = {image["id"]: (image["width"], image["height"]) for image in info["images"]}
    categories = {category["id"] for category in info["categories"]}
    annotations = read_json(predictions, dict).get("annotations", [])
    counts = Counter(annotation["image_id"] for annotation in annotations)
    if twice := [image for image, count in counts.items() if count > 1]:
        raise ValueError(f"{predictions} has image {twice[0]} more than once")
    _check_names(sizes.keys(), counts.keys(), predictions, images)
    for annotation in annotations:
        _check_segments(annotation, folder, sizes, categories)
    members = {f"{archive.stem}.json": predictions}
    for annotation in annotations:
        name = annotation["file_name"]
        members[f"{archive.stem}/{name}"] = folder / name
    write_zip(archive, members)
    segments = sum(len(annotation["segments_info"]) for annotation in annotations)
    return f"{segments} segments in {len(annotations)} images"


def _check_segments(
    annotation: dict, folder: Path, sizes: dict[int, tuple], categories: set[int]
) -> None:
    path = folder / annotation["file_name"]
    if not path.is_file():
        raise ValueError(f"{path} is missing, of image {annotation['image_id']}")
    with Image.open(path) as image:
        size = sizes[annotation["image_id"]]
        if image.size != size:
            raise ValueError(
                f"{path} is of {_size(image.size)}, but its image is of {_size(size)}"
            )
        colours = np.asarray(image.convert("RGB"), np.uint32)
    ids = set(np.unique(colours @ np.array([1, 256, 65536], np.uint32)).tolist()) - {0}
    segments = {segment["id"] for segment in annotation["segments_info"]}
    if ids != segments:
        raise ValueError(
            f"{path} has {len(ids)} segments, the result file {len(segments)}; in one "
            f"of them only: {sorted(ids ^ segments)[:5]}"
        )
    for segment in annotation["segments_info"]:
        if segment["category_id"] not in categories:
            raise ValueError(
                f"{path}: segment {segment['id']} has category_id "
                f"{segment['category_id']}, which COCO does not have"
            )


def read_json(path: Path, kind: type[Kind]) -> Kind:
    """Content of a JSON file, or a ValueError that says what is wrong with it."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON file: {error}") from error
    if not isinstance(content, kind):
        raise ValueError(
            f"{path} holds a {type(content).__name__}, expected a {kind.__name__}"
        )
    return content


def _check_names(wanted: Set, found: Set, there: Path, images: Path) -> None:
    if not wanted:
        raise ValueError(f"{images} has no images")
    for names, what in ((wanted - found, "lacks"), (found - wanted, "has beside them")):
        if names:
            raise ValueError(
                f"{there} should have one prediction for each of the {len(wanted)} "
                f"images of {images}, but {what} {len(names)}: {_some(sorted(names))}"
            )


def _some(names: list) -> str:
    return ", ".join(map(str, names[:3])) + ", ..." * (len(names) > 3)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} px"


def archive_name(benchmark: str, split: str, name: str) -> str:
    """Name of the archive: COCO prescribes its own, ADE20K's server does not.

    Args:
        benchmark (str): 'coco', 'coco-panoptic' or 'ade20k'.
        split (str): Such as 'test-dev2017'.
        name (str): Of the method, in letters, digits, '-', '_' and '.'.
    """
    kind = {"coco": "detections", "coco-panoptic": "panoptic", "ade20k": "ade20k"}
    return f"{kind[benchmark]}_{split}_{name}_results.zip"


def detection_files(prefix: Path) -> Iterator[tuple[str, Path]]:
    """What mmdet's CocoMetric has written: ('bbox' or 'segm', file)."""
    for kind in ("bbox", "segm"):
        path = prefix.with_name(f"{prefix.name}.{kind}.json")
        if path.is_file():
            yield kind, path
