"""Lists of videos from folders: what they hold, what they leave out, and why."""

import shutil
from pathlib import Path

import pytest
from clips import write_clip
from tiny import Tool

SCRIPT = "tools/dataset_converters/kinetics.py"
ONE = ("--workers", 1)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("video") / "a.mp4", 70)


def fill(root: Path, video: Path, names: str) -> None:
    for name in names.split():
        path = root / name.replace("_", " ")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(video, path)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_folders_of_splits_become_lists(
    tool: Tool, video: Path, tmp_path: Path
) -> None:
    """With what is unreadable left out, in several processes."""
    root = tmp_path / "k"
    fill(root, video, "train/wave_hand/a.mp4 train/wave_hand/b.MKV train/clap/c.mp4")
    fill(root, video, "val/clap/d.mp4")
    (root / "train/clap/empty.mp4").touch()
    (root / "train/clap/notes.txt").touch()
    out = tool(SCRIPT, root, "--workers", 2)
    assert lines(root / "train.txt") == [
        "clap/c.mp4 0",
        "wave hand/a.mp4 1",
        "wave hand/b.MKV 1",
    ]
    assert lines(root / "val.txt") == ["clap/d.mp4 0"]
    assert lines(root / "classes.txt") == ["clap", "wave hand"]
    [faulty] = lines(root / "unreadable.txt")
    assert faulty.startswith(f"{root}/train/clap/empty.mp4\tcannot be read as a video")
    assert "warning: 1 cannot be read" in out
    assert "val.txt has no video of 1 classes that train.txt has" in out
    (root / "train/clap/empty.mp4").unlink()
    tool(SCRIPT, root, *ONE)
    assert not (root / "unreadable.txt").exists()


def test_folders_of_classes_are_split_alike_each_time(
    tool: Tool, video: Path, tmp_path: Path
) -> None:
    root = tmp_path / "k"
    fill(root, video, " ".join(f"{c}/{n}.mp4" for c in "ab" for n in range(5)))
    for out in ("first", "second"):
        tool(SCRIPT, root, "--val-share", 0.2, "--out", tmp_path / out, *ONE)
    train, val = (lines(tmp_path / f"first/{s}.txt") for s in ("train", "val"))
    assert val == lines(tmp_path / "second/val.txt")
    assert [line[0] for line in val] == ["a", "b"]
    assert len(train) == 8 and not {*train} & {*val}


def test_labels_follow_a_file_of_classes_and_the_official_csv_is_compared(
    tool: Tool, video: Path, tmp_path: Path
) -> None:
    root = tmp_path / "k"
    ids = {"clap": "-0IErS_cisg", "wave_hand": "zzzzzzzzzz1"}
    for folder, name in ids.items():
        path = root / "train" / folder / f"{name}_000001_000011.mp4"
        path.parent.mkdir(parents=True)
        shutil.copy(video, path)
    (tmp_path / "names.txt").write_text("wave hand\nClap\nsit\n")
    table = "label,youtube_id,time_start,time_end,split\n"
    table += f"clap,{ids['clap']},1,11,train\nsit,{ids['wave_hand']},1,11,train\n"
    (tmp_path / "train.csv").write_text(table + "sit,another_id0,1,11,train\n")
    options = ("--classes", tmp_path / "names.txt", "--csv", tmp_path / "train.csv")
    out = tool(SCRIPT, root, *options, *ONE)
    assert [line[-1] for line in lines(root / "train.txt")] == ["1", "0"]
    assert lines(root / "classes.txt") == ["wave hand", "Clap", "sit"]
    assert "of 3 videos in the csv 2 can be read; 0 others are not in it" in out
    assert "1 are in a folder of another class, such as zzzzzzzzzz1" in out


def test_all_frames_are_decoded_on_demand(
    tool: Tool, video: Path, tmp_path: Path
) -> None:
    """Damage between the first and the last frame is seen then."""
    content = bytearray(video.read_bytes())
    start, end = content.index(b"mdat"), content.index(b"moov")
    middle = (start + end) // 2
    content[middle : middle + 300] = bytes(300)
    damaged = tmp_path / "k/train/clap/a.mp4"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(content)
    assert "cannot be read" not in tool(SCRIPT, tmp_path / "k", *ONE)
    assert "1 cannot be read" in tool(SCRIPT, tmp_path / "k", "--full", *ONE)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ("a/b.mp4", (), "has neither train/ nor val/; for folders of classes give"),
        ("train/a/b.mp4", ("--val-share", 0.1), "has train/ already"),
        ("train/b.mp4", (), r"train/b.mp4 is in no folder of a class"),
        ("train/a/b.txt", (), "has no videos for train.txt"),
        ("a/b.mp4", ("--val-share", 2), "--val-share is 2.0; expected between"),
        ("train/a/b.mp4", ("--csv", "no.csv"), "no.csv does not exist"),
        ("train/a/b.mp4", ("--classes", "no.txt"), "no.txt does not exist"),
        ("train/a/b.mp4", ("--workers", 0), "--workers is 0; expected at least 1"),
        ("", (), "is no folder"),
    ],
)
def test_what_is_no_set_of_videos_is_refused(
    names: str, options: tuple, message: str, tool: Tool, video: Path, tmp_path: Path
) -> None:
    fill(tmp_path / "k", video, names)
    assert message in tool.fails(SCRIPT, tmp_path / "k", *options)
    assert not [*tmp_path.glob("k/*.txt")]


@pytest.mark.parametrize("name", ["b/a\nb.mp4", " b/a.mp4", "b/\udcff.mp4"])
def test_a_name_that_no_line_can_hold_is_refused(
    tool: Tool, video: Path, tmp_path: Path, name: str
) -> None:
    for path in (f"train/{name}", "val/b/c.mp4"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(video, tmp_path / path)
    code, _, err = tool.run(SCRIPT, tmp_path, *ONE)
    assert code == 1
    assert f"{tmp_path}/train has {name!a}, but no list" in err


def test_a_folder_that_takes_no_lists_is_named_before_videos_are_opened(
    tool: Tool, video: Path, tmp_path: Path
) -> None:
    fill(tmp_path, video, "train/b/c.mp4 val/b/c.mp4")
    code, _, err = tool.run(SCRIPT, tmp_path, "--out", "/dev/full", *ONE)
    assert code == 1
    assert err.startswith("error: --out /dev/full is no folder that can be written to")
