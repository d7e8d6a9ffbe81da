"""Annotations that would kill a process are refused wherever they are read."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from made_sets import CLASSES, HEIGHT, WIDTH, coco_content, write_coco
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, METRICS, init_default_scope
from tiny import DET, Tool
from torch.utils.data import DataLoader

from mmswinv2.datasets.bounds import check_truth
from mmswinv2.datasets.fetch import use_fetch

FAR = [[0, 0, 1e9, 0, 1e9, 1e9]]
FAULTS = {  # of a segmentation: each of them killed a worker or made up a mask
    "polygon that reaches a million px": FAR,
    "polygon whose values are no finite": [[0, 0, float("nan"), 0, 5, 5]],
    "RLE has another size": dict(size=[10**9, 10**9], counts=[0, 10]),
    "RLE does not fill": dict(size=[HEIGHT, WIDTH], counts=""),
}


def spoilt(root: Path, segmentation: object) -> Path:
    content = coco_content()
    content["annotations"][1]["segmentation"] = segmentation
    return write_coco(root, content)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_loader_names_what_it_refuses(
    fault: str, wrapped: bool, tmp_path: Path
) -> None:
    """The error names the file, the object and the fault."""
    init_default_scope("mmdet")
    file = spoilt(tmp_path, FAULTS[fault])
    dataset = dict(
        type="CocoDataset",
        ann_file=str(file),
        data_prefix=dict(img=str(tmp_path / "images")),
        metainfo=dict(classes=CLASSES),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
        ],
    )
    if wrapped:
        dataset = dict(type="RepeatDataset", times=2, dataset=dataset)
        dataset = dict(type="ConcatDataset", datasets=[dataset])
    loader = DataLoader(DATASETS.build(dataset), collate_fn=list)
    use_fetch(loader)
    use_fetch(loader)  # as before every evaluation
    with pytest.raises(
        RuntimeError, match=rf"001\.png, .* object 1 is one of .*{fault}"
    ):
        next(iter(loader))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_metric_is_refused_before_it_computes(fault: str, tmp_path: Path) -> None:
    """Where it compares masks; boxes are read without."""
    init_default_scope("mmdet")
    file = str(spoilt(tmp_path, FAULTS[fault]))
    for kind in ("CocoMetric", "mmswinv2.CocoMetric"):
        for metric in ("bbox", "segm"):
            cfg = dict(type=kind, ann_file=file, metric=metric)
            evaluator = Evaluator([METRICS.build(cfg)])
            if metric == "bbox":
                check_truth(evaluator)
                continue
            with pytest.raises(ValueError, match=f"annotation 2 is one of .*{fault}"):
                check_truth(evaluator)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_run_without_looking_at_data_first(
    split: str, tool: Tool, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training on them, or evaluating by them, ends with a sentence, not a signal."""
    monkeypatch.setenv("MMSWINV2_PREFLIGHT", "0")
    source = data / f"coco/annotations/instances_{split}2017.json"
    content = json.loads(source.read_text())
    for annotation in content["annotations"]:
        annotation["segmentation"] = copy.deepcopy(FAR)
    Path("far.json").write_text(json.dumps(content))
    far = str(Path("far.json").resolve())
    where = "val_evaluator" if split == "val" else "train_dataloader.dataset"
    options = ("--cfg-options", f"data_root={data / 'coco'}", f"{where}.ann_file={far}")
    command = ("tools/train.py", DET, *options)
    if split == "val":
        assert "reaches a million px" in tool.fails(*command)
        return
    with pytest.raises(RuntimeError, match=r"\.jpg, could not be read.*a million px"):
        tool(*command)
