"""tools/test.py evaluates, draws and keeps predictions."""

import json
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny import DET, SEG, Tool, load_tiny, save_weights
from tiny_classifier import write_classifier


@pytest.fixture(scope="module")
def det(tmp_path_factory: pytest.TempPathFactory, data: Path) -> list[str]:
    """Config, weights and data of a detector; there are no data to train on."""
    folder = tmp_path_factory.mktemp("det")
    untrainable = "train_dataloader.dataset.ann_file=none.json"
    return [*write(DET, folder), f"data_root={data / 'coco'}", untrainable]


@pytest.fixture(scope="module")
def seg(tmp_path_factory: pytest.TempPathFactory, data: Path) -> list[str]:
    """Config, weights and data of a segmentor; there are no data to train on."""
    folder = tmp_path_factory.mktemp("seg")
    root = f"data_root={data / 'ade/ADEChallengeData2016'}"
    untrainable = "train_dataloader.dataset.data_prefix.img_path=none"
    return [*write(SEG, folder), root, untrainable]


def write(name: str, folder: Path) -> list[str]:
    """A config and weights in a folder, as arguments that options can follow."""
    cfg = load_tiny(name)
    config = folder / "config.py"
    cfg.dump(config)
    weights = save_weights(cfg, folder / "weights.pth")
    return [str(config), weights, "--cfg-options"]


def table(out: str) -> dict[str, float]:
    """The metrics in the last lines of the output."""
    rows = out.strip().split("\n\n")[-1].splitlines()
    return {name: float(value) for name, value in map(str.split, rows)}


def test_detection(tool: Tool, det: list[str]) -> None:
    """A table of box and mask AP, a picture per image, and all predictions."""
    flags = ["--show-dir", "shown", "--out", "kept/predictions.pkl"]
    metrics = table(tool("tools/test.py", *det, *flags))
    assert {"bbox_mAP", "bbox_mAP_s", "segm_mAP", "segm_mAP_s"} <= metrics.keys()
    pictures = sorted(path.name for path in Path("shown").iterdir())
    assert len(pictures) == 2
    assert pictures == ["000000000001.jpg", "000000000002.jpg"]
    drawn = cv2.imread(f"shown/{pictures[0]}")
    assert drawn.shape[1] == 2 * 8 * 64 + 4  # truth beside it
    kept = pickle.loads(Path("kept/predictions.pkl").read_bytes())
    assert len(kept) == 2
    assert [path.name for path in Path("work_dirs/config").iterdir()] == ["test"]
    assert "masks" in kept[0]["pred_instances"]


def test_detection_tta(tool: Tool, det: list[str]) -> None:
    """Boxes and masks of the views are merged and evaluated."""
    out = tool("tools/test.py", *det, "--tta", "--out", "tta.pkl")
    assert {"bbox_mAP", "segm_mAP"} <= table(out).keys()
    kept = pickle.loads(Path("tta.pkl").read_bytes())[0]["pred_instances"]
    assert 0 < len(kept["bboxes"]) == len(kept["masks"]) <= 100


def test_detection_tta_of_boxes(tool: Tool, det: list[str]) -> None:
    """Boxes alone are merged by mmdet's model of TTA; no masks are made."""
    boxes_only = "tta_model.type=DetTTAModel"
    out = tool("tools/test.py", *det, boxes_only, "--tta", "--out", "tta.pkl")
    assert "the mask branch is left out" in out
    assert all(name.startswith("bbox_mAP") for name in table(out))
    kept = pickle.loads(Path("tta.pkl").read_bytes())
    assert "masks" not in kept[0]["pred_instances"]
    assert len(kept[0]["pred_instances"]["bboxes"]) > 0


def test_segmentation(tool: Tool, seg: list[str]) -> None:
    """A table, pictures, and label maps as ADE20K's: 1 to 150, named like images."""
    flags = ["--show-dir", "shown", "--out", "labels"]
    metrics = table(tool("tools/test.py", *seg, *flags))
    assert metrics.keys() == {"aAcc", "mIoU", "mAcc"}
    shown = sorted(path.name for path in Path("shown").iterdir())
    assert shown == ["ADE_val_00000001.jpg", "ADE_val_00000002.jpg"]
    drawn = cv2.imread(f"shown/{shown[0]}")
    assert drawn.shape[1] == 2 * 8 * 64 + 4
    labels = cv2.imread("labels/ADE_val_00000001.png", cv2.IMREAD_UNCHANGED)
    assert labels.shape == (64, 64)
    assert labels.min() >= 1 and labels.max() <= 150


