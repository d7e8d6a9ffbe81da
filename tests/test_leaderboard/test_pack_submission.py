"""tools/leaderboard/pack_submission.py predicts, checks and packs."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.coco import COCO
from tiny import DET, SEG, Tool

PACK = "tools/leaderboard/pack_submission.py"
NAME = "detections_val2017_mine_results"
VAL = ["--name", "mine", "--split", "val2017", "--data-root"]
ADE = ["--name", "mine", "--split", "validation", "--data-root"]


def left() -> list[str]:
    """Whatever a run has left where archives belong."""
    return [str(path) for path in Path("submissions").rglob("*") if path.is_file()]


def test_coco(tool: Tool, data: Path, weights: dict[str, str]) -> None:
    """Boxes and masks under the official name, which pycocotools reads back."""
    out = tool(PACK, "coco", DET, weights[DET], *VAL, data / "coco")
    assert "server: none is known to accept" in out
    truth = COCO(data / "coco/annotations/instances_val2017.json")
    for kind in ("bbox", "segm"):
        archive = zipfile.ZipFile(f"submissions/{kind}/{NAME}.zip")
        assert archive.namelist() == [f"{NAME}.json"]
        Path("read.json").write_bytes(archive.read(f"{NAME}.json"))
        results = truth.loadRes("read.json")
        assert set(results.getImgIds()) == set(truth.getImgIds())
        first = results.dataset["annotations"][0]
        assert first["category_id"] in truth.getCatIds()
        assert [round(value, 1) for value in first["bbox"]] == first["bbox"]
        if kind == "segm":
            image = truth.loadImgs(first["image_id"])[0]
            size = image["height"], image["width"]
            assert results.annToMask(first).shape == size
    assert len(left()) == 2


def test_ade20k(tool: Tool, data: Path, weights: dict[str, str]) -> None:
    """Labels are those of the model plus one, at the size of the image."""
    root = data / "ade/ADEChallengeData2016"
    out = tool(PACK, "ade20k", SEG, weights[SEG], *ADE, root, "--tta")
    assert "2 label maps with" in out
    (path,) = left()
    archive = zipfile.ZipFile(path)
    assert archive.namelist() == ["ADE_val_00000001.png", "ADE_val_00000002.png"]
    image = Image.open(io.BytesIO(archive.read("ADE_val_00000001.png")))
    assert (image.mode, image.size) == ("L", (64, 64))

    # the same prediction by the model itself, which counts from 0
    from mmswinv2.apis import build_inferencer

    photo = root / "images/validation/ADE_val_00000001.jpg"
    tool(PACK, "ade20k", SEG, weights[SEG], *ADE, root)
    packed = zipfile.ZipFile(path).read("ADE_val_00000001.png")
    labels = np.asarray(Image.open(io.BytesIO(packed)))
    model = build_inferencer(SEG, weights[SEG], device="cpu")
    assert np.array_equal(labels, model(str(photo))["predictions"] + 1)


def test_ade20k_bad_predictions(tool: Tool, data: Path) -> None:
    """A missing image, another size, labels that count from 0; nothing is packed."""
    root = data / "ade/ADEChallengeData2016"
    pack = [PACK, "ade20k", "--predictions", "maps", *ADE, root]
    folder = Path("maps")
    assert "is no folder of label maps" in tool.fails(*pack)
    folder.mkdir()
    good = Image.fromarray(np.full((64, 64), 150, np.uint8))
    good.save(folder / "ADE_val_00000001.png")
    assert "but lacks 1: ADE_val_00000002" in tool.fails(*pack)
    second = folder / "ADE_val_00000002.png"
    for image, message in (
        (Image.fromarray(np.zeros((64, 64), np.uint8)), "labels 0 to 0"),
        (Image.fromarray(np.full((64, 64), 151, np.uint8)), "labels 151 to 151"),
        (Image.fromarray(np.ones((32, 64), np.uint8)), "64 x 32 px, but its image"),
        (good.convert("RGB"), "mode RGB; expected 8-bit grey"),
    ):
        image.save(second)
        assert message in tool.fails(*pack)
    assert not left()
    good.save(second)
    good.save(folder / "other.png")
    assert "has beside them 1: other" in tool.fails(*pack)
    (folder / "other.png").unlink()
    assert "2 label maps with 1 of 150 classes" in tool(*pack)


def test_coco_bad_predictions(tool: Tool, data: Path) -> None:
    """Every field of a detection is looked at before anything is packed."""
    pack = [PACK, "coco", "--predictions", "out", *VAL, data / "coco"]
    truth = COCO(data / "coco/annotations/instances_val2017.json")
    images = sorted(truth.getImgIds())
    category = truth.getCatIds()[0]
    good = [
        dict(image_id=i, category_id=category, bbox=[1.23, 2, 3, 4], score=0.5)
        for i in images
    ]
    mask = dict(size=[1, 2], counts="0")
    for change, message in (
        (dict(image_id=-1), "image -1, which is not in this split"),
        (dict(category_id=91), "category_id 91, but COCO's run from"),
        (dict(bbox=[0, 0, -1, 1]), "expected x, y, width, height"),
        (dict(bbox=[0, 0, float("nan"), 1]), "expected x, y, width, height"),
        (dict(score=1.5), "the score 1.5, not in 0 to 1"),
        (dict(segmentation=mask), "a mask of [1, 2] px, but its image"),
    ):
        bad = [good[0], {**good[1], **change}]
        Path("out.bbox.json").write_text(json.dumps(bad))
        assert message in tool.fails(*pack)
    Path("out.bbox.json").write_text(json.dumps(good[:1]))
    assert f"have no detection, such as image {images[1]}" in tool.fails(*pack)
    Path("out.bbox.json").write_text("[")
    assert "is no JSON file" in tool.fails(*pack)
    assert not left()
    many = [{**good[0], "score": i / 200} for i in range(150)]
    Path("out.bbox.json").write_text(json.dumps([*many, good[1]]))
    assert "101 detections in 2 of 2 images" in tool(*pack)
    packed = zipfile.ZipFile(f"submissions/bbox/{NAME}.zip").read(f"{NAME}.json")
    kept = json.loads(packed)
    assert min(d["score"] for d in kept if d["image_id"] == images[0]) == 0.25
    assert kept[0]["bbox"] == [1.2, 2.0, 3.0, 4.0]


def test_panoptic(tool: Tool) -> None:
    """Colours of PNGs, segments of the result file and images have to agree."""
    root, folder = Path("coco"), Path("out.panoptic")
    info = dict(
        images=[dict(id=7, width=4, height=2), dict(id=9, width=3, height=3)],
        categories=[dict(id=1), dict(id=200)],
    )
    (root / "annotations").mkdir(parents=True)
    (root / "test2017").mkdir()
    file = root / "annotations/panoptic_image_info_test-dev2017.json"
    file.write_text(json.dumps(info))
    colours = np.zeros((2, 4, 3), np.uint8)
    colours[0, 0] = 44, 1, 0  # segment 44 + 256
    folder.mkdir()
    Image.fromarray(colours).save(folder / "7.png")
    Image.fromarray(np.zeros((3, 3, 3), np.uint8)).save(folder / "9.png")
    segment = dict(id=300, category_id=200)
    first = dict(image_id=7, file_name="7.png", segments_info=[segment])
    second = dict(image_id=9, file_name="9.png", segments_info=[])
    pack = [PACK, "coco-panoptic", "--predictions", "out", "--name", "mine"]
    pack += ["--data-root", root]
    other = [dict(id=301, category_id=200)]
    unknown = [dict(id=300, category_id=2)]
    for annotations, message in (
        ([first], "but lacks 1: 9"),
        ([first, second, second], "has image 9 more than once"),
        ([{**first, "segments_info": other}, second], "only: [300, 301]"),
        ([{**first, "segments_info": unknown}, second], "category_id 2, which COCO"),
        ([first, {**second, "file_name": "7.png"}], "4 x 2 px, but its image is of 3"),
        ([first, {**second, "file_name": "8.png"}], "8.png is missing, of image 9"),
    ):
        Path("out.panoptic.json").write_text(json.dumps(dict(annotations=annotations)))
        assert message in tool.fails(*pack)
    assert not left()
    content = json.dumps(dict(annotations=[first, second]))
    Path("out.panoptic.json").write_text(content)
    assert "1 segments in 2 images" in tool(*pack)
    name = "panoptic_test-dev2017_mine_results"
    archive = zipfile.ZipFile(f"submissions/{name}.zip")
    assert archive.namelist() == [f"{name}.json", f"{name}/7.png", f"{name}/9.png"]


def test_arguments(tool: Tool, data: Path, weights: dict[str, str]) -> None:
    """What does not go together is said before a model runs."""
    coco = data / "coco"
    pack = [PACK, "coco", DET, weights[DET], "--name", "mine"]
    assert "has no split 'testing'" in tool.fails(*pack, "--split", "testing")
    message = tool.fails(*pack, "--data-root", coco)
    assert "image_info_test-dev2017.json does not exist" in message
    both = [*pack, "--predictions", "out", "--split", "val2017", "--data-root", coco]
    assert "not both" in tool.fails(*both)
    message = tool.fails(*pack[:-1], "a/b", "--split", "val2017", "--data-root", coco)
    assert "expected letters, digits" in message
    seg = [PACK, "coco", SEG, weights[SEG], *VAL, coco]
    assert "coco needs a config with CocoMetric, this has IoUMetric" in tool.fails(*seg)
