"""tools/leaderboard/check_data.py finds what a job would die of."""

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


def test_arguments(tool: Tool, whole: dict[str, Path]) -> None:
    assert "nowhere is no folder" in tool.fails(CHECK, "coco", "nowhere")
    message = tool.fails(CHECK, "coco", whole["coco"], "--splits", "validation")
    assert "coco has no split validation; it has train2017" in message
