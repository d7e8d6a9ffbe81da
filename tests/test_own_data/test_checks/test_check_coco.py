"""Every fault of an annotation file is found, and a sound one has none."""

import copy
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_sets import CLASSES, HEIGHT, WIDTH, coco_content, rle
from pycocotools import mask as coco_mask

from mmswinv2.own_data.checks.annotations import CocoUse
from mmswinv2.own_data.checks.coco import check_coco
from mmswinv2.own_data.checks.findings import Finding

USE = CocoUse(classes=CLASSES, masks=True)
Spoil = Callable[[dict], object]


def spoiled(spoil: Spoil, use: CocoUse = USE) -> list[Finding]:
    """The findings of a sound file that was changed."""
    content = coco_content()
    spoil(content)
    return [*check_coco(content, "a.json", use)]


def annotation(**changes: object) -> Spoil:
    """Changes the second annotation; None removes a key."""

    def change(content: dict) -> None:
        for key, value in changes.items():
            content["annotations"][1][key] = value
            if value is None:
                del content["annotations"][1][key]

    return change


def crowd(**changes: object) -> Spoil:
    """Changes the second annotation, as a crowd."""
    return annotation(iscrowd=1, **changes)


def every(key: str, value: object) -> Spoil:
    """Changes all annotations; None removes the key."""

    def change(content: dict) -> None:
        for record in content["annotations"]:
            record[key] = value
            if value is None:
                del record[key]

    return change


ERRORS = {
    "objects {...}": lambda c: c["images"].append("007.png"),
    "has no images": lambda c: c["images"].clear(),
    "1 images without 'file_name' (id 2)": lambda c: c["images"][1].pop("file_name"),
    "1 images without 'width' (002.png)": lambda c: c["images"][1].pop("width"),
    "images whose width or height": lambda c: c["images"][1].update(width=0),
    "1 image ids that belong": lambda c: c["images"][1].update(id=1),
    "1 file names that several": lambda c: c["images"][1].update(file_name="001.png"),
    "1 categories without 'id'": lambda c: c["categories"][0].pop("id"),
    "1 categories without 'name'": lambda c: c["categories"][0].pop("name"),
    "1 categories whose name is no text": lambda c: c["categories"][0].update(name=7),
    "1 images whose file_name": lambda c: c["images"][1].update(file_name=None),
    "1 category ids that occur": lambda c: c["categories"][1].update(id=1),
    "1 category names that occur": lambda c: c["categories"].append(
        dict(id=3, name="long")
    ),
    "knows none": lambda c: [k.update(name=k["name"].title()) for k in c["categories"]],
    "it has long instead": lambda c: c["categories"][1].update(name="lnog"),
    "wrong names": lambda c: c["categories"].reverse(),
    "without 'bbox' (id 2)": annotation(bbox=None),
    "without 'image_id'": annotation(image_id=None),
    "without 'area'": annotation(area=None),
    "12 annotations without 'iscrowd'": every("iscrowd", None),
    "with the id of another": annotation(id=1),
    "12 annotations of images": every("image_id", "1"),
    "1 annotations of categories": annotation(category_id=7),
    "made of finite numbers": annotation(bbox=[1, 2, 3]),
    "12 annotations of less than 1 px": every("bbox", [0.2, 0.3, 0.4, 0.2]),
    "or of no area": every("area", 0),
    "12 annotations whose box lies beyond": every("bbox", [900, 9, 20, 20]),
    "all look like corners": every("bbox", [20, 10, 40, 30]),
    "has no object to learn": every("iscrowd", 1),
    "0 annotations, 0 crowds": lambda c: c["annotations"].clear(),
    "no annotation has a 'segmentation'": every("segmentation", None),
    "1 annotations without 'segmentation'": annotation(segmentation=[]),
    "flat list": annotation(segmentation=[1, 2, 3, 4, 5, 6]),
    "neither polygons nor RLE": annotation(segmentation="polygon"),
    "fewer than 6": annotation(segmentation=[[1, 2, 3, 4]]),
    "odd number of values": annotation(segmentation=[[1, 2, 3, 4, 5, 6, 7]]),
    "no finite numbers": annotation(segmentation=[[1, 2, 3, "4", 5, 6]]),
    "12 annotations with a polygon that leaves": every(
        "segmentation", [[0, 0, 90, 0, 90, 90]]
    ),
    "12 annotations whose polygons and 'bbox'": every(
        "segmentation", [[0, 0, 1, 0, 1, 1]]
    ),
    "lacks 'size' or 'counts'": annotation(segmentation=dict(counts=[9])),
    "another size than the picture": annotation(
        segmentation=dict(rle(9, 9, 3, 3), size=[WIDTH, HEIGHT])
    ),
    "does not fill the picture": annotation(
        segmentation=dict(size=[HEIGHT, WIDTH], counts=[5, 5])
    ),
    "reaches a million px": annotation(segmentation=[[0, 0, 1e9, 0, 9, 9]]),
    "a polygon that reaches": crowd(segmentation=[[0, 0, 1e9, 0, 9, 9]]),
    "counts are broken or cut": crowd(
        segmentation=dict(size=[HEIGHT, WIDTH], counts=[WIDTH * HEIGHT - 0.5, 0.5])
    ),
    "whose bbox reaches": annotation(bbox=[1, 2, 3, 1e9]),
    "area is above 1e10": annotation(area=1e11),
    "numbers (id 2); bbox": annotation(bbox=[1, 2, 3, 10**400]),
    "numbers (id 2)": annotation(bbox=[1, 2, 3, True]),
    "neither 0 nor 1": annotation(iscrowd="no"),
    "annotations whose 'id' is no number (1000": annotation(id=10**400),
    "annotations whose 'id' is no number (x)": annotation(id="x"),
    "images whose 'id' is no number and no text": lambda c: c["images"][1].update(
        id=[1]
    ),
    "from 1 to 1048576": lambda c: c["images"][1].update(width=10**9),
    "counts are broken": annotation(
        segmentation=dict(size=[HEIGHT, WIDTH], counts="@@")
    ),
}
WARNINGS = {
    "1 annotations of images": annotation(image_id=99),
    "1 annotations of less than 1 px": annotation(bbox=[4, 4, 0, 5]),
    "1 boxes that leave": annotation(
        bbox=[40, 5, 12, 6], segmentation=[[40, 5, 48, 5, 48, 11]]
    ),
    "1 annotations with a polygon that leaves": annotation(
        segmentation=[[9, 5, 90, 5, 90, 14]]
    ),
    "1 classes without annotations (long)": every("category_id", 1),
    "the id 0": annotation(id=0),
}


