"""The three sets of real pictures: how a config is made for each, and what is read off.

Sizes and lengths are cut so that three seeds of a set take about half an hour on one
core of a CPU; from scratch, since no weights are published for 'nano'.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from mmswinv2.cli.stages import StageError
from mmswinv2.places import ROOT

WINDOWS = (8, 16)  # tokens, at the low and at the high resolution
BATCH = 4


@dataclass(frozen=True)
class OwnSet:
    """A set, and how it is tried.

    Args:
        name (str): Its name, which is also its folder's.
        kind (str): The command of tools/new_config.py: 'coco' or 'seg'.
        inputs (tuple[tuple[str, str], ...]): Options of that command and what they
            point at inside the set's folder.
        options (tuple[str, ...]): Its other options.
        scales (tuple[int, int]): Long side of the pictures in px, low and high.
        iterations (tuple[int, int]): Length of the low and of the high run.
        seconds (tuple[float, float, float, float]): How long it takes on one core to
            train and test at the low resolution, then at the high one.
        scores (dict[str, str]): Headings of the table, by key of the evaluator.
        keep (str): Option of tools/test.py that keeps the predictions.
        factor (float): What turns scores into percent.
    """

    name: str
    kind: str
    inputs: tuple[tuple[str, str], ...]
    options: tuple[str, ...]
    scales: tuple[int, int]
    iterations: tuple[int, int]
    seconds: tuple[float, float, float, float]
    scores: dict[str, str]
    keep: str
    factor: float

    def new_config(self, data: Path, out: Path, *, high: bool) -> tuple[str, ...]:
        """Arguments of tools/new_config.py.

        Args:
            data (Path): The folder that holds the set's.
            out (Path): The config to write.
            high (bool): Whether for the high resolution.
        """
        paths = [(name, str(data / self.name / path)) for name, path in self.inputs]
        numbers = dict(
            scale=self.scales[high],
            window=WINDOWS[high],
            iterations=self.iterations[high],
            batch=BATCH,
        )
        return (
            self.kind,
            *(word for pair in paths for word in pair),
            *self.options,
            *("--arch", "nano"),
            *(word for k, v in numbers.items() for word in (f"--{k}", str(v))),
            *("--out", str(out), "--force"),
        )


COCO = (
    ("--train", "annotations/instances_train.json"),
    ("--images", "train"),
    ("--val", "annotations/instances_val.json"),
    ("--val-images", "val"),
)
DETECTION = dict(
    kind="coco",
    inputs=COCO,
    options=(),
    keep="test_evaluator.outfile_prefix",
    factor=100,
)
NUCLEI = OwnSet(
    name="nuclei",
    scales=(128, 256),
    iterations=(300, 100),
    seconds=(230, 60, 200, 70),
    scores={"coco/segm_mAP": "mask mAP", "coco/bbox_mAP": "box mAP"},
    **DETECTION,
)
BLOOD = OwnSet(
    name="blood",
    scales=(128, 256),
    iterations=(300, 100),
    seconds=(90, 25, 100, 30),
    scores={"coco/bbox_mAP": "box mAP", "coco/bbox_mAP_50": "box AP 50"},
    **DETECTION,
)
CLASSES_FILE = Path(__file__).with_name("camvid_classes.txt")
CLASSES = tuple(CLASSES_FILE.read_text().splitlines())
CAMVID = OwnSet(
    name="camvid",
    kind="seg",
    inputs=(
        ("--images", "img_dir/train"),
        ("--labels", "ann_dir/train"),
        ("--val-images", "img_dir/val"),
        ("--val-labels", "ann_dir/val"),
    ),
    options=("--classes", str(CLASSES_FILE)),
    scales=(128, 256),
    iterations=(600, 200),
    seconds=(130, 25, 140, 35),
    scores={"mIoU": "mIoU", "aAcc": "right px"},
    keep="test_evaluator.output_dir",
    factor=1,
)
# The same, tested on pictures on which no setting was tried.
CAMVID_TEST = replace(
    CAMVID,
    inputs=(
        *CAMVID.inputs[:2],
        ("--val-images", "img_dir/test"),
        ("--val-labels", "ann_dir/test"),
    ),
)
SETS = {entry.name: entry for entry in (NUCLEI, BLOOD, CAMVID)}


def write_manifest(folder: Path, path: Path) -> None:
    """List the files of a set with their sizes, by which a change is seen.

    Raises:
        FileNotFoundError: If the set is not there.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if not files:
        raise FileNotFoundError(
            f"{folder} has no files: --data names the folder that holds it"
        )
    sizes = {str(file.relative_to(folder)): file.stat().st_size for file in files}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(sizes))


def write_config(own: OwnSet, data: Path, path: Path, *, high: bool) -> None:
    """Let tools/new_config.py write a config of a set, and keep what it prints.

    Args:
        own (OwnSet): The set.
        data (Path): The folder that holds the set's.
        path (Path): The config to write.
        high (bool): Whether for the high resolution.

    Raises:
        StageError: If it finds something wrong; it has printed what.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    script = str(ROOT / "tools" / "new_config.py")
    command = [sys.executable, script, *own.new_config(data, path, high=high)]
    with path.with_suffix(".txt").open("w") as page:
        done = subprocess.run(command, stdout=page, check=False)
    if done.returncode:
        raise StageError(f"{' '.join(command)}: exit code {done.returncode}")
