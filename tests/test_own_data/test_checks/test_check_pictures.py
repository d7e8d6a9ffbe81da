"""Pictures that are missing, cut, of another size, turned, or in two sets."""

import shutil
from pathlib import Path

import pytest
from made_sets import HEIGHT, WIDTH, write_picture
from PIL import Image

from mmswinv2.own_data.checks import pictures as module
from mmswinv2.own_data.checks.pictures import check_overlap, check_pictures
from mmswinv2.own_data.files import EXIF_ORIENTATION, list_files

SIZE = (WIDTH, HEIGHT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, and one in a folder below."""
    for i, name in enumerate(("a.png", "b.jpg", "c.jpg", "more/d.jpg")):
        write_picture(tmp_path / "images" / name, seed=i)
    return tmp_path / "images"


def found(folder: Path, *names: str, **sizes: tuple) -> list[tuple[str, str]]:
    """Severity and message of each finding."""
    wanted = dict.fromkeys(names or list_files(folder), SIZE) | sizes
    findings = check_pictures(str(folder), wanted, key="data_prefix.img")
    return [(finding.severity, str(finding)) for finding in findings]


def test_sound(folder: Path) -> None:
    """Whole pictures of the stated size have no finding."""
    assert found(folder) == []
    assert found(folder, str(folder / "a.png"), "../images/b.jpg") == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("z.jpg", "copy them there, or set data_prefix.img"),
        ("A.PNG", "write names as the files have them: a.png"),
        ("d.jpg", "more/d.jpg is there"),
        ("b.png", "with the suffix of the files: b.jpg"),
        ("images/b.jpg", "set data_prefix.img so that it and the name give the path"),
        ("more\\d.jpg", "write / for \\ in names, as in more/d.jpg"),
    ],
)
def test_missing(folder: Path, name: str, hint: str) -> None:
    """All missing files are counted, with a guess why."""
    ((severity, message),) = found(folder, "a.png", name, "~.jpg")
    assert severity == "error"
    assert f"2 files that are missing ({name}, ~.jpg)" in message
    assert hint in message


def test_broken(folder: Path) -> None:
    """Empty, cut and wrong files are told apart."""
    content = (folder / "b.jpg").read_bytes()
    (folder / "a.png").write_bytes(b"")
    (folder / "link.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "b.jpg").write_bytes(content[: len(content) // 2])
    (folder / "c.jpg").write_text("<html>404</html>")
    messages = [message for severity, message in found(folder) if severity == "error"]
    empty = "3 empty files (0 bytes), or links to nowhere (a.png, link.jpg, loop.jpg)"
    assert empty in messages[0]
    assert "1 files that are no pictures" in messages[1] and "c.jpg" in messages[1]
    assert "1 pictures that are cut" in messages[2] and "b.jpg" in messages[2]


def test_size(folder: Path) -> None:
    """A size that the file does not have is named with the one it has."""
    ((severity, message),) = found(folder, **{"c.jpg": (WIDTH + 1, HEIGHT)})
    assert severity == "error"
    assert f"c.jpg: {WIDTH} x {HEIGHT} px, not {WIDTH + 1} x {HEIGHT}" in message


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_exif(tmp_path: Path, suffix: str) -> None:
    """Sizes are compared as mmcv loads the picture, which obeys EXIF."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    name = f"turned.{suffix}"
    write_picture(tmp_path / name, exif=exif)
    assert found(tmp_path, **{name: SIZE[::-1]}) == []
    ((severity, message),) = found(tmp_path, **{name: SIZE})
    assert severity == "error"
    assert "1 pictures that EXIF data turn when they are loaded" in message
    assert "color_type='color_ignore_orientation'" in message
    stored = dict(key="", obey_exif=False)
    assert [*check_pictures(str(tmp_path), {name: SIZE}, **stored)] == []
    (other,) = check_pictures(str(tmp_path), {name: SIZE[::-1]}, **stored)
    assert "annotated turned as EXIF data say" in other.what
    exif[EXIF_ORIENTATION] = 3
    write_picture(tmp_path / name, exif=exif)
    ((severity, message),) = found(tmp_path, **{name: SIZE})
    assert severity == "warning"
    assert "upside down" in message


def test_overlap(folder: Path) -> None:
    """The same path and the same bytes are found, the same name alone is not."""
    val = folder.parent / "val"
    write_picture(val / "a.png", seed=9)
    shutil.copy(folder / "b.jpg", val / "other.jpg")

    def files(root: Path) -> dict[str, int]:
        return {str(root / name): size for name, size in list_files(root).items()}

    (finding,) = check_overlap(files(folder), files(val), "val_dataloader.dataset")
    assert (finding.severity, finding.count) == ("warning", 1)
    assert finding.examples == (str(val / "other.jpg"),)
    (finding,) = check_overlap(files(folder), files(folder), "val_dataloader.dataset")
    assert finding.count == 4


def test_large_sets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many pictures a sample is decoded, and every name is looked up."""
    monkeypatch.setattr(module, "PIXELS", 1)
    for name in ("a.png", "b.jpg", "c.jpg", "more/d.jpg"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    (cut,) = (message for _, message in found(folder))
    assert "1 pictures that are cut" in cut
    missing = [f"{i}.jpg" for i in range(9)]
    assert "9 files that are missing" in found(folder, "b.jpg", *missing)[0][1]
