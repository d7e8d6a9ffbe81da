"""What is wrong with a COCO annotation file, and with its use by a config."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mmswinv2.datasets.coco_masks import MAX_SIDE, is_size

from .annotations import UNSOUND, CocoUse, check_annotations
from .findings import Finding, Severity, Tally, first


def check_coco(content: dict, file: str, use: CocoUse) -> Iterator[Finding]:
    """What is wrong with the records of an annotation file.

    Args:
        content (dict): The file's, as :func:`~..files.read_coco` gives it.
        file (str): Its path.
        use (CocoUse): What a run does with it.
    """
    faulty = [
        name
        for name in ("images", "annotations", "categories")
        if not all(isinstance(record, dict) for record in content.get(name, []))
    ]
    if faulty:
        what = f"the lists {', '.join(faulty)} hold other things than objects {{...}}"
        yield Finding("error", file, what, "write the file again")
        return
    if unfit := [*_check_ids(content, file, use)]:
        yield from unfit
        return
    names = _class_names(content, use)
    yield from _check_categories(content, file, use)
    images: dict[object, dict] = {}
    yield from _check_images(content["images"], file, images)
    if not content["images"]:
        yield Finding("error", file, "has no images", "check how it was made")
    elif "annotations" in content:
        filled: set[object] = set()
        yield from check_annotations(content, file, use, images, names, filled)
        yield from _check_filter(images, filled, file, use)


def _check_ids(content: dict, file: str, use: CocoUse) -> Iterator[Finding]:
    """Findings about ids that are neither numbers nor texts.

    The evaluation puts the ids of annotations into an array of numbers.
    """
    keys = {
        "images": ("id",),
        "annotations": ("id", "image_id", "category_id"),
        "categories": ("id", "name"),
    }
    for name, asked in keys.items():
        for key in asked:
            values = [record[key] for record in content.get(name, ()) if key in record]
            number = use.evaluated and (name, key) == ("annotations", "id")
            bad = [v for v in values if not _is_id(v) or (number and type(v) is str)]
            if bad:
                what = f"{name} whose {key!r} is no number" + " and no text" * (
                    not number
                )
                cure = f"write whole numbers as {key!r}"
                yield Finding("error", file, what, cure, len(bad), first(bad))


def _is_id(value: object) -> bool:
    if isinstance(value, (int, float)):
        return abs(value) < 2**63  # infinite and NaN neither
    return isinstance(value, str)


def _class_names(content: dict, use: CocoUse) -> dict[object, str]:
    """Names of the categories that a run learns, by id."""
    return {
        category["id"]: category["name"]
        for category in content["categories"]
        if {"id", "name"} <= category.keys()
        and (use.classes is None or category["name"] in use.classes)
    }


def _check_categories(content: dict, file: str, use: CocoUse) -> Iterator[Finding]:
    categories = content["categories"]
    tally = Tally()
    for category in categories:
        for name in ("id", "name"):
            if name not in category:
                tally.add(name, category)
        if not isinstance(category.get("name", ""), str):
            tally.add("text", category)
    for name in ("id", "name"):
        what, cure = f"categories without {name!r}", f"give each category its {name!r}"
        yield from tally.finding(name, file, what, cure)
    what, cure = "categories whose name is no text", 'write "name": "..."'
    yield from tally.finding("text", file, what, cure)
    if "name" in tally.counts:
        return
    for name in ("id", "name"):
        counts = Counter(c[name] for c in categories if name in c)
        twice = [value for value, count in counts.items() if count > 1]
        if twice and (name == "id" or use.classes is None or {*twice} & {*use.classes}):
            what = f"category {name}s that occur more than once"
            cure = "merge these categories"
            yield Finding("error", file, what, cure, len(twice), first(twice))
    if use.classes is not None:
        given = [category["name"] for category in categories]
        yield from _compare_classes(content, given, file, use)


def _compare_classes(
    content: dict, given: list[str], file: str, use: CocoUse
) -> Iterator[Finding]:
    wanted, key = use.classes or (), f"{use.key}.metainfo"
    if isinstance(wanted, str):
        what = f"classes is the text {wanted!r}, not a list of names"
        yield Finding("error", key, what, f"write classes=({wanted!r},) with the comma")
        return
    known = [name for name in given if name in wanted]
    cure = f"write {key}=dict(classes={tuple(given[:20])}{', ...' * (len(given) > 20)})"
    if not known:
        what = (
            f"has the categories {given[:3]}, of which the dataset knows none; it has "
            f"the classes {list(wanted)[:3]}"
        )
        yield Finding("error", file, what, f"set metainfo.classes: {cure}")
        return
    absent = [name for name in wanted if name not in given]
    ids = {c.get("id") for c in content["categories"] if c["name"] not in wanted}
    counts = Counter(a.get("category_id") for a in content.get("annotations", []))
    dropped = sum(counts[i] for i in ids)
    unknown = [name for name in given if name not in wanted]
    if unknown and (dropped or absent):
        severity: Severity = "error" if absent else "warning"
        what = (
            f"categories that the config does not know, whose {dropped} annotations "
            "would be background"
        )
        if absent:
            what += f"; it has {', '.join(absent[:3])} instead, which the file has not"
        where, examples = file, first(unknown)
        yield Finding(severity, where, what, cure, len(unknown), examples)
    elif known != list(wanted[: len(known)]):
        what = (
            f"names its categories in the order {known[:5]}, the config its classes in "
            f"the order {list(wanted[:5])}: mmdet numbers labels as the file does, so "
            "that objects would bear the wrong names"
        )
        cure = f"write all of these categories into the file, in this order; or {cure}"
        yield Finding("error", file, what, cure)
    elif absent:
        what = "classes of the config that the file has no category for"
        where, cure = key, f"take them out, or add them to {file}"
        yield Finding("warning", where, what, cure, len(absent), first(absent))


def _check_images(
    records: list[dict], file: str, images: dict[object, dict]
) -> Iterator[Finding]:
    """Findings about images; puts them into ``images`` by id."""
    needed = ("id", "file_name", "width", "height")
    tally = Tally()
    names: Counter[str] = Counter()
    for record in records:
        if lacking := [name for name in needed if name not in record]:
            for name in lacking:
                tally.add(name, record.get("file_name") or f"id {record.get('id')}")
            images[record.get("id")] = UNSOUND
            continue
        if not isinstance(record["file_name"], str):
            tally.add("text", f"id {record['id']}")
            images[record["id"]] = UNSOUND
            continue
        names[record["file_name"]] += 1
        if record["id"] in images:
            tally.add("twice", record["id"])
        size = record["width"], record["height"]
        if not is_size(*size):
            tally.add("size", f"{record['file_name']}: {size[0]} x {size[1]}")
            images[record["id"]] = UNSOUND
        else:
            images[record["id"]] = record
    for name in needed:
        what, cure = f"images without {name!r}", f"give each image its {name!r}"
        yield from tally.finding(name, file, what, cure)
    what, cure = "images whose file_name is no text", "write the name of the picture"
    yield from tally.finding("text", file, what, cure)
    what = "image ids that belong to another image already"
    yield from tally.finding("twice", file, what, "give each image an id of its own")
    what = f"images whose width or height is no whole number from 1 to {MAX_SIDE}"
    yield from tally.finding("size", file, what, "write the picture's size in px")
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        what = (
            "file names that several images have, so that the objects of one are "
            "background in the other"
        )
        cure = "keep one image for each file, with all its annotations"
        yield Finding("error", file, what, cure, len(twice), first(twice))


def _check_filter(
    images: dict[object, dict], filled: set[object], file: str, use: CocoUse
) -> Iterator[Finding]:
    least, filter_empty = (
        use.filter_cfg.get(name, 0) for name in ("min_size", "filter_empty_gt")
    )
    images = {i: image for i, image in images.items() if image is not UNSOUND}
    small = {i for i, im in images.items() if min(im["width"], im["height"]) < least}
    bare = images.keys() - filled if filter_empty else set()
    key = f"{use.key}.filter_cfg"
    if bare and not filled:  # told with the annotations
        return
    if images and not images.keys() - small - bare:
        what = f"leaves none of {len(images)} images: {len(small)} are under {least} px"
        what += f", {len(bare)} have no object" if bare else ""
        yield Finding("error", key, what, f"lower min_size, or look at {file}")
    elif small:
        what = f"images under min_size={least} px, which are not trained on"
        names = first(images[i]["file_name"] for i in small)
        yield Finding("warning", key, what, "lower min_size", len(small), names)
