"""Write the mini data: generated scenes in the layouts of COCO and ADE20K, or clips.

Both trees hold the same pictures, in the folders, file names, labels and
annotation formats of COCO 2017 and ADE20K 2016, so that ``CocoDataset`` and
``ADE20KDataset`` read them with their own 80 and 150 classes.

With ``--clips``, mp4 files of moving shapes in the layout of Kinetics: a folder for
each class, and lists. This needs the extra 'video'.

Examples:
    >>> python tools/dataset_converters/make_mini.py --out data/mini
    >>> python tools/dataset_converters/make_mini.py --clips --out data/mini-clips
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from mmswinv2.datasets.mini_scenes import Scene, draw_scene

MANIFEST = "mini.json"
FORMAT = 1  # raised when the same parameters give another tree
CLIPS_FORMAT = 1
PICTURES = dict(out=Path("data/mini"), train=160, val=40, size=256)
CLIPS = dict(out=Path("data/mini-clips"), train=1600, val=240, size=64)
MIN_SIZE = 64  # px; below, the large objects are smaller than the small ones
CRF = 18  # of x264; artefacts of its coding are less than the texture
SPLITS = {"train": "training", "val": "validation"}  # COCO's name, ADE20K's
MIN_CLIP_SIZE = 32  # px; below, the smallest shapes have no sides
CONTOUR_SCALE = 4  # outlines are traced on a mask enlarged this many times

# COCO's 80 classes by supercategory, in the order of their ids.
COCO_CLASSES = {
    "person": "person",
    "vehicle": "bicycle,car,motorcycle,airplane,bus,train,truck,boat",
    "outdoor": "traffic light,fire hydrant,stop sign,parking meter,bench",
    "animal": "bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe",
    "accessory": "backpack,umbrella,handbag,tie,suitcase",
    "sports": "frisbee,skis,snowboard,sports ball,kite,baseball bat,"
    "baseball glove,skateboard,surfboard,tennis racket",
    "kitchen": "bottle,wine glass,cup,fork,knife,spoon,bowl",
    "food": "banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake",
    "furniture": "chair,couch,potted plant,bed,dining table,toilet",
    "electronic": "tv,laptop,mouse,remote,keyboard,cell phone",
    "appliance": "microwave,oven,toaster,sink,refrigerator",
    "indoor": "book,clock,vase,scissors,teddy bear,hair drier,toothbrush",
}
# The ids of 1 to 90 that COCO leaves out.
COCO_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}


def coco_categories() -> list[dict]:
    """List COCO's categories as its annotation files do."""
    ids = (i for i in range(1, 91) if i not in COCO_GAPS)
    return [
        {"supercategory": group, "id": next(ids), "name": name}
        for group, names in COCO_CLASSES.items()
        for name in names.split(",")
    ]


def trace(mask: np.ndarray) -> list[list[float]]:
    """Outline a mask as COCO's polygons, in px from the top left corner.

    Args:
        mask (np.ndarray): A mask (H, W) of bool.

    Returns:
        list[list[float]]: One ``[x, y, x, y, ...]`` per part; holes are
        filled, since COCO's polygons have none.
    """
    height, width = mask.shape
    grown = cv2.resize(
        mask.astype(np.uint8),
        (width * CONTOUR_SCALE, height * CONTOUR_SCALE),
        interpolation=cv2.INTER_NEAREST,
    )
    parts, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outlines = [cv2.approxPolyDP(p, CONTOUR_SCALE / 2, True) for p in parts]
    return [
        np.round((p.reshape(-1) + 0.5) / CONTOUR_SCALE, 2).tolist()
        for p in outlines
        if len(p) >= 3
    ]


