"""tools/leaderboard/run.py evaluates, records and fills the table."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from tiny import DET, SEG, Tool, load_script, load_tiny, save_weights
from tiny_classifier import write_classifier

from mmswinv2.evaluation.paper import PAPER
from mmswinv2.evaluation.records import read_records, write_record, write_results
from mmswinv2.places import CONFIG_DIR

RUN = "tools/leaderboard/run.py"
CONFIG = "cascade-mask-rcnn_swinv2-t-p4-w16_fpn_ms-crop-3x_coco"


def record_of(out: str) -> dict:
    return json.loads(Path(re.search(r"record: (.*)", out)[1]).read_text())


def test_detector(tool: Tool, data: Path, weights: dict[str, str]) -> None:
    """The record holds what the run printed, and what it was; no table is touched."""
    options = ["--data-root", data / "coco", "--results", "results.md"]
    out = tool(RUN, DET, weights[DET], "--protocol", "ss", *options)
    assert f"not entered into results.md: {DET}.py is none of configs/" in out
    assert not Path("results.md").exists()
    record = record_of(out)
    assert (record["config"], record["protocol"]) == (DET, "ss")
    assert record["images"] == 2
    digest = hashlib.sha256(Path(weights[DET]).read_bytes()).hexdigest()
    assert record["checkpoint"] == dict(name=Path(weights[DET]).name, sha256=digest)
    assert record["evaluator"]["type"] == "mmswinv2.CocoMetric"
    file = "DATA_ROOT/annotations/instances_val2017.json"
    assert record["evaluator"]["ann_file"] == file
    assert record["results"].keys() == {"box AP", "mask AP"}
    assert record["metrics"]["coco/bbox_mAP"] >= 0
    assert {"torch", "mmdet", "pycocotools", "mmswinv2"} <= record["versions"].keys()
    resize = record["pipeline"][1]
    assert (resize["type"], resize["scale"]) == ("Resize", [128, 128])


def test_classifier(
    tool: Tool, class_folders: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On its validation set, and on ImageNet-V2, by the numbers of folders."""
    for name, number in (("CLASSES", 11), ("PER_CLASS", 2)):
        monkeypatch.setattr(f"mmswinv2.pretraining.imagenet_v2.{name}", number)
    for label in range(11):
        folder = Path("v2/imagenetv2-matched-frequency-format-val", str(label))
        folder.mkdir(parents=True)
        for i in range(2):
            shutil.copy(class_folders / f"val/sky/{i}.jpg", folder / f"{i}.jpeg")
    config = write_classifier(tmp_path, class_folders)
    run = [RUN, config, save_weights(load_tiny(config), tmp_path / "3.pth")]
    flags = ["--results", "results.md", "--protocol"]
    record = record_of(tool(*run, *flags, "ss"))
    assert record["results"].keys() == {"top-1"} and record["images"] == 24
    assert "mmpretrain" in record["versions"]
    assert "has ImageClassifier with 3 classes" in tool.fails(*run, *flags, "v2")
    config.write_text(config.read_text().replace("num_classes=3", "num_classes=1000"))
    run = [RUN, config, save_weights(load_tiny(config), tmp_path / "1000.pth")]
    flags = ["--data-root", "v2", *flags]
    record = record_of(tool(*run, *flags, "v2"))
    assert (record["protocol"], record["images"]) == ("v2", 22)
    assert 0 <= record["results"]["top-1"] <= 100
    shutil.rmtree("v2/imagenetv2-matched-frequency-format-val/10")
    assert "is not ImageNet-V2" in tool.fails(*run, *flags, "v2")


