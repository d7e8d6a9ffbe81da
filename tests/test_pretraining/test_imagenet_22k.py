"""Lists of ImageNet-22K, in both official forms."""

import json
from pathlib import Path

import pytest

import mmswinv2.pretraining  # noqa: F401
from mmswinv2.pretraining import ImageNet22K
from mmswinv2.registry import DATASETS

ENTRIES = [["n0/a b.JPEG", 0], ["/n1/c.JPEG", "21840"], ["n2/d.JPEG", 21841]]


def build(folder: Path, text: str) -> ImageNet22K:
    (folder / "list.txt").write_text(text)
    kind = "mmswinv2.ImageNet22K"
    return DATASETS.build(dict(type=kind, data_root=str(folder), ann_file="list.txt"))


@pytest.mark.parametrize(
    "text",
    [json.dumps(ENTRIES), "".join(f"{path}\t{label}\n" for path, label in ENTRIES)],
    ids=["JSON", "TSV"],
)
def test_lists(text: str, tmp_path: Path) -> None:
    """Paths are inside of the root; the last two labels have the places of others."""
    dataset = build(tmp_path, text)
    items = [dataset.get_data_info(number) for number in range(len(dataset))]
    assert [item["gt_label"] for item in items] == [0, 21840, 9205]
    files = [Path(item["img_path"]).relative_to(tmp_path) for item in items]
    assert [*map(str, files)] == ["n0/a b.JPEG", "n1/c.JPEG", "n2/d.JPEG"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[", "starts as a JSON list, but is none"),
        ('["a.jpg"]', "entry 1 is 'a.jpg', expected a path and a label"),
        ("a.jpg 3", r"entry 1 is \['a.jpg 3'\], expected a path and a label"),
        ('[["a.jpg", null]]', "expected a path and a label"),
        ("a.jpg\t0\nb.jpg\t21843", r"entry 2 \(b.jpg\) has the label 21843, expected"),
    ],
)
def test_faulty_lists(text: str, message: str, tmp_path: Path) -> None:
    """One sentence for each fault, with the entry."""
    with pytest.raises(ValueError, match=message):
        build(tmp_path, text)
