"""The mini data: layout, truth, and what resolution does to them."""

import hashlib
import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from make_mini import coco_annotations, coco_categories, trace
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from mmseg.datasets import ADE20KDataset
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmswinv2.datasets.mini_scenes import (
    SMALL_THINGS,
    STUFF,
    THINGS,
    Scene,
    _draw_disc,
    draw_scene,
)

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "mini"
COCO_DATA_ROOT, ADE_DATA_ROOT = "coco", "ade/ADEChallengeData2016"


def digest(root: Path) -> dict[str, str]:
    paths = sorted(p for p in root.rglob("*") if p.is_file())
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in paths
    }


@pytest.fixture(scope="module")
def coco(mini: Path) -> COCO:
    return COCO(str(mini / "coco" / "annotations" / "instances_train2017.json"))


def test_the_trees_have_the_layouts_of_coco_and_ade20k(mini: Path):
    found = {path for path in digest(mini) if not path.startswith("mini")}
    expected = set()
    for split, folder, count in (("train", "training", 12), ("val", "validation", 8)):
        expected.add(f"coco/annotations/instances_{split}2017.json")
        for i in range(1, count + 1):
            expected.add(f"coco/{split}2017/{i:012d}.jpg")
            stem = f"{folder}/ADE_{split}_{i:08d}"
            expected.add(f"{ADE_DATA_ROOT}/images/{stem}.jpg")
            expected.add(f"{ADE_DATA_ROOT}/annotations/{stem}.png")
    assert found == expected


def test_a_seed_gives_the_same_bytes(mini: Path, make_mini: Callable, tmp_path: Path):
    make_mini("--out", tmp_path / "a", "--train", 12, "--val", 8)
    make_mini("--out", tmp_path / "b", "--train", 12, "--val", 8, "--seed", 1)
    assert digest(tmp_path / "a") == digest(mini)
    same = digest(tmp_path / "b").items() & digest(mini).items()
    assert not [path for path, _ in same if path.endswith((".jpg", ".json"))]


def test_a_picture_does_not_depend_on_how_many_there_are(
    mini: Path, make_mini: Callable, tmp_path: Path
):
    make_mini("--out", tmp_path / "a", "--train", 3, "--val", 2)
    pictures = {k: v for k, v in digest(tmp_path / "a").items() if "json" not in k}
    assert pictures.items() <= digest(mini).items()


def test_a_complete_tree_is_kept_and_an_incomplete_one_mended(
    make_mini: Callable, tmp_path: Path
):
    arguments = ("--out", tmp_path / "mini", "--train", 2, "--val", 2)
    make_mini(*arguments)
    before = digest(tmp_path)
    picture = tmp_path / "mini" / "coco" / "val2017" / "000000000001.jpg"
    written = picture.stat().st_mtime_ns
    assert "kept" in make_mini(*arguments).stdout
    assert picture.stat().st_mtime_ns == written
    picture.unlink()
    assert "written" in make_mini(*arguments).stdout
    assert digest(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seed", "-1"), "--seed is -1; expected at least 0"),
        (("--train", "0"), "--train is 0; expected at least 1"),
        (("--size", "8"), "--size is 8; expected at least 64"),
    ],
)
def test_senseless_numbers_are_refused(
    make_mini: Callable, tmp_path: Path, arguments: tuple, message: str
):
    done = make_mini("--out", tmp_path / "mini", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "mini").exists()


