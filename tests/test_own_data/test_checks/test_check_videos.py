"""Lists of videos against configs, before a run reads them."""

import shutil
from pathlib import Path

import pytest
from clips import write_clip
from mmengine.config import Config

import mmswinv2.video  # noqa: F401
from mmswinv2.own_data.checks.config import check_config

SAMPLE = dict(type="mmswinv2.SampleFrames", clip_len=4)
CROP = dict(type="mmswinv2.CenterCropClip", size=32)
REST = [dict(type="mmswinv2.DecodeVideo"), CROP, dict(type="mmswinv2.PackClip")]
MODEL = dict(
    type="mmswinv2.VideoClassifier",
    backbone=dict(type="mmswinv2.VideoSwinTransformerV2", arch="nano", window_size=4),
    head=dict(type="mmswinv2.VideoClsHead", num_classes=2, in_channels=256),
)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("video") / "a.mp4", 5)


@pytest.fixture
def root(video: Path, tmp_path: Path) -> Path:
    """Two videos to train on and one to validate on."""
    for name in ("train/0.mp4", "train/1.mp4", "val/2.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(video, tmp_path / name)
        (tmp_path / name).open("ab").write(name.encode())  # of bytes of their own
    (tmp_path / "train.txt").write_text("0.mp4 0\n1.mp4 1\n")
    (tmp_path / "val.txt").write_text("2.mp4 1\n")
    return tmp_path


def messages(root: Path, severity: str = "error", **train: object) -> list[str]:
    loaders = {}
    for split, sample in (("train", SAMPLE), ("val", dict(SAMPLE, test_mode=True))):
        dataset = dict(
            type="mmswinv2.KineticsDataset",
            data_root=str(root),
            data_prefix=split,
            ann_file=f"{split}.txt",
            pipeline=[sample, *REST],
        )
        loaders[f"{split}_dataloader"] = dict(dataset=dataset)
    loaders["train_dataloader"]["dataset"] |= train
    cfg = Config(dict(default_scope="mmpretrain", model=MODEL, **loaders))
    findings = check_config(cfg, ["train", "val"], processes=1)
    return [str(finding) for finding in findings if finding.severity == severity]


def test_a_sound_set_has_no_findings(root: Path) -> None:
    assert messages(root) == messages(root, "warning") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.mp4 0\n1.mp4 x", "line 2: '1.mp4 x' has no label"),
        ("0.mp4 0\n1.mp4 2", "1 labels for which model.head.num_classes=2"),
        ("", "names no video"),
        ("0.mp4 0\nlost.mp4 1", "1 of 2 videos looked for are not there"),
    ],
)
def test_faults_of_a_list_are_found(text: str, message: str, root: Path) -> None:
    (root / "train.txt").write_text(text)
    [found] = messages(root)
    assert found.startswith("train_dataloader.dataset.ann_file")
    assert message in found


def test_missing_videos_are_allowed_in_training_alone(root: Path) -> None:
    (root / "train.txt").write_text("0.mp4 0\nlost.mp4 1")
    assert not messages(root, max_unreadable=0.5)
    [warning] = messages(root, "warning", max_unreadable=0.5)
    assert "others are trained on" in warning
    (root / "val.txt").write_text("2.mp4 0\nlost.mp4 1")
    [error] = messages(root, max_unreadable=0.5)
    assert error.startswith("val_dataloader")


def test_a_pipeline_that_fails_is_found(root: Path) -> None:
    pipeline = [SAMPLE, REST[0], dict(CROP, size=64), REST[-1]]
    [found] = messages(root, pipeline=pipeline)
    assert "pipeline: fails on" in found and "ResizeClip(short_side=64)" in found


def test_a_video_that_cannot_be_read_stops_only_evaluation(root: Path) -> None:
    (root / "train/0.mp4").write_bytes(b"")
    assert not messages(root)
    (root / "val/2.mp4").write_bytes(b"")
    [found] = messages(root)
    assert found.startswith("val_dataloader") and "cannot be read as a video" in found


def test_videos_that_are_trained_on_and_validated_on_are_found(root: Path) -> None:
    shutil.copy(root / "train/0.mp4", root / "val/2.mp4")
    [warning] = messages(root, "warning")
    assert "are in training too" in warning