def test_published_weights_are_recorded_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the file in the cache, whose hash the record has."""
    file = tmp_path / "cached.pth"
    monkeypatch.setattr("mmswinv2.checkpoints.zoo.fetch", lambda name: file)
    script = load_script(RUN)
    assert script.find_checkpoint("swinv2://tiny-w8-256") == (
        file,
        "swinv2://tiny-w8-256",
    )


def test_several_scales(tool: Tool, data: Path, weights: dict[str, str]) -> None:
    """The record of 'ms' names all scales and flips."""
    root = data / "ade/ADEChallengeData2016"
    options = ["--data-root", root, "--results", "results.md"]
    out = tool(RUN, SEG, weights[SEG], "--protocol", "ms", *options)
    record = record_of(out)
    assert record["results"].keys() == {"mIoU"}
    assert f"mIoU  {record['results']['mIoU']:g}" in out
    scales, flips = record["pipeline"][1]["transforms"][:2]
    assert [scale["scale"] for scale in scales] == [[128, 128], [160, 160]]
    assert [flip["prob"] for flip in flips] == [0.0, 1.0]


def test_entered(
    tool: Tool,
    data: Path,
    weights: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A whole run of a config of the table fills its row, and links to the record."""
    sizes = "mmswinv2.evaluation.records.VALIDATION_IMAGES"
    monkeypatch.setattr(sizes, {"mini": 2})
    options = ["--data-root", data / "coco", "--results", "pages/results.md"]
    out = tool(RUN, DET, weights[DET], "--protocol", "ss", *options)
    assert "table: pages/results.md" in out
    (record,) = read_records(Path("pages/results"))
    value = f"[{record['results']['box AP']:.1f}](results/{DET}.ss.json)"
    page = Path("pages/results.md").read_text()
    link = f"[{DET}](../configs/mini/{DET}.py)"
    assert f"| {link} | ss | box AP | - | {value} |" in page
    assert "| ss | box AP | 51.1 (Table 1) | not trained |" in page


def test_options_keep_a_run_out(
    tool: Tool,
    data: Path,
    weights: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A changed config has no place in the table; its record says what was changed."""
    sizes = "mmswinv2.evaluation.records.VALIDATION_IMAGES"
    monkeypatch.setattr(sizes, {"mini": 2})
    options = ["--results", "results.md", "--data-root", data / "coco"]
    options += ["--cfg-options", "model.backbone.window_size=4"]
    out = tool(RUN, DET, weights[DET], "--protocol", "ss", *options)
    assert "--cfg-options changed model.backbone.window_size" in out
    assert record_of(out)["options"]["model.backbone.window_size"] == "4"
    assert not Path("results.md").exists()


def test_bad_input(tool: Tool, data: Path, weights: dict[str, str]) -> None:
    """One message each, and no record or table is left."""
    root = ["--protocol", "ss", "--results", "results.md", "--data-root"]
    message = tool.fails(RUN, DET, "none.pth", *root, data / "coco")
    assert "none.pth does not exist" in message
    message = tool.fails(RUN, DET, weights[DET], *root, "nowhere")
    assert re.search("nowhere.* does not exist", message)
    message = tool.fails(RUN, DET, weights[DET], "--protocol", "v2")
    assert "is for classifiers of the 1000 classes" in message
    message = tool.fails(RUN, DET, weights[SEG], *root, data / "coco")
    assert "does not fit this MaskRCNN" in message
    test_set = ["test_dataloader.dataset.data_prefix.seg_map_path=annotations/testing"]
    message = tool.fails(
        RUN,
        SEG,
        weights[SEG],
        *root,
        data / "ade/ADEChallengeData2016",
        "--cfg-options",
        *test_set,
    )
    assert "annotations/testing does not exist" in message
    blind = ["--cfg-options", "model.test_cfg.rcnn.score_thr=1.0"]
    message = tool.fails(RUN, DET, weights[DET], *root, data / "coco", *blind)
    assert "has not detected anything" in message
    assert not list(Path().rglob("*.ss.json")) and not Path("results.md").exists()


def test_page(tmp_path: Path) -> None:
    """One row per number of the paper; ours beside it where a record has it."""
    record = dict(config=CONFIG, protocol="ss", results={"box AP": 50.94})
    record["checkpoint"] = dict(sha256="0")
    write_record(record, tmp_path / "results" / f"{CONFIG}.ss.json")
    configs = sorted(CONFIG_DIR.glob("[!_]*/*.py"))
    write_results(configs, tmp_path / "results", tmp_path / "results.md")
    rows = (tmp_path / "results.md").read_text().split("| --- |")[-1].splitlines()
    rows = [row for row in rows if row.startswith("| [")]
    assert len(rows) == sum(map(len, PAPER.values()))
    (row,) = [row for row in rows if f"[{CONFIG}]" in row]
    assert f"| 51.1 (Table 1) | [50.9](results/{CONFIG}.ss.json) |" in row
    assert sum("not trained" in row for row in rows) == len(rows) - 1
    (tmp_path / "results" / "other.json").write_text("{}")
    with pytest.raises(ValueError, match="is no record of a leaderboard run"):
        read_records(tmp_path / "results")
