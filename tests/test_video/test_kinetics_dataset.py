"""Lists of videos, and what becomes of videos that cannot be read."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from clips import write_clip
from mmengine.registry import DATASETS, HOOKS
from torch.utils.data import DataLoader

import mmswinv2.video  # noqa: F401
from mmswinv2.cli import launch
from mmswinv2.datasets.fetch import Batch, use_fetch
from mmswinv2.errors import RunError
from mmswinv2.video.lists import read_classes, read_list

PIPELINE = [
    dict(type="mmswinv2.SampleFrames", clip_len=4),
    dict(type="mmswinv2.DecodeVideo"),
    dict(type="mmswinv2.CenterCropClip", size=32),
    dict(type="mmswinv2.PackClip"),
]
TEST = [dict(PIPELINE[0], test_mode=True), *PIPELINE[1:]]
GOOD = [f"clap hands/{n}.mp4 {n % 2}" for n in range(6)]
BAD = ["empty.mp4 0", "missing.mp4 1"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinetics")
    for number in range(6):
        write_clip(folder / f"videos/clap hands/{number}.mp4", 6 + number)
    (folder / "videos/empty.mp4").touch()
    (folder / "classes.txt").write_text("clapping\nwaving hand\n")
    (folder / "good.txt").write_text("\n".join(GOOD))
    (folder / "some bad.txt").write_text("\n".join(BAD + GOOD) + "\n\n")
    return folder


def build(root: Path, ann_file: str = "good.txt", **options: object) -> object:
    settings = dict(
        type="mmswinv2.KineticsDataset",
        data_root=str(root),
        data_prefix="videos",
        ann_file=ann_file,
        classes="classes.txt",
        pipeline=PIPELINE,
        serialize_data=False,  # which takes half a second
    )
    return DATASETS.build(settings | options)


def test_a_list_has_paths_with_spaces_and_labels(root: Path, logs: list[str]) -> None:
    dataset = build(root)
    assert dataset.metainfo["classes"] == ("clapping", "waving hand")
    assert dataset.get_gt_labels().tolist() == [0, 1, 0, 1, 0, 1]
    packed = dataset[3]
    assert packed["data_samples"].total_frames == 9
    assert packed["data_samples"].img_path == f"{root}/videos/clap hands/3.mp4"
    assert any("6 videos of 2 classes, hash of the list" in line for line in logs)


def test_the_hash_tells_lists_apart_and_not_their_order(root: Path) -> None:
    (root / "turned.txt").write_text("\n".join(GOOD[::-1]))
    (root / "fewer.txt").write_text("\n".join(GOOD[1:]))
    names = ("good.txt", "turned.txt", "fewer.txt")
    first, turned, fewer = (build(root, name).list_hash for name in names)
    assert first == turned != fewer and len(first) == 8


def test_a_list_without_labels_is_for_tests(root: Path) -> None:
    (root / "paths.txt").write_text("clap hands/1.mp4\n")
    dataset = build(root, "paths.txt", labelled=False, pipeline=TEST)
    assert "gt_label" not in dataset[0]["data_samples"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4 0\nb.mp4\n", "line 2: 'b.mp4' has no label that is a number"),
        ("a.mp4 clapping", "line 1: 'a.mp4 clapping' has no label"),
        ("a.mp4 0\n\nb.mp4 2", "line 3: b.mp4 has the label 2, expected 0 to 1"),
        ("a.mp4 -1", "line 1: a.mp4 has the label -1"),
        ("a.mp4 0\nb.mp4 0\na.mp4 1", "line 3: a.mp4 was in line 1 already"),
        ("", "names no video"),
        (
            "label,youtube_id,time_start,time_end,split\nclapping,-0IErS_cisg,0,10,val",
            "line 1: .* is of Kinetics' csv",
        ),
        ('"clap, hard",-0IErS_cisg,0,10,val', "line 1: .* is of Kinetics' csv"),
    ],
)
def test_a_bad_line_is_refused_by_number(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_list(tmp_path / "list.txt", classes=2)


def test_lists_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"list.txt does not exist"):
        read_list(tmp_path / "list.txt")
    with pytest.raises(ValueError, match="is no file"):
        read_list(tmp_path)
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(ValueError, match="is no text"):
        read_list(tmp_path / "list.txt")


@pytest.mark.parametrize(
    "text",
    [
        "clap\nride 2 bikes\nsit",
        "0 clap\n2 sit\n1 ride 2 bikes",
        "clap 0\nride 2 bikes 1\nsit 2",
    ],
)
def test_classes_are_read_with_labels_and_without(text: str, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text(text)
    assert read_classes(tmp_path / "classes.txt") == ("clap", "ride 2 bikes", "sit")


def test_a_class_named_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("clap\nsit\nclap\n")
    with pytest.raises(ValueError, match="names 'clap' twice"):
        read_classes(tmp_path / "classes.txt")


def epoch(dataset: object, workers: int) -> list[str]:
    """Paths of the samples that a loader gives, in batches with seeds of their own."""
    batches = [Batch([4 * n + k for k in range(4)], (n,)) for n in range(2)]
    loader = DataLoader(
        dataset, batch_sampler=batches, num_workers=workers, collate_fn=list
    )
    use_fetch(loader)
    return [sample["data_samples"].img_path for batch in loader for sample in batch]


def test_training_replaces_what_cannot_be_read_and_repeats(
    root: Path, logs: list[str], tmp_path: Path
) -> None:
    """In workers too, whose counts and names arrive in the main process."""
    runs = []
    for workers in (0, 2):
        dataset = build(root, "some bad.txt", max_unreadable=0.5)
        runs.append(epoch(dataset, workers))
        assert dataset.unreadable.tolist() == [1, 1] + 6 * [0]
    assert runs[0] == runs[1]
    assert runs[0][2:] == [f"{root}/videos/clap hands/{n}.mp4" for n in range(6)]
    assert {*runs[0][:2]} <= {*runs[0][2:]}
    told = [line for line in logs if "another video is read in its place" in line]
    assert len(told) == 2  # those of the workers are written there
    runner = SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=SimpleNamespace(dataset=dataset)),
        work_dir=str(tmp_path),
        logger=SimpleNamespace(log=lambda _, text: logs.append(text)),
    )
    HOOKS.build(dict(type="mmswinv2.UnreadableVideosHook")).after_train_epoch(runner)
    assert "2 of 8 videos could not be read" in logs[-1]
    names = (tmp_path / "unreadable_videos.txt").read_text().splitlines()
    assert names == [f"{root}/videos/{n}.mp4" for n in ("empty", "missing")]


def test_training_stops_where_too_many_cannot_be_read(root: Path) -> None:
    dataset = build(root, "some bad.txt", max_unreadable=0.2)
    assert dataset[0] is not None
    with pytest.raises(RunError, match=r"2 of 8 videos of .*max_unreadable=0.2"):
        dataset[1]
    (root / "lost.txt").write_text("x.mp4 0\ny.mp4 1\n")
    np.random.seed(0)
    with pytest.raises(RunError, match="2 of 2 videos"):
        build(root, "lost.txt", max_unreadable=1)[0]


def test_a_worker_that_stops_training_says_so_in_one_sentence(root: Path) -> None:
    dataset = build(root, "some bad.txt", max_unreadable=0)
    loader = DataLoader(dataset, batch_size=1, num_workers=1, collate_fn=list)
    use_fetch(loader)
    with pytest.raises(RunError) as caught:
        next(iter(loader))
    assert launch.explain(caught.value).startswith("1 of 8 videos of")


def test_evaluation_refuses_what_cannot_be_read(root: Path) -> None:
    """Without a setting of its own: SampleFrames says that this is a test."""
    dataset = build(root, "some bad.txt", pipeline=TEST, max_unreadable=0.5)
    with pytest.raises(RunError, match=r"empty.mp4 cannot be read"):
        dataset[0]
    with pytest.raises(RunError, match=r"missing.mp4 does not exist"):
        dataset[1]
    loader = DataLoader(dataset, batch_size=1, collate_fn=list)
    use_fetch(loader)
    with pytest.raises(RunError, match=r"^\S*empty.mp4 cannot be read"):
        next(iter(loader))
