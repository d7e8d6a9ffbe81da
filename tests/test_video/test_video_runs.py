"""tools/test.py and tools/leaderboard/run.py on a classifier of videos."""

import json
import pickle
import re
from pathlib import Path

import cv2
import pytest
from tiny import Tool, load_tiny, save_weights
from tiny_video import write_video_classifier, write_videos

from mmswinv2.evaluation.records import why_not_entered
from mmswinv2.video.lists import list_hash, read_list

RUN = "tools/leaderboard/run.py"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def model(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Config and random weights."""
    folder = tmp_path_factory.mktemp("model")
    config = write_video_classifier(folder, root)
    return [str(config), save_weights(load_tiny(config), folder / "weights.pth")]


def test_a_test_is_scored_kept_and_drawn(tool: Tool, model: list[str]) -> None:
    """Whatever number of views goes through the model at once."""
    kept = []
    for most in (1, 6):
        file = Path(f"kept/{most}.pkl")
        options = ["--cfg-options", f"model.max_testing_views={most}"]
        out = tool(
            "tools/test.py", *model, "--out", file, "--show-dir", "shown", *options
        )
        table = re.findall(r"^(top1|top2|recall) +[\d.]+$", out, re.MULTILINE)
        assert table == ["top1", "top2", "recall"]
        kept.append(pickle.loads(file.read_bytes()))
    for one, other in zip(*kept, strict=True):
        assert abs(one["pred_score"] - other["pred_score"]).max() < 1e-5
        assert one["pred_label"] == one["pred_score"].argmax()
    assert len(kept[0]) == 6
    shown = sorted(path.name for path in Path("shown").iterdir())
    assert shown == ["0.png", "1.png", *sorted(shown[2:])] and len(shown) == 6
    assert cv2.imread("shown/0.png").shape[1] > 6 * 250  # a strip, and bars


def test_tta_is_refused(tool: Tool, model: list[str]) -> None:
    """Views are the test pipeline's."""
    message = tool.fails("tools/test.py", *model, "--tta")
    assert "has its views in the test pipeline" in message and "num_clips" in message


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_video_ends_a_test_with_its_name(
    tool: Tool, model: list[str], root: Path, workers: int
) -> None:
    """A set without it would have another accuracy; in the run and in its workers."""
    (root / "val/cut.mp4").write_text("no video")
    (root / "cut.txt").write_text("val/cut.mp4 0\nval/red/0.mp4 0\n")
    moved = ["--cfg-options", "test_dataloader.dataset.ann_file=cut.txt"]
    moved.append(f"test_dataloader.num_workers={workers}")
    message = tool.fails("tools/test.py", *model, *moved)
    assert message.startswith(f"{root / 'val/cut.mp4'} cannot be read as a video")
    assert message.count("\n") == 1


def test_records_have_views_and_a_hash_of_the_list(
    tool: Tool, model: list[str], root: Path
) -> None:
    """Of one view and of all; protocols of pictures are refused."""
    flags = ["--results", "results.md", "--protocol"]
    for protocol, views in (("ss", "1 x 1"), ("views", "2 x 3")):
        out = tool(RUN, *model, *flags, protocol)
        record = json.loads(Path(re.search(r"record: (.*)", out)[1]).read_text())
        assert (record["protocol"], record["images"]) == (protocol, 6)
        assert record["results"].keys() == {"top-1", "mean class accuracy"}
        assert record["views"] == views
        assert record["list_hash"] == list_hash(read_list(root / "val.txt"))
    message = tool.fails(RUN, *model, *flags, "ms")
    assert (
        message.startswith("protocol ms is for pictures") and "ss or views" in message
    )
    detector = "mask-rcnn_swinv2-nano-p4-w8_fpn_mini-128px"
    message = tool.fails(RUN, detector, model[1], *flags, "views")
    assert message.startswith("protocol views is for videos, but the config has Mask")


@pytest.mark.parametrize(("videos", "enters"), [(19796, True), (18000, False)])
def test_copies_of_kinetics_may_have_lost_some_videos(
    videos: int, enters: bool
) -> None:
    """But not too many."""
    (path,) = Path(__file__).parents[2].glob("configs/kinetics400/*to-384px.py")
    reason = why_not_entered(load_tiny(path), path.parents[1], (), videos, "views")
    assert (reason is None) == enters
