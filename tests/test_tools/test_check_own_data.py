"""tools/check_data.py, and the same checks before a run."""

import json
from pathlib import Path

import pytest
from made_sets import coco_content, write_coco, write_labels
from tiny import DET, SEG, Tool
from tiny_classifier import write_classifier

CHECK, TRAIN = "tools/check_data.py", "tools/train.py"


def test_sound(tool: Tool, data: Path, tmp_path: Path) -> None:
    """Configs, files and folders without a fault end with exit code 0."""
    for task, name, root in (("coco", DET, "coco"), ("seg", SEG, "ade/ADE*2016")):
        (folder,) = data.glob(root)
        page = tool(CHECK, task, name, "--cfg-options", f"data_root={folder}")
        assert page.splitlines()[-1] == "0 errors, 0 warnings"
    file = write_coco(tmp_path / "objects", coco_content())
    assert "0 errors" in tool(CHECK, "coco", file, tmp_path / "objects/images")
    write_labels(tmp_path / "pixels")
    folders = [tmp_path / "pixels/images", tmp_path / "pixels/labels"]
    assert "0 errors" in tool(CHECK, "seg", *folders, "--classes", 3)


def test_sound_folders_of_classes(tool: Tool, class_folders: Path) -> None:
    """A classifier's config ends with exit code 0, and is no detector's."""
    config = write_classifier(Path.cwd(), class_folders)
    assert tool(CHECK, "cls", config).splitlines()[-1] == "0 errors, 0 warnings"
    assert "for mmpretrain: not coco, but cls" in tool.fails(CHECK, "coco", config)


def test_faults(tool: Tool, tmp_path: Path) -> None:
    """A page with counts, first names and cures, and exit code 1."""
    content = coco_content()
    file = write_coco(tmp_path / "objects", content)
    (tmp_path / "objects/images/003.png").unlink()
    content["annotations"][0]["segmentation"] = [1, 2, 3, 4, 5, 6]
    content["annotations"][1]["bbox"][2] = 0
    file.write_text(json.dumps(content))
    code, page, _ = tool.run(CHECK, "coco", file, tmp_path / "objects/images")
    assert code == 1
    assert "1 files that are missing" in page and "003.png" in page
    assert "flat list" in page and "[[x1, y1, x2, y2, ...]]" in page
    assert page.index("error") < page.index("warning")
    assert page.endswith("2 errors, 1 warnings\n")
    write_labels(tmp_path / "pixels")
    folders = [tmp_path / "pixels/images", tmp_path / "pixels/labels"]
    code, page, _ = tool.run(CHECK, "seg", *folders, "--classes", 2)
    assert code == 1 and "expected 0 to 1" in page


def test_arguments(tool: Tool, data: Path, tmp_path: Path) -> None:
    """What is no config and no pair of paths."""
    assert "is for mmseg" in tool.fails(CHECK, "coco", SEG)
    assert "two paths of coco or seg, got 3" in tool.fails(CHECK, "seg", "a", "b", "c")
    assert "nowhere does not exist" in tool.fails(CHECK, "seg", "nowhere", tmp_path)


def test_before_a_run(
    tool: Tool, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run is refused with all faults; MMSWINV2_PREFLIGHT=0 lets it try."""
    (root,) = data.glob("ade/ADE*2016")
    options = ["--cfg-options", f"data_root={root}", "model.backbone.qk_scale=1.0"]
    options += ["model.decode_head.num_classes=20", "train_dataloader.batch_size=1"]
    message = tool.fails(TRAIN, SEG, *options)
    assert "3 faults" in message
    for part in ("1. model.backbone: has Swin V1's qk_scale", "num_classes=20", "BN"):
        assert part in message
    assert not Path("work_dirs").exists()
    monkeypatch.setenv("MMSWINV2_PREFLIGHT", "0")
    message = tool.fails(TRAIN, SEG, *options)
    assert "qk_scale" in message and "Swin V1" not in message