@pytest.mark.parametrize("expected", ERRORS)
def test_errors(expected: str) -> None:
    """What stops a run, or spoils what it learns, is said with its place."""
    errors = [f for f in spoiled(ERRORS[expected]) if f.severity == "error"]
    assert expected in str(errors[0])  # the cause before what follows from it
    assert all(f.where == "a.json" and f.cure for f in errors)


@pytest.mark.parametrize("expected", WARNINGS)
def test_warnings(expected: str) -> None:
    """What the hosts leave out is a warning while it is rare."""
    (finding,) = spoiled(WARNINGS[expected])
    assert finding.severity == "warning"
    assert expected in str(finding)


def test_use_by_the_config() -> None:
    """Classes, masks and filters of the config are compared with the file."""
    unspoiled = lambda content: None  # noqa: E731
    (some,) = spoiled(unspoiled, CocoUse(classes=("long",)))
    assert some.severity == "warning" and "8 annotations would be" in some.what
    (more,) = spoiled(unspoiled, CocoUse(classes=(*CLASSES, "flat")))
    assert more.severity == "warning" and "no category for (flat)" in str(more)
    (text,) = spoiled(unspoiled, CocoUse(classes="round"))
    assert "classes=('round',) with the comma" in text.cure
    (rle_only,) = spoiled(unspoiled, CocoUse(CLASSES, masks=True, poly2mask=False))
    assert "4 annotations with RLE" in str(rle_only)
    (none,) = spoiled(unspoiled, CocoUse(CLASSES, filter_cfg=dict(min_size=33)))
    assert "leaves none of 4 images: 4 are under 33 px" in none.what
    assert not spoiled(every("segmentation", None), CocoUse(CLASSES))
    assert not spoiled(every("iscrowd", None), CocoUse(CLASSES, evaluated=False))


@given(pictures=st.integers(1, 4), objects=st.integers(2, 4), compressed=st.booleans())
def test_sound_files(pictures: int, objects: int, compressed: bool) -> None:
    """A sound file has no finding, whether its RLE is compressed or not."""
    content = coco_content(pictures, objects)
    for record in content["annotations"] if compressed else ():
        code = coco_mask.merge(
            coco_mask.frPyObjects(record["segmentation"], HEIGHT, WIDTH)
            if isinstance(record["segmentation"], list)
            else [coco_mask.frPyObjects(record["segmentation"], HEIGHT, WIDTH)]
        )
        record["segmentation"] = dict(code, counts=code["counts"].decode())
    assert [*check_coco(content, "a.json", USE)] == []


@given(
    st.sampled_from(sorted(ERRORS)),
    st.integers(2, 6),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_planted_fault(expected: str, pictures: int, objects: int, order) -> None:
    """A fault is found in files of any size, and wherever its record stands."""
    content = coco_content(pictures, objects)
    before = copy.deepcopy(content)
    ERRORS[expected](content)
    assert content != before
    order.shuffle(content["annotations"])
    findings = check_coco(content, "a.json", USE)
    assert any(finding.severity == "error" for finding in findings)