def test_other_content_is_left_alone(make_mini: Callable, tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    done = make_mini("--out", tmp_path, "--train", 2, "--val", 2)
    assert done.returncode == 1
    assert "was not written by make_mini.py" in done.stderr
    assert digest(tmp_path).keys() == {"thesis.txt"}


def test_data_of_other_parameters_are_left_alone(make_mini: Callable, mini: Path):
    before = digest(mini)
    done = make_mini("--out", mini, "--train", 2, "--val", 2)
    assert done.returncode == 1
    assert "'train': 12" in done.stderr
    assert digest(mini) == before


def test_categories_are_those_of_coco():
    categories = coco_categories()
    names = tuple(category["name"] for category in categories)
    assert names == CocoDataset.METAINFO["classes"]
    ids = {category["name"]: category["id"] for category in categories}
    # landmarks after each gap in COCO's numbering
    known = {"person": 1, "stop sign": 13, "backpack": 27, "wine glass": 46}
    known |= {"dining table": 67, "tv": 72, "book": 84, "toothbrush": 90}
    assert known.items() <= ids.items()


def test_labels_are_those_of_ade20k():
    names = ADE20KDataset.METAINFO["classes"]
    for stuff in STUFF:
        assert names[stuff.ade_label - 1] == stuff.name
    for thing in THINGS:
        assert thing.coco_name.endswith(names[thing.ade_label - 1])


def test_boxes_and_areas_agree_with_masks(coco: COCO):
    assert len(coco.anns) > 60
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        x, y, width, height = cv2.boundingRect(mask)
        assert np.allclose(annotation["bbox"], (x, y, width, height), atol=1.01)
        assert annotation["area"] == mask.sum() > 0


def test_polygons_follow_the_mask_they_were_traced_from():
    for i in range(5):
        for _, mask in draw_scene(np.random.default_rng(i), 256).objects:
            parts = coco_mask.frPyObjects(trace(mask), 256, 256)
            drawn = coco_mask.decode(coco_mask.merge(parts)).astype(bool)
            filled = mask.astype(np.uint8)
            outlines, _ = cv2.findContours(
                filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
            )
            filled = cv2.drawContours(filled.copy(), outlines, -1, 1, -1) > 0
            assert (drawn & filled).sum() / (drawn | filled).sum() > 0.9


def test_a_crowd_is_one_region_of_uncompressed_run_lengths():
    heap = np.zeros((64, 48), bool)
    heap[0, 0] = heap[10:20, 5:9] = heap[63, 47] = True
    scene = Scene(np.zeros((64, 48, 3)), np.zeros((64, 48)), crowds=[(THINGS[3], heap)])
    (crowd,) = coco_annotations(scene, {THINGS[3].coco_name: 37})
    code = coco_mask.frPyObjects(crowd["segmentation"], 64, 48)
    assert crowd["iscrowd"] == 1
    assert (coco_mask.decode(code) == heap).all()
    assert crowd["area"] == heap.sum()


def test_most_objects_are_small_and_some_are_large(coco: COCO):
    areas = np.array([annotation["area"] for annotation in coco.anns.values()])
    assert 0.6 < (areas < 32**2).mean() < 0.9
    assert (areas > 96**2).sum() >= 2
    small = {category.coco_name for category in SMALL_THINGS}
    for annotation in coco.anns.values():
        if coco.cats[annotation["category_id"]]["name"] in small:
            assert annotation["area"] < 32**2


def test_some_objects_overlap(coco: COCO):
    pairs = 0
    for image in coco.imgs:
        boxes = [a["bbox"] for a in coco.imgToAnns[image]]
        overlaps = coco_mask.iou(np.array(boxes), np.array(boxes), [0] * len(boxes))
        pairs += (np.triu(overlaps, 1) > 0).sum()
    assert pairs >= len(coco.imgs)


def test_half_the_size_hides_which_small_object_it_is():
    discs = {}
    for thing in SMALL_THINGS:
        rng, centre = np.random.default_rng(0), np.array((32.0, 32.0))
        colours, mask = _draw_disc(rng, thing, 64, centre, 26)
        full = np.where(mask[..., None], colours, 128).astype(np.uint8)
        half = cv2.resize(full, (32, 32), interpolation=cv2.INTER_LINEAR)
        discs[thing] = full[24:40, 24:40].astype(int), half[12:20, 12:20].astype(int)
    for one, other in combinations(SMALL_THINGS, 2):
        full, half = (abs(a - b) for a, b in zip(discs[one], discs[other]))
        assert full.mean() > 50  # grey levels
        assert half.max() <= 1


@pytest.mark.parametrize(
    ("config", "root", "scope"),
    [
        ("mask-rcnn_swinv2-nano-p4-w16_fpn_mini-256px.py", COCO_DATA_ROOT, "mmdet"),
        ("swinv2-nano-p4-w16_upernet_mini-256px.py", ADE_DATA_ROOT, "mmseg"),
    ],
)
@pytest.mark.parametrize(("split", "count"), [("train", 12), ("val", 8)])
def test_the_real_datasets_read_them(
    mini: Path, config: str, root: str, scope: str, split: str, count: int
):
    init_default_scope(scope)
    dataset = Config.fromfile(CONFIGS / config)[f"{split}_dataloader"].dataset
    with DATASETS.switch_scope_and_registry(scope) as registry:
        data = registry.build({**dataset, "data_root": str(mini / root)})
    assert len(data) == count
    seen: set[int] = set()
    for item in data:
        assert item["inputs"].shape == (3, 256, 256)
        sample = item["data_samples"]
        if scope == "mmdet":
            instances = sample.gt_instances
            assert len(instances.labels) == len(instances.masks) > 0
            seen.update(data.metainfo["classes"][i] for i in instances.labels)
        else:
            seen.update(sample.gt_sem_seg.data.unique().tolist())
    if scope == "mmdet":
        assert seen == {thing.coco_name for thing in THINGS}
    else:
        labels = {known.ade_label - 1 for known in (*THINGS, *STUFF)}
        assert 255 in seen
        assert seen <= labels | {255}
        assert len(seen & labels) > len(THINGS)


def test_the_annotation_file_has_the_fields_of_coco(mini: Path):
    path = mini / "coco" / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    assert content.keys() == {"info", "licenses", "images", "annotations", "categories"}
    assert content["annotations"][0].keys() == {
        *("segmentation", "area", "iscrowd", "image_id", "bbox", "category_id", "id")
    }
    assert content["images"][0].keys() == {
        *("license", "file_name", "coco_url", "height", "width", "date_captured"),
        *("flickr_url", "id"),
    }
