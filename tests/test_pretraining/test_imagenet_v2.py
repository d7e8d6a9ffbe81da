"""ImageNet-V2: labels whatever folders are called, and counts."""

from pathlib import Path

import pytest

import mmswinv2.pretraining  # noqa: F401
from mmswinv2.pretraining import imagenet_v2
from mmswinv2.registry import DATASETS

FOLDER = "imagenetv2-matched-frequency-format-val"


@pytest.fixture(autouse=True)
def classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve classes of two pictures, so that numbers sort differently as text."""
    monkeypatch.setattr(imagenet_v2, "CLASSES", 12)
    monkeypatch.setattr(imagenet_v2, "PER_CLASS", 2)


def write(root: Path, names: list[str], pictures: int = 2) -> None:
    for name in names:
        (root / FOLDER / name).mkdir(parents=True, exist_ok=True)
        for number in range(pictures):
            (root / FOLDER / name / f"{number}.jpeg").touch()


def build(root: Path) -> imagenet_v2.ImageNetV2:
    return DATASETS.build(dict(type="mmswinv2.ImageNetV2", data_root=str(root)))


NUMBERS = [str(number) for number in range(12)]
IDS = [f"n{7 * number + 1440764:08}" for number in range(12)]


@pytest.mark.parametrize("names", [NUMBERS, IDS], ids=["numbers", "WordNet ids"])
def test_labels(names: list[str], tmp_path: Path) -> None:
    """A label is the folder's number, not its place among the sorted texts."""
    write(tmp_path, names)
    dataset = build(tmp_path)
    assert len(dataset) == 24
    for number in range(24):
        item = dataset.get_data_info(number)
        assert item["gt_label"] == names.index(Path(item["img_path"]).parent.name)
    assert dataset.metainfo["classes"][0].startswith("tench")


@pytest.mark.parametrize(
    ("names", "pictures", "message"),
    [
        (NUMBERS[:-1], 2, "found 11 with pictures, 0 of them not like that;"),
        (NUMBERS, 3, r"12 of them not like that \('0' has 3\)"),
        ([*NUMBERS[1:], "12"], 2, r"1 of them not like that \('12' has 2\)"),
        ([*IDS, "meta"], 2, "found 13 with pictures"),
    ],
)
def test_counts(names: list[str], pictures: int, message: str, tmp_path: Path) -> None:
    """Anything but the whole set is refused, before it is scored."""
    write(tmp_path, names, pictures)
    with pytest.raises(ValueError, match=message):
        build(tmp_path)


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{FOLDER} does not exist"):
        build(tmp_path)
