"""The main job, end to end: tools/quickstart with shorter training runs."""

import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
# Two thirds of the default. Floors stand at about two thirds of what was measured.
ITERATIONS = ("200", "70")


class Quickstart:
    """A folder to run the quick start in."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        self.data = folder / "data"

    def run(self) -> subprocess.CompletedProcess:
        command = [sys.executable, str(ROOT / "tools" / "quickstart")]
        command += ["--out", str(self.out), "--data", str(self.data)]
        command += ["--iterations", *ITERATIONS]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def score(self, row: str, key: str) -> float:
        results = json.loads((self.out / "results.json").read_text())
        (value,) = results[row][key]
        return value


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Quickstart:
    return Quickstart(tmp_path_factory.mktemp("quickstart"))


@pytest.fixture(scope="module")
def first(quickstart: Quickstart) -> subprocess.CompletedProcess:
    done = quickstart.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_it_ends_in_a_table_and_the_path_of_the_pictures(
    first: subprocess.CompletedProcess, quickstart: Quickstart
):
    lines = first.stdout.splitlines()
    rows = [line.split() for line in lines]
    for row in ("low resolution", "high, not tuned", "high, fine-tuned"):
        (cells,) = (cells for cells in rows if cells[: len(row.split())] == row.split())
        shown = [float(cell) for cell in cells[len(row.split()) :][:4]]
        keys = ("coco/bbox_mAP", "coco/bbox_mAP_s", "mIoU", "small_IoU")
        assert shown == [round(quickstart.score(row, key), 1) for key in keys]
    assert lines[-1] == f"pictures: {quickstart.out / 'pictures'}"


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(
    ("row", "key", "floor"),
    [
        ("low resolution", "coco/bbox_mAP", 15),
        ("low resolution", "mIoU", 35),
        ("high, fine-tuned", "coco/bbox_mAP", 28),
        ("high, fine-tuned", "coco/segm_mAP", 25),
        ("high, fine-tuned", "coco/bbox_mAP_s", 28),
        ("high, fine-tuned", "mIoU", 45),
    ],
)
def test_training_learns(quickstart: Quickstart, row: str, key: str, floor: float):
    assert quickstart.score(row, key) > floor


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(("key", "margin"), [("coco/bbox_mAP_s", 10), ("small_IoU", 5)])
def test_the_high_resolution_is_better_on_small_objects(
    quickstart: Quickstart, key: str, margin: float
):
    low = quickstart.score("low resolution", key)
    assert quickstart.score("high, fine-tuned", key) > low + margin


@pytest.mark.usefixtures("first")
def test_the_windows_are_carried_over(quickstart: Quickstart):
    for task in ("detection", "segmentation"):
        log = quickstart.out / "seed-0" / task / "train_high" / "log.txt"
        text = log.read_text()
        for stage in range(4):
            assert f"stage {stage}: window 8 -> 16, normaliser 8" in text
        assert "The position bias at all offsets known before is unchanged" in text


@pytest.mark.usefixtures("first")
def test_pictures_show_the_truth_beside_predictions(quickstart: Quickstart):
    folder = quickstart.out / "pictures"
    for task, stem in (("detection", "{:012d}"), ("segmentation", "ADE_val_{:08d}")):
        assert cv2.imread(str(folder / f"{task}_bias_maps.png")).std() > 20
        for number in range(1, 5):
            path = folder / f"{task}_{stem.format(number)}.png"
            sheet = cv2.imread(str(path))[26:538]
            truth, *found = np.array_split(sheet[:, : 4 * 516], 4, axis=1)
            assert truth[:, :512].std() > 20
            for panel in found:
                assert panel.shape == truth.shape
                # the same picture, with other marks on it
                assert 0 < (panel != truth).any(2).mean() < 0.6


def test_a_second_run_goes_straight_to_the_table(
    first: subprocess.CompletedProcess, quickstart: Quickstart
):
    start = time.monotonic()
    second = quickstart.run()
    assert time.monotonic() - start < 60
    assert second.stdout.count(": kept") == 10
    table = first.stdout[first.stdout.index("percent") :]
    assert second.stdout.endswith(table)


def test_data_without_a_manifest_are_not_touched(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "mine.txt").write_text("mine")
    done = Quickstart(tmp_path).run()
    assert done.returncode == 1
    assert "was not written by make_mini.py" in done.stderr
    assert not (tmp_path / "out").exists()
