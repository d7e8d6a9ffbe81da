"""Stores of maps: what is written is read, and nothing else passes for it."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_sets import write_picture

import mmswinv2.pretraining  # noqa: F401
from mmswinv2.errors import RunError
from mmswinv2.pretraining.map_store import (
    MapSpec,
    MapStore,
    MapWriter,
    begin_store,
    find_pictures,
)

TEACHER = dict(kind="timm", name="a", weights="0" * 64)
SPEC = MapSpec("token_labels", TEACHER, (3, 4), num_classes=50, top_k=2)
KINDS = {
    "16 bits": SPEC,
    "32 bits": replace(SPEC, num_classes=2**15 + 1, grid=(5, 1)),
    "features": MapSpec("features", TEACHER, (2, 3), channels=6),
}


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three rows, so that a few pictures fill several."""
    monkeypatch.setattr("mmswinv2.pretraining.map_store.manifest.SHARD_ROWS", 3)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight pictures, in an order that no file system has, one of them in French."""
    for i, name in enumerate(["b/2", "b/10", "a/été", "c", "Z/1", "b/1", "a/b/c", "d"]):
        write_picture(tmp_path / "data" / f"{name}.png", seed=i)
    (tmp_path / "data" / ".hidden.png").touch()
    return tmp_path / "data"


def maps_of(spec: MapSpec, rows: list[int]) -> dict[str, np.ndarray]:
    """Numbers that are others in every row."""
    found = {}
    for name, (dtype, shape) in spec.arrays().items():
        numbers = np.stack(
            [np.random.default_rng(row).integers(0, 50, shape) for row in rows]
        )
        top = (spec.num_classes or 50) - 50 if name == "ids" else 0
        found[name] = (numbers + top).astype(dtype)
    return found


def fill(writer: MapWriter, blocks: list[range]) -> None:
    for rows in blocks:
        writer.write([*rows], maps_of(writer.spec, [*rows]))
    writer.flush()


@pytest.fixture
def made(data: Path, tmp_path: Path) -> Callable[..., Path]:
    def make(spec: MapSpec = SPEC, name: str = "store") -> Path:
        writer = begin_store(tmp_path / name, spec, find_pictures(data), block=2)
        fill(writer, [*writer.blocks()])
        writer.finish()
        return tmp_path / name

    return make


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_gives_back_what_was_written(
    kind: str, made: Callable[..., Path], data: Path
) -> None:
    spec = KINDS[kind]
    store = pickle.loads(pickle.dumps(MapStore(made(spec))))  # as a worker gets it
    store.check(full=True, data=data, teacher=TEACHER, kind=spec.kind)
    paths = [picture.path for picture in find_pictures(data)]
    assert store.paths() == paths and len(store) == 8 and store.spec == spec
    for row, path in enumerate(paths):
        read = store.read(path)
        arrays = [read] if isinstance(read, np.ndarray) else [*read]
        for array, expected in zip(arrays, maps_of(spec, [row]).values(), strict=True):
            assert array.dtype == expected.dtype and array.flags.writeable
            np.testing.assert_array_equal(array, expected[0])


def test_nothing_of_a_store_can_run_code(made: Callable[..., Path]) -> None:
    for file in made().glob("*.npy"):
        np.load(file, allow_pickle=False)


def test_writers_of_other_rows_and_a_kill_make_the_same_files(
    made: Callable[..., Path], data: Path, tmp_path: Path
) -> None:
    expected = content(made())
    first = begin_store(tmp_path / "two", SPEC, find_pictures(data), block=2)
    blocks = [*first.blocks()]
    fill(first, blocks[2:])
    killed = MapWriter(tmp_path / "two")
    killed.write([0, 1], maps_of(SPEC, [0, 1]))  # and never noted
    with pytest.raises(RuntimeError, match="2 blocks of 2 pictures lack maps"):
        first.finish()
    with pytest.raises(ValueError, match="is unfinished; give its command once more"):
        MapStore(tmp_path / "two")
    again = begin_store(tmp_path / "two", SPEC, find_pictures(data), block=5)
    assert [*again.blocks()] == blocks[:2]  # in the blocks that it was begun with
    fill(again, blocks[:2])
    again.finish()
    assert content(tmp_path / "two") == expected


def test_pictures_may_be_mended_or_removed_while_it_is_unfinished(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "store"
    writer = begin_store(out, SPEC, find_pictures(data), block=1)
    fill(writer, [rows for rows in writer.blocks() if rows.start != 2])
    paths = writer.paths()
    (data / paths[2]).unlink()
    with (data / paths[5]).open("ab") as file:
        file.write(b"mended")
    again = begin_store(out, SPEC, find_pictures(data), block=1)
    assert [*again.blocks()] == [range(5, 6)]
    fill(again, [range(5, 6)])
    again.finish()
    store = MapStore(out)
    store.check(full=True, data=data)
    assert store.paths() == [path for path in paths if path != paths[2]]
    values = store.read(paths[7]).values  # rows stay where they are
    np.testing.assert_array_equal(values, maps_of(SPEC, [7])["values"][0])
    other = tmp_path / "other"
    begin_store(other, SPEC, find_pictures(data), block=1)
    write_picture(data / "new.png")
    with pytest.raises(ValueError, match=r"of which new.png is none \(1 are new\)"):
        begin_store(other, SPEC, find_pictures(data), block=1)


DAMAGES = {
    "cut shard": ("values-00001.npy", lambda text: text[:-5], "is cut off: it has"),
    "longer": ("ids-00000.npy", lambda text: text + b"x", "is another file: it has"),
    "cut index": ("index.tsv", lambda text: text[:-9], "is cut off"),
    "no JSON": ("manifest.json", lambda text: text[:-9], "is damaged"),
    "newer": (
        "manifest.json",
        lambda text: text.replace(b'"format": 1', b'"format": 2'),
        "has format 2, but this version of mmswinv2 knows formats up to 1; upgrade",
    ),
    "other rows": (
        "manifest.json",
        lambda text: text.replace(b'"rows": 8', b'"rows": 80'),
        "is damaged .*list of files",
    ),
    "fewer classes kept": (
        "manifest.json",
        lambda text: text.replace(b'"top_k": 2', b'"top_k": 1'),
        "is damaged .*sizes of its files",
    ),
    "no classes": (
        "manifest.json",
        lambda text: text.replace(b'"num_classes": 50', b'"num_classes": 0'),
        "is damaged .*no maps are like that",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damage_is_seen_when_a_store_is_opened(
    case: str, made: Callable[..., Path]
) -> None:
    name, change, expected = DAMAGES[case]
    file = made() / name
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ValueError, match=expected) as caught:
        MapStore(file.parent)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_swapped_and_changed_shards_are_found_by_their_checksums(
    made: Callable[..., Path],
) -> None:
    folder = made()
    first, second = folder / "values-00000.npy", folder / "values-00001.npy"
    kept = first.read_bytes()
    shutil.move(second, first)
    second.write_bytes(kept)
    MapStore(folder).check()
    with pytest.raises(ValueError, match=r"has the content of values-00001\.npy"):
        MapStore(folder).check(full=True)
    first.write_bytes(kept[:-1] + b"\1")
    with pytest.raises(ValueError, match="another SHA-256 than when it was written"):
        MapStore(folder).check(full=True)
    first.write_bytes((folder / "ids-00000.npy").read_bytes())  # as long
    path = MapStore(folder).paths()[0]
    with pytest.raises(ValueError, match="is damaged: expected float16"):
        MapStore(folder).read(path)
    first.unlink()
    with pytest.raises(FileNotFoundError, match="is missing; copy the store again"):
        MapStore(folder)


def test_classes_that_an_edited_manifest_does_not_know_are_found(
    made: Callable[..., Path],
) -> None:
    file = made() / "manifest.json"
    text = file.read_text().replace('"num_classes": 50', '"num_classes": 20')
    file.write_text(text)
    with pytest.raises(ValueError, match=r"ids-00000\.npy names classes .* 0 to 19"):
        MapStore(file.parent).check(full=True)


def test_a_store_of_something_else_is_refused(
    made: Callable[..., Path], data: Path, tmp_path: Path
) -> None:
    spec = replace(SPEC, num_classes=3, classes=("sky", "roof", "road"))
    store = MapStore(made(spec))
    cases = [
        (dict(kind="features"), "holds token_labels, expected features"),
        (dict(teacher=dict(TEACHER, weights="1")), "made by the teacher a .* not by a"),
        (dict(num_classes=4), "labels of 3 classes, but 4 are trained"),
        (dict(classes=["sky", "road", "roof"]), "'roof' as class 1, .* has 'road'"),
        (dict(data=tmp_path / "none"), "none is no folder"),
    ]
    for given, expected in cases:
        with pytest.raises((ValueError, FileNotFoundError), match=expected) as caught:
            store.check(**given)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"has no map for c\.jpg; it has 8, such as"):
        store.read("c.jpg")
    (data / "c.png").unlink()
    with (data / "b/2.png").open("ab") as file:
        file.write(b"changed")
    write_picture(data / "e.png")
    changed = r"1 are new, such as e.png, 1 are gone, such as c.png, 1 are of another"
    with pytest.raises(ValueError, match=changed):
        store.check(data=data)


def test_a_folder_that_cannot_hold_it_is_refused(
    made: Callable[..., Path],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures = find_pictures(data)
    with pytest.raises(ValueError, match="has a finished store already"):
        begin_store(made(), SPEC, pictures, block=2)
    with pytest.raises(ValueError, match="is not empty; name a new folder"):
        begin_store(data, SPEC, pictures, block=2)
    begin_store(tmp_path / "begun", SPEC, pictures, block=2)
    with pytest.raises(ValueError, match="was begun with top_k 2, not 1"):
        begin_store(tmp_path / "begun", replace(SPEC, top_k=1), pictures, block=2)
    draft = tmp_path / "begun/draft.json"
    assert json.loads(draft.read_text())["block"] == 2
    draft.unlink()  # killed before it was there: begun anew
    assert begin_store(tmp_path / "begun", SPEC, pictures, block=1).block == 1
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(RuntimeError, match="for 8 maps, but its disk has 100 bytes"):
        begin_store(tmp_path / "full", SPEC, pictures, block=2)


def test_a_disk_that_fills_up_is_an_error_and_nothing_is_noted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = begin_store(tmp_path / "store", SPEC, find_pictures(data), block=2)
    with monkeypatch.context() as patch:

        def refuse(*_: object) -> int:
            raise OSError(28, "No space left on device")

        patch.setattr("os.pwrite", refuse)
        with pytest.raises(RunError, match="could not be saved: No space left"):
            writer.write([0], maps_of(SPEC, [0]))
    assert not writer.done().any()
