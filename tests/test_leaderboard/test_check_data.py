"""tools/leaderboard/check_data.py finds what a job would die of."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import Tool

CHECK = "tools/leaderboard/check_data.py"
SIZES = "mmswinv2.evaluation.data_checks"


@pytest.fixture
def whole(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> dict[str, Path]:
    """Copies of the mini data, which are taken for whole benchmarks."""
    coco = {"train2017": 2, "val2017": 2, "test2017": 2}
    ade = {"training": 2, "validation": 2, "testing": 2}
    monkeypatch.setattr(f"{SIZES}.COCO_IMAGES", coco)
    monkeypatch.setattr(f"{SIZES}.ADE20K_IMAGES", ade)
    shutil.copytree(data, tmp_path / "mini")
    root = tmp_path / "mini"
    return {"coco": root / "coco", "ade20k": root / "ade/ADEChallengeData2016"}


def test_whole_trees(tool: Tool, whole: dict[str, Path]) -> None:
    for benchmark, root in whole.items():
        out = tool(CHECK, benchmark, root)
        assert "FAILED" not in out
        assert out.count("ok ") == {"coco": 6, "ade20k": 8}[benchmark]


def test_broken_coco(tool: Tool, whole: dict[str, Path]) -> None:
    """Counts, images of the annotation file, boxes, sizes, truncated files."""
    root = whole["coco"]
    file = root / "annotations/instances_val2017.json"
    content = json.loads(file.read_bytes())
    check = [CHECK, "coco", root, "--splits", "val2017"]

    def line(broken: dict | str) -> str:
        text = broken if isinstance(broken, str) else json.dumps(broken)
        file.write_text(text)
        code, out, err = tool.run(*check)
        assert code == 1 and "1 checks of" in err
        (failed,) = [row for row in out.splitlines() if row.startswith("FAILED")]
        return failed

    annotation, *others = content["annotations"]
    wide = {**annotation, "bbox": [0, 0, 1000, 1]}
    assert "leaves its image" in line({**content, "annotations": [wide, *others]})
    strange = {**annotation, "category_id": 1000}
    message = line({**content, "annotations": [strange, *others]})
    assert "unknown image or category" in message
    image, *rest = content["images"]
    message = line({**content, "images": [{**image, "width": 65}, *rest]})
    assert "is of 64 x 64 px, but instances_val2017.json says 65 x 64 px" in message
    assert "is no JSON file" in line(json.dumps(content)[:-9])
    file.write_text(json.dumps(content))
    (root / "val2017" / image["file_name"]).unlink()
    code, out, _ = tool.run(*check)
    assert code == 1
    assert "has 1 of 2 .jpg files" in out
    assert "lacks 1 of the 2 images" in out


def test_broken_ade20k(tool: Tool, whole: dict[str, Path]) -> None:
    """Label maps in colour, of other sizes, or missing; images cut short."""
    root = whole["ade20k"]
    label = root / "annotations/validation/ADE_val_00000001.png"
    check = [CHECK, "ade20k", root, "--splits", "validation"]
    for array, message in (
        (np.ones((64, 64, 3), np.uint8), "no label map of SceneParse150"),
        (np.full((64, 64), 151, np.uint8), "values up to 151"),
        (np.ones((64, 32), np.uint8), "another size than its image"),
    ):
        Image.fromarray(array).save(label)
        code, out, _ = tool.run(*check)
        assert code == 1
        assert message in out
    label.unlink()
    photo = root / "images/validation/ADE_val_00000002.jpg"
    photo.write_bytes(photo.read_bytes()[:200])
    code, out, _ = tool.run(*check)
    assert code == 1
    assert "lacks 1 of 2 label maps, such as ADE_val_00000001.png" in out
    assert "cannot be read as an image" in out


@pytest.fixture
def classes(monkeypatch: pytest.MonkeyPatch, class_folders: Path, tmp_path: Path):
    """Twelve classes of two pictures, taken for ImageNet-1K's and for V2's."""
    monkeypatch.setattr(f"{SIZES}.CLASSES", 12)
    monkeypatch.setattr(f"{SIZES}.IMAGENET_IMAGES", {"train": 24, "val": 24})
    monkeypatch.setattr(f"{SIZES}.V2_IMAGES", {"top-images": 24})
    ids = [f"n{i:08}" for i in range(12)]
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
    monkeypatch.setattr(f"{SIZES}.WORDNET_IDS", digest)
    for folder, names in (
        ("in/train", ids),
        ("in/val", ids),
        ("v2/imagenetv2-top-images-format-val", map(str, range(12))),
    ):
        for name in names:
            path = tmp_path / folder / name
            path.mkdir(parents=True)
            for i in range(2):
                shutil.copy(class_folders / f"val/sky/{i}.jpg", path / f"{i}.JPEG")
    return tmp_path


def test_folders_of_classes(tool: Tool, classes: Path) -> None:
    """Whole ones pass; other names, counts and what is no picture do not."""
    top = ["imagenet-v2", "v2", "--splits", "top-images"]
    for benchmark in (["imagenet", "in"], top):
        assert "FAILED" not in tool(CHECK, *benchmark)
    (classes / "in/train/n00000003/1.JPEG").rename(classes / "in/train/more.JPEG")
    (classes / "in/val/n00000003/1.JPEG").rename(classes / "in/val/n00000004/2.JPEG")
    (classes / "in/val/n00000000/0.JPEG").write_text("no picture")
    (classes / "v2/imagenetv2-top-images-format-val/11").rename(classes / "11")
    code, out, _ = tool.run(CHECK, "imagenet", "in")
    assert code == 1
    failed = [row for row in out.splitlines() if row.startswith("FAILED")]
    assert len(failed) == 3
    assert "in/train has 23 of 24 pictures" in failed[0]
    assert "24 of 24 pictures, 2 in each folder; n00000003 has 1" in failed[1]
    assert "cannot be read as an image" in failed[2]
    code, out, _ = tool.run(CHECK, *top)
    assert code == 1 and "has 11 folders, such as '0'; expected the numbers" in out


def test_arguments(tool: Tool, whole: dict[str, Path]) -> None:
    assert "nowhere is no folder" in tool.fails(CHECK, "coco", "nowhere")
    message = tool.fails(CHECK, "coco", whole["coco"], "--splits", "validation")
    assert "coco has no split validation; it has train2017" in message
