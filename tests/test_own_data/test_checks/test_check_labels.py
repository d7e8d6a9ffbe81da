"""Label maps that cannot be learned from, or do not fit the config."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_sets import HEIGHT, WIDTH, label_map, write_labels, write_picture
from PIL import Image

from mmswinv2.own_data.checks.findings import Finding
from mmswinv2.own_data.checks.labels import LabelUse, _check_values, check_labels
from mmswinv2.own_data.files import EXIF_ORIENTATION

Write = Callable[[np.ndarray], Image.Image]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pictures with label maps of three classes."""
    write_labels(tmp_path)
    return tmp_path


def found(root: Path, use: LabelUse | None = None) -> list[Finding]:
    """The findings about a set."""
    pairs = {f"{i}.png": f"{i}.png" for i in range(3)}
    folders = (str(root / name) for name in ("images", "labels"))
    return [*check_labels(*folders, pairs, use or LabelUse(3))]


def test_sound(root: Path) -> None:
    """Values of all classes, and 255, are sound; so is a palette, which mmseg reads."""
    assert found(root) == []
    image = Image.fromarray(label_map(), "P")
    image.putpalette(bytes(range(256)) * 3)
    image.save(root / "labels/1.png")
    assert found(root) == []
    (finding,) = found(root, LabelUse(3, backend="cv2"))
    assert "1 label maps with a palette, which OpenCV reads as colours" in str(finding)


def colour(labels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.stack([labels] * 3, 2))


SPOILED: dict[str, Write] = {
    "1 label maps in colour": colour,
    "1 label maps of another size than the picture as it is loaded (1.png: 32 x 48 px,"
    " not 48 x 32)": lambda labels: Image.fromarray(labels.T.copy()),
    "1 values that are no class: [3]; expected 0 to 2, or 255 for pixels to ignore "
    "(1.png: 3)": lambda labels: Image.fromarray(np.where(labels == 2, 3, labels)),
    "1 values that are no class: [300]": lambda labels: Image.fromarray(
        np.where(labels == 2, 300, labels.astype(np.uint16))
    ),
}


@pytest.mark.parametrize("expected", SPOILED)
def test_one_bad_map(root: Path, expected: str) -> None:
    """One bad label map among others is named."""
    SPOILED[expected](label_map()).save(root / "labels/1.png")
    (finding,) = found(root)
    assert finding.severity == "error"
    assert expected in str(finding)
    assert finding.where == str(root / "labels")


def test_files(root: Path) -> None:
    """Missing, lossy, cut and wrong files are told apart."""
    labels = root / "labels"
    Image.fromarray(label_map()).save(labels / "0.png", "JPEG")
    content = (labels / "1.png").read_bytes()
    (labels / "1.png").write_bytes(content[: len(content) // 2])
    (labels / "2.png").unlink()
    missing, lossy, cut = found(root)
    assert "1 files that are missing (2.png)" in str(missing)
    assert "1 label maps stored as JPEG" in str(lossy) and "0.png" in str(lossy)
    assert "1 label maps that are cut" in str(cut) and "1.png" in str(cut)


def test_turned_picture(root: Path) -> None:
    """A label map must have the size of its picture after EXIF is obeyed."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 8
    write_picture(root / "images/1.png", exif=exif)
    (finding,) = found(root)
    assert f"1.png: {WIDTH} x {HEIGHT} px, not {HEIGHT} x {WIDTH}" in str(finding)
    assert found(root, LabelUse(3, obey_exif=False)) == []


def told(values: object, **use: object) -> list[Finding]:
    """Findings about a set that has these values, ten pixels each."""
    counts = dict.fromkeys(values, 10)
    names = {value: ["a.png"] for value in values}
    return [*_check_values(counts, names, "labels", LabelUse(**use), True)]


@pytest.mark.parametrize(
    ("values", "use", "expected"),
    [
        # the background is a class, but ADE20K's recipe takes it for 'other'
        (range(3), dict(num_classes=3, reduce_zero_label=True), "=False in dataset"),
        # other labels under ADE20K's names
        (
            range(6),
            dict(num_classes=150, own_classes=False, reduce_zero_label=True),
            "type='BaseSegDataset'",
        ),
        (range(1, 4), dict(num_classes=3), "set reduce_zero_label=True"),
        ((0, 255), dict(num_classes=2), "write the second class as 1, not 255"),
        ((0,), dict(num_classes=2), "one class alone"),
        ((255,), dict(num_classes=2), "holds no class"),
        ((0, 255), dict(num_classes=3, reduce_zero_label=True), "holds no class"),
        ((0, 1, 2, 3, 9), dict(num_classes=3), "[3, 9]; expected 0 to 2"),
        (
            (0, 1, 4),
            dict(num_classes=3, reduce_zero_label=True),
            "(1 to 3 in the files",
        ),
    ],
)
def test_values(values: object, use: dict, expected: str) -> None:
    """Labels that do not fit the classes are an error with the line to change."""
    (finding,) = told(values, **use)
    assert finding.severity == "error"
    assert expected in str(finding)


def test_values_to_think_about() -> None:
    """Rare classes and unlabelled pictures are warnings."""
    (bare,) = told((0, 2, 255), num_classes=3)
    assert bare.severity == "warning" and "1 classes without a pixel (1)" in str(bare)
    (most,) = _check_values(
        {0: 1, 1: 1, 255: 98}, {}, "labels", LabelUse(2), whole=False
    )
    assert most.severity == "warning" and "98% of the pixels" in most.what


@given(st.sets(st.integers(0, 254)), st.booleans(), st.booleans())
def test_sound_values(values: set[int], reduce: bool, mapped: bool) -> None:
    """Whatever classes occur, a sound set has no error, and a value too much is one."""
    classes = max(values, default=0) + 3
    shift = int(reduce)
    use = dict(num_classes=classes, reduce_zero_label=reduce)
    if mapped:
        use["label_map"] = {i: i for i in range(classes)}
    sound = {0, *range(classes - 2, classes + shift)} | {v + shift for v in values}
    sound = {v for v in sound if v < 255} | {255}
    if classes < 254:
        assert {f.severity for f in told(sound, **use)} <= {"warning"}
        errors = told({*sound, classes + shift}, **use)
        assert "error" in {finding.severity for finding in errors}
