"""What a config sets once reaches every place, or it is said which it does not."""

from pathlib import Path

import pytest
from mmengine.config import Config
from tiny import DET, ROOT, SEG

from mmswinv2.apis import find_config
from mmswinv2.config_types import read_config
from mmswinv2.own_data.checks.settings import check_settings

CLASSES = 'classes = ("nucleus",)\nmeta = dict(metainfo=dict(classes=classes))\n'
TRAIN, VAL, TEST = (
    f"{split}_dataloader = dict(dataset=meta)\n" for split in ("train", "val", "test")
)


def findings(folder: Path, text: str, base: str = f"mini/{DET}") -> list[str]:
    file = folder / "mine.py"
    file.write_text(f'_base_ = "mmswinv2::{base}.py"\n{text}')
    return [*map(str, check_settings(read_config(file)))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('data_root = "data/mine/"', "dict(dataset=dict(data_root=data_root))"),
        ('classes = ("nucleus",)', "dict(metainfo=dict(classes=classes))"),
        ('train_pipeline = [dict(type="Mine")]', "dict(pipeline=train_pipeline)"),
        ("scale = (640, 640)", "the pipelines with the new scale"),
        (CLASSES + TRAIN + TEST, "val_dataloader = dict(dataset=dict(metainfo"),
        (CLASSES + TRAIN + VAL, "test_dataloader = dict(dataset=dict(metainfo"),
        (
            'data_root = "data/mine/"\n'
            "train_dataloader = dict(dataset=dict(data_root=data_root))",
            "val_dataloader = dict(dataset=dict(data_root=data_root))",
        ),
    ],
)
def test_what_does_not_reach_its_place_is_said(
    tmp_path: Path, text: str, expected: str
) -> None:
    """With the line to write."""
    assert expected in "\n".join(findings(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        CLASSES + TRAIN + VAL + TEST,
        "scale = (640, 640)\nsize = scale[0]",
        'data_root = "data/mini/coco/"',  # the base's
        "model = dict(backbone=dict(window_size=4))",
    ],
)
def test_no_false_alarm(tmp_path: Path, text: str) -> None:
    """Used, unchanged, or of another kind."""
    assert findings(tmp_path, text) == []


def test_our_configs_are_sound() -> None:
    """Every variable in them has an effect."""
    paths = [p for p in ROOT.glob("configs/*/*.py") if "_base_" not in p.parts]
    assert len(paths) > 30
    for path in paths[::4]:
        assert [*check_settings(read_config(path))] == []


def test_a_base_of_this_package(tmp_path: Path) -> None:
    """By name, from any folder; a wrong name is answered with those close to it."""
    file = tmp_path / "mine.py"
    file.write_text(f'_base_ = ["mmswinv2::mini/{SEG}.py"]\nwork_dir = "out"\n')
    cfg = read_config(file)
    assert cfg.model == Config.fromfile(find_config(SEG)).model
    assert cfg.work_dir == "out"
    file.write_text(f'_base_ = "mmswinv2::mini/{SEG}"\n')
    with pytest.raises(FileNotFoundError, match=rf"mmswinv2::mini/{SEG}\.py"):
        read_config(file)