def coco_annotations(scene: Scene, ids: dict[str, int]) -> list[dict]:
    """Describe a scene's objects as COCO does, but for the ids.

    Args:
        scene (Scene): The scene.
        ids (dict[str, int]): The category id of each class name.
    """
    height, width = scene.labels.shape
    annotations = []
    for thing, mask in scene.objects:
        polygons = trace(mask)
        if not polygons:
            continue
        parts = coco_mask.frPyObjects(polygons, height, width)
        area = float(coco_mask.area(coco_mask.merge(parts)))
        points = np.concatenate([np.reshape(p, (-1, 2)) for p in polygons])
        corner, extent = points.min(0), np.ptp(points, axis=0)
        bbox = np.round([*corner, *extent], 2).tolist()
        annotations.append(dict(segmentation=polygons, area=area, iscrowd=0, bbox=bbox))
        annotations[-1]["category_id"] = ids[thing.coco_name]
    for thing, mask in scene.crowds:
        code = coco_mask.encode(np.asfortranarray(mask, np.uint8))
        # COCO's own files hold the uncompressed run lengths, column by column.
        columns = mask.T.ravel().astype(np.int8)
        edges = np.flatnonzero(np.diff(columns, prepend=0)).tolist()
        counts = np.diff([0, *edges, columns.size]).tolist()
        annotations.append(
            dict(
                segmentation={"counts": counts, "size": [height, width]},
                area=float(coco_mask.area(code)),
                iscrowd=1,
                bbox=coco_mask.toBbox(code).tolist(),
                category_id=ids[thing.coco_name],
            )
        )
    return annotations


def write_split(root: Path, split: str, count: int, seed: int, size: int) -> None:
    """Write one split into both trees.

    Args:
        root (Path): The folder that gets ``coco`` and ``ade``.
        split (str): 'train' or 'val'.
        count (int): Number of pictures.
        seed (int): Seed; each picture depends on it and its own number only.
        size (int): Height and width in px.
    """
    categories = coco_categories()
    ids = {category["name"]: category["id"] for category in categories}
    coco_images = root / "coco" / f"{split}2017"
    ade = root / "ade" / "ADEChallengeData2016"
    folders = [coco_images, root / "coco" / "annotations"]
    folders += [ade / kind / SPLITS[split] for kind in ("images", "annotations")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    images: list[dict] = []
    annotations: list[dict] = []
    for number in range(1, count + 1):
        rng = np.random.default_rng([seed, list(SPLITS).index(split), number])
        scene = draw_scene(rng, size)
        name = f"{number:012d}.jpg"
        # 95 keeps the one-pixel stripes; most of COCO is stored at 90 to 95.
        quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
        cv2.imwrite(str(coco_images / name), scene.image, quality)
        stem = f"ADE_{split}_{number:08d}"
        shutil.copyfile(coco_images / name, folders[2] / f"{stem}.jpg")
        cv2.imwrite(str(folders[3] / f"{stem}.png"), scene.labels)
        images.append(
            dict(
                id=number,
                file_name=name,
                height=size,
                width=size,
                license=1,
                date_captured="2017-01-01 00:00:00",
                coco_url="",
                flickr_url="",
            )
        )
        for annotation in coco_annotations(scene, ids):
            annotation.update(image_id=number, id=len(annotations) + 1)
            annotations.append(annotation)
    content = dict(
        info=dict(description="mmswinv2 mini data", version="1.0", year=2017),
        licenses=[dict(id=1, name="Apache License 2.0", url="")],
        images=images,
        annotations=annotations,
        categories=categories,
    )
    path = root / "coco" / "annotations" / f"instances_{split}2017.json"
    path.write_text(json.dumps(content))


def write_clips(root: Path, split: str, count: int, seed: int, size: int) -> None:
    """Write clips of one split, as Kinetics has them, and their list.

    Args:
        root (Path): The folder that gets one for the split, and lists.
        split (str): 'train' or 'val'.
        count (int): Number of clips, of all classes in turn.
        seed (int): Seed; each clip depends on it and its own number only.
        size (int): Height in px.
    """
    from mmswinv2.cli import console

    console.hide_noise()
    from mmswinv2.video.moving_shapes import CLASSES, draw_clip
    from mmswinv2.video.writing import write_video

    lines = []
    for name in CLASSES:
        (root / split / name).mkdir(parents=True)
    for number in range(count):
        label = number % len(CLASSES)
        rng = np.random.default_rng([seed, list(SPLITS).index(split), number + 1])
        clip = draw_clip(rng, CLASSES[label], size)
        path = f"{CLASSES[label]}/{number + 1:06d}.mp4"
        write_video(root / split / path, clip.frames, rate=clip.rate, crf=CRF)
        lines.append(f"{path} {label}\n")
    (root / f"{split}.txt").write_text("".join(lines))
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))