def test_segmentation_tta(tool: Tool, seg: list[str]) -> None:
    """The mean over views differs from the prediction of one view."""
    tool("tools/test.py", *seg, "--out", "one")
    metrics = table(tool("tools/test.py", *seg, "--out", "many", "--tta"))
    assert metrics.keys() == {"aAcc", "mIoU", "mAcc"}
    one, many = (
        cv2.imread(f"{folder}/ADE_val_00000001.png", cv2.IMREAD_UNCHANGED)
        for folder in ("one", "many")
    )
    assert one.shape == many.shape
    assert np.any(one != many)


@pytest.fixture(scope="module")
def cls(tmp_path_factory: pytest.TempPathFactory, class_folders: Path) -> list[str]:
    """Config and weights of a classifier; there are no data to train on."""
    folder = tmp_path_factory.mktemp("cls")
    config = write_classifier(folder, class_folders)
    weights = save_weights(load_tiny(config), folder / "weights.pth")
    untrainable = "train_dataloader.dataset.data_root=none"
    return [str(config), weights, "--cfg-options", untrainable]


@pytest.mark.parametrize("flags", [[], ["--tta"]])
def test_classification(tool: Tool, cls: list[str], flags: list[str]) -> None:
    """A table, a picture per image, and scores that mmpretrain's tools read."""
    keep = ["--show-dir", "shown", "--out", "kept/scores.pkl"]
    metrics = table(tool("tools/test.py", *cls, *flags, *keep))
    assert metrics.keys() == {"top1", "top2"}
    shown = {path.name for path in Path("shown").iterdir()}
    assert {"0.jpg", "grass_0.jpg"} <= shown and len(shown) == 24
    drawn = cv2.imread("shown/0.jpg")
    green, blue = np.array([115, 158, 0]), np.array([178, 114, 0])
    for color in (green, blue):  # the bars of the true class and of others
        assert (np.abs(drawn.astype(int) - color).max(-1) < 20).sum() > 20
    kept = pickle.loads(Path("kept/scores.pkl").read_bytes())
    labels = [int(sample["pred_score"].argmax()) for sample in kept]
    assert labels == [int(sample["pred_label"]) for sample in kept]
    measure = ["eval_metric", "kept/scores.pkl", "--metric", "type=Accuracy", "topk=1"]
    told = tool("tools/run.py", "cls", *measure)
    assert f"'accuracy/top1': {metrics['top1']:.3f}"[:-4] in told


def test_classification_of_pictures_without_labels(
    tool: Tool, cls: list[str], class_folders: Path
) -> None:
    """Predictions are kept, or it is said that there is nothing else to do."""
    folder = f"test_dataloader.dataset.data_root={class_folders / 'val/sky'}"
    command = [*cls, folder, "test_dataloader.dataset.with_label=False"]
    message = tool.fails("tools/test.py", *command)
    assert "add --out FILE.pkl or --show-dir DIR" in message
    out = tool("tools/test.py", "--out", "scores.pkl", *command)
    assert "no metrics: there were no labels" in out
    assert len(pickle.loads(Path("scores.pkl").read_bytes())) == 8


def without_labels(data: Path, folder: Path) -> Path:
    """A copy of the data whose validation set has pictures only."""
    copied = shutil.copytree(data, folder / "unlabelled")
    file = copied / "coco/annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    del content["annotations"]
    file.write_text(json.dumps(content))
    shutil.rmtree(copied / "ade/ADEChallengeData2016/annotations/validation")
    return copied


@pytest.mark.parametrize("flags", [[], ["--tta"]])
def test_predictions_of_pictures_without_labels(
    tool: Tool, det: list[str], seg: list[str], data: Path, flags: list[str]
) -> None:
    """Both tasks write them where they are told, and say so if they are not."""
    root = without_labels(data, Path.cwd())
    command = [*flags, *det[:3], f"data_root={root / 'coco'}"]
    command.append("test_evaluator.format_only=True")
    message = tool.fails("tools/test.py", *command)
    assert "test_evaluator.outfile_prefix=" in message
    out = tool("tools/test.py", *command, "test_evaluator.outfile_prefix=out/found")
    assert "no metrics: there were no labels" in out
    assert json.loads(Path("out/found.segm.json").read_text())

    command = [*flags, *seg[:3], f"data_root={root / 'ade/ADEChallengeData2016'}"]
    command.append("test_evaluator.format_only=True")
    assert "test_evaluator.output_dir=" in tool.fails("tools/test.py", *command)
    tool("tools/test.py", *command, "test_evaluator.output_dir=maps")
    assert len(list(Path("maps").iterdir())) == 2
