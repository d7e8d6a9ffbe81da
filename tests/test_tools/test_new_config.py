"""tools/new_config.py: what it writes is short, loads, trains and fits the data."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.models import SegDataPreProcessor
from mmseg.structures import SegDataSample
from tiny import ROOT, Tool

from mmswinv2.own_data import methods, writer

sys.path.insert(0, str(ROOT / "tests/test_own_data"))
from own_sets import coco_content, write_coco, write_labels

NEW, TRAIN = "tools/new_config.py", "tools/train.py"
SMALL = ("--arch", "nano", "--scale", "64", "--iterations", "2", "--batch", "2")
ONCE = ("--cfg-options", "train_cfg.val_interval=2", "default_hooks.checkpoint=None")


def config(path: str = "mine.py") -> Config:
    assert len(Path(path).read_text().splitlines()) <= writer.LINES
    return Config.fromfile(path)


def scalars() -> dict:
    """What a run wrote in the end: losses, and the metrics of its evaluation."""
    (record,) = Path("work_dirs/mine").glob("*/vis_data/scalars.json")
    rows = map(json.loads, record.read_text().splitlines())
    return {key: value for row in rows for key, value in row.items()}


@pytest.mark.parametrize("method", methods.COCO)
def test_every_detector_trains(tool: Tool, tmp_path: Path, method: str) -> None:
    file, folder = write_coco(tmp_path, coco_content([3, 2, 80, 4]))
    args = ("coco", "--train", file, "--images", folder, "--method", method, *SMALL)
    out = tool(NEW, *args, "--out", "mine.py")
    assert "0 errors" in out
    cfg = config()
    assert cfg.train_dataloader.dataset.metainfo.classes == ("cat", "dog")
    tool(TRAIN, "mine.py", *ONCE, "default_hooks.logger.interval=1")
    found = scalars()
    assert found["loss"] > 0
    assert ("coco/segm_mAP" in found) == methods.COCO[method].masks


@pytest.mark.parametrize("method", methods.LABELS)
def test_every_segmentor_trains(tool: Tool, tmp_path: Path, method: str) -> None:
    images, labels = write_labels(tmp_path, values=(0, 1, 2, 255))
    args = ("seg", "--images", images, "--labels", labels, "--method", method, *SMALL)
    assert "0 errors" in tool(NEW, *args, "--out", "mine.py")
    heads = config().model.decode_head
    assert heads.num_classes == 3
    tool(TRAIN, "mine.py", *ONCE, "default_hooks.logger.interval=1")
    assert scalars()["loss"] > 0 and "mIoU" in scalars()


def test_tests_see_pictures_as_large_as_training_does(tool, tmp_path) -> None:
    """192 x 144 px: with other rows in tests, windows fitted to them would differ."""
    images, labels = write_labels(tmp_path, values=(0, 1), size=(192, 144))
    args = ("seg", "--images", images, "--labels", labels, "--arch", "nano")
    tool(NEW, *args, "--batch", "2", "--iterations", "2", "--out", "mine.py")
    cfg = config()
    padding = {k: v for k, v in cfg.model.data_preprocessor.items() if k != "type"}
    pad = SegDataPreProcessor(**padding)
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 144, 192)))
    data = dict(inputs=[torch.zeros(3, 144, 192)], data_samples=[sample])
    shapes = {pad(data, training=t)["inputs"].shape[2:] for t in (True, False)}
    assert shapes == {(160, 192)}


SETS = st.fixed_dictionaries(
    dict(
        counts=st.lists(st.integers(0, 60), min_size=2, max_size=6).filter(all),
        size=st.tuples(st.integers(40, 90), st.integers(40, 90)),
        side=st.integers(2, 30),
        masks=st.booleans(),
        names=st.integers(1, 120).map(
            lambda n: [f"kind of thing {i}" for i in range(n)]
        ),
    )
)


@given(SETS, st.sampled_from([*methods.COCO]), st.sampled_from(["tiny", "large"]))
@settings(
    max_examples=6,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_set_gets_a_config_that_loads(tool, tmp_path, made, method, arch):
    """At most 40 lines, one number of classes in all heads, all pictures once."""
    content = coco_content(**made)
    file, folder = write_coco(tmp_path, content)
    args = ("coco", "--train", file, "--images", folder, "--weights", "none")
    asked = (
        ("--method", method) if made["masks"] or not methods.COCO[method].masks else ()
    )
    tool(NEW, *args, *asked, "--arch", arch, "--out", "mine.py", "--force")
    cfg = config()
    used = {a["category_id"] for a in content["annotations"]}
    classes = cfg.train_dataloader.dataset.metainfo.classes
    assert len(classes) == len(used)
    numbers = re.findall(r"'num(?:_things)?_classes': (\d+)", str(cfg.model.to_dict()))
    assert {*map(int, numbers)} == {len(used)}
    sides = [
        {
            i["file_name"]
            for i in json.loads(Path(f"mine_{part}.json").read_text())["images"]
        }
        for part in ("train", "val")
    ]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == {i["file_name"] for i in content["images"]}


def test_crowded_pictures_get_more_of_everything(tool: Tool, tmp_path: Path) -> None:
    file, folder = write_coco(tmp_path, coco_content([300, 200, 2], side=4))
    args = ("coco", "--train", file, "--images", folder, "--val", file)
    tool(NEW, *args, "--weights", "none", "--out", "mine.py")
    model = config().model
    assert model.test_cfg.rcnn.max_per_img == 450
    assert model.test_cfg.rpn.max_per_img == model.test_cfg.rpn.nms_pre == 1800
    assert model.train_cfg.rcnn.sampler.num == 1536
    assert "1.5 x the 300 objects" in Path("mine.py").read_text()


def test_little_memory_gets_a_smaller_batch_and_checkpoints(
    tool: Tool, tmp_path: Path
) -> None:
    file, folder = write_coco(tmp_path, coco_content([2] * 80))
    args = ("coco", "--train", file, "--images", folder, "--val", file)
    args += ("--weights", "none", "--scale", "512", "--out", "mine.py", "--force")
    found = {}
    for memory in (24, 3, 1.5):
        tool(NEW, *args, "--memory", memory)
        cfg = config()
        cp = cfg.model.backbone.get("with_cp", False)
        found[memory] = cfg.train_dataloader.batch_size, cp, cfg.scale[0]
    assert found[24] == (4, False, 512)
    assert found[24] > found[3] > found[1.5]
    assert "no batch of 4 fits 0.5 GiB" in tool.fails(
        NEW, *args, "--memory", 0.5, "--batch", 4
    )


def test_settings_are_written_once(tool: Tool, tmp_path: Path) -> None:
    """Size, classes and root reach training, tests and the evaluator."""
    file, folder = write_coco(tmp_path, coco_content([3, 2, 5]))
    args = ("coco", "--train", file, "--images", folder, "--val", file, *SMALL)
    tool(NEW, *args, "--out", "mine.py")
    text = Path("mine.py").read_text()
    text = re.sub(r"scale = \(64, \d+\)", "scale = (96, 96)", text)
    Path("mine.py").write_text(text.replace('"cat", "dog"', '"a", "b", "c"'))
    cfg = config()
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        resize = next(t for t in loader.dataset.pipeline if t.type == "Resize")
        assert resize.scale == (96, 96)
        assert loader.dataset.metainfo.classes == ("a", "b", "c")
    assert cfg.model.roi_head.mask_head.num_classes == 3
    assert cfg.val_evaluator.ann_file == str(file)


def test_names_of_any_characters_and_bad_records(tool: Tool, tmp_path: Path) -> None:
    names = ('a "b"', "größe, 猫", "back\\slash\nnew line", "[red]x[/red]")
    content = coco_content([4, 4, 4], names=names)
    file, folder = write_coco(tmp_path, content)
    args = ("coco", "--train", file, "--images", folder, "--out", "mine.py", *SMALL)
    tool(NEW, *args)
    assert config().classes == names
    content["annotations"][0]["bbox"] = [1, 2, 3]
    file.write_text(json.dumps(content))
    message = tool.fails(NEW, *args, "--force")
    assert "1 annotations whose bbox or area is not made of finite numbers" in message


def test_bases_are_relative_inside_the_project(tmp_path: Path) -> None:
    name = "models/upernet_swinv2"
    assert writer._base(name, ROOT / "configs/mine.py") == f"_base_/{name}.py"
    assert writer._base(name, ROOT / "my/a.py") == f"../configs/_base_/{name}.py"
    assert Path(writer._base(name, tmp_path / "a.py")).is_file()


def test_bad_requests_are_refused(tool: Tool, tmp_path: Path) -> None:
    file, folder = write_coco(tmp_path, coco_content([3, 2, 5]))
    args = ("coco", "--train", file, "--images", folder, "--out", "mine.py", *SMALL)
    assert "expected one of mask-rcnn" in tool.fails(NEW, *args, "--method", "yolo")
    assert "needs --val" in tool.fails(NEW, *args, "--val-images", folder)
    assert "--batch -1: expected 1 or more" in tool.fails(NEW, *args, "--batch=-1")
    assert "expected 4096 px or less" in tool.fails(NEW, *args, "--scale", 5000)
    message = tool.fails(NEW, *args, "--iterations", 1)
    assert "--iterations 1: expected 2 or more" in message
    assert "did you mean swinv2://tiny-w8-256" in tool.fails(
        NEW, *args, "--weights", "tiny-w8-25"
    )
    labels = ("seg", "--images", folder, "--labels", folder, "--out", "mine.py")
    assert "are the same folder" in tool.fails(NEW, *labels)
    beneath = ("--out", file / "mine.py")
    assert "mine.py cannot be written" in tool.fails(NEW, *args, *beneath)
    Path("mine.py").touch()
    assert "is there already; --force replaces it" in tool.fails(NEW, *args)
    assert not Path("mine_train.json").exists()