def is_complete(root: Path, parameters: dict[str, int]) -> bool:
    """Whether a folder holds these data already.

    Args:
        root (Path): The folder, which need not exist.
        parameters (dict[str, int]): What the data are made from.

    Raises:
        ValueError: If something else lies there.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    manifest = root / MANIFEST
    if not manifest.is_file():
        raise ValueError(
            f"{root} exists and was not written by make_mini.py; "
            "give another folder with --out"
        )
    found = json.loads(manifest.read_text())
    if found["parameters"] != parameters:
        raise ValueError(
            f"{root} holds mini data made with {found['parameters']}, wanted "
            f"{parameters}; delete it or give another folder with --out"
        )
    return all((root / name).is_file() for name in found["files"])


def make_mini(
    out: Path,
    seed: int = 0,
    train: int = 160,
    val: int = 40,
    size: int = 256,
    clips: bool = False,
) -> bool:
    """Write the mini data, or keep what is there.

    Args:
        out (Path): The folder to write.
        seed (int): Seed of every choice. Defaults to 0.
        train (int): Number of pictures or clips to train on. Defaults to 160.
        val (int): Number of those to validate on. Defaults to 40.
        size (int): Height in px, and width of pictures. Defaults to 256.
        clips (bool): Whether to write clips in place of pictures. Defaults to False.

    Returns:
        bool: Whether it was written; False where it was complete.

    Raises:
        ValueError: If a number makes no sense or the folder holds something
            else.
        RuntimeError: If clips need PyAV, which is not installed.
    """
    for name, value, least in (
        ("seed", seed, 0),
        ("train", train, 1),
        ("val", val, 1),
        ("size", size, MIN_CLIP_SIZE if clips else MIN_SIZE),
    ):
        if value < least:
            raise ValueError(f"--{name} is {value}; expected at least {least}")
    if clips and size % 2:
        raise ValueError(f"--size is {size}; expected an even number for clips")
    parameters = dict(format=FORMAT, seed=seed, train=train, val=val, size=size)
    write: Callable[[Path, str, int, int, int], None] = write_split
    if clips:
        parameters.update(format=CLIPS_FORMAT, clips=True)
        write = write_clips
    if is_complete(out, parameters):
        return False
    # All or nothing: an interrupted run leaves no half-written folder.
    draft = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        draft.mkdir(parents=True)
        for split, count in (("train", train), ("val", val)):
            write(draft, split, count, seed, size)
        paths = sorted(p for p in draft.rglob("*") if p.is_file())
        files = [p.relative_to(draft).as_posix() for p in paths]
        manifest = dict(parameters=parameters, files=files)
        (draft / MANIFEST).write_text(json.dumps(manifest))
        if out.exists():
            shutil.rmtree(out)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return True


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--clips", action="store_true", help="clips of Kinetics' layout, not pictures")
    add("--out", type=Path, help=f"folder ({describe_default('out')})")
    add("--seed", type=int, default=0, help="seed (default: 0)")
    add("--train", type=int, help=f"number to train on ({describe_default('train')})")
    add("--val", type=int, help=f"number to evaluate on ({describe_default('val')})")
    add("--size", type=int, help=f"height in px ({describe_default('size')})")
    args = parser.parse_args()
    for name, value in (CLIPS if args.clips else PICTURES).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


def describe_default(name: str) -> str:
    """What an option is without being given."""
    return f"default: {PICTURES[name]}, of clips {CLIPS[name]}"


def main() -> int:
    """Write the data; return the exit code."""
    args = parse_args()
    try:
        written = make_mini(**vars(args))
    except (ValueError, RuntimeError, OSError) as error:
        print(f"make_mini.py: {error}", file=sys.stderr)
        return 1
    print(f"{args.out}: {'written' if written else 'complete, kept'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
