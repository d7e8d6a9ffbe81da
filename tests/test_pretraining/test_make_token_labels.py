"""Commands that make stores of maps: from a teacher, and from published files."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from made_sets import write_picture
from PIL import Image
from tiny import Tool
from torch import Tensor, nn

import mmswinv2.pretraining  # noqa: F401
from mmswinv2.pretraining.label_maker import labelling, make_store
from mmswinv2.pretraining.label_maker.batches import choose_batch, halving
from mmswinv2.pretraining.label_maker.reading import read_squashed
from mmswinv2.pretraining.map_store import MapStore
from mmswinv2.pretraining.teachers import build_teacher
from mmswinv2.pretraining.teachers.base import MEAN, STD

MAKE = "tools/dataset_converters/make_token_labels.py"
IMPORT = "tools/dataset_converters/import_token_labels.py"
SIZE = (64, 96)  # px, of which the tiny teacher makes 2 x 3 tokens


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for i in range(7):
        write_picture(tmp_path / f"data/{i % 3}/{i}.png", seed=i)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "resnet.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), file)
    return file


@pytest.fixture
def options(data: Path, weights: Path) -> tuple:
    """Of a command that labels the pictures; its batches are of two."""
    given = ("--teacher", "test_resnet", "--weights", weights, "--data", data)
    return (*given, "--size", *SIZE, "--batch", 2, "--workers", 0, "--device", "cpu")


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_maps_are_what_the_teacher_says_of_the_whole_picture(
    tool: Tool, options: tuple, data: Path, weights: Path
) -> None:
    assert "complete, 7 maps of token_labels" in tool(MAKE, *options, "--out", "top")
    tool(MAKE, *options, "--out", "all", "--features")
    top, features = MapStore("top"), MapStore("all")
    assert top.grid == features.grid == (2, 3) and top.coverage == "whole"
    teacher = build_teacher("test_resnet", weights=weights, input_size=SIZE)
    for path in top.paths():
        how = dict(interpolation=teacher.interpolation)
        pixels = torch.from_numpy(read_squashed(data / path, SIZE, **how).copy())
        image = (pixels - torch.tensor(MEAN)) / torch.tensor(STD)
        image = image.permute(2, 0, 1)[None]
        values, ids = teacher.logits(image)[0].topk(5, 0)
        labels = top.read(path)
        np.testing.assert_allclose(labels.values, values, rtol=2e-3, atol=1e-5)
        np.testing.assert_array_equal(labels.ids, ids)
        own = teacher.features(image)[0]
        np.testing.assert_allclose(features.read(path), own, rtol=2e-3, atol=1e-5)


def test_two_processes_make_the_same_store_as_one(
    tool: Tool, options: tuple, data: Path
) -> None:
    tool(MAKE, *options, "--out", "one")
    tool(MAKE, *options, "--out", "two", "--processes", 2)
    assert content(Path("one")) == content(Path("two"))
    again = tool(MAKE, *options, "--out", "two")
    assert "complete" in again  # and nothing is done
    proof = tool(MAKE, "--check", "--out", "two", "--data", data)
    assert "7 maps of token_labels, all checksums right" in proof


def test_a_run_goes_on_after_a_kill(
    tool: Tool,
    options: tuple,
    data: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool(MAKE, *options, "--out", "whole")
    monkeypatch.setattr("mmswinv2.pretraining.map_store.writer.FLUSH", 0.0)
    labelled: list[int] = []

    def run(kill_after: int) -> None:
        """In a process of its own, as far as that comes."""
        original = labelling.Labeller.__call__

        def call(labeller: labelling.Labeller, images: Tensor) -> dict[str, Tensor]:
            labelled.append(len(images))
            if len(labelled) > kill_after:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(labeller, images)

        torch.set_num_threads(1)  # others are not there after a fork
        labelling.Labeller.__call__ = call
        kwargs = dict(weights=str(weights), size=SIZE, batch=2, workers=0)
        make_store("test_resnet", data, Path("killed"), **kwargs)

    process = multiprocessing.get_context("fork").Process(target=run, args=(3,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert "is unfinished" in tool.fails(MAKE, "--check", "--out", "killed")
    code, _, said = tool.run(MAKE, *options, "--out", "killed")
    assert code == 0 and "4 of them done before" in said
    assert content(Path("killed")) == content(Path("whole"))


def test_unreadable_pictures_are_named_and_keep_a_store_unfinished(
    tool: Tool, options: tuple, data: Path
) -> None:
    (data / "0/text.jpg").write_text("no picture")
    whole = (data / "1/1.png").read_bytes()
    (data / "1/1.png").write_bytes(whole[: len(whole) // 2])
    message = tool.fails(MAKE, *options, "--out", "labels")
    assert f"{data / '0/text.jpg'}: is no picture" in message
    assert f"{data / '1/1.png'}: cannot be read: image file is truncated" in message
    assert len(Path("labels/unreadable.txt").read_text().splitlines()) == 2
    with pytest.raises(ValueError, match="is unfinished"):
        MapStore("labels")
    (data / "0/text.jpg").unlink()
    (data / "1/1.png").write_bytes(whole)
    tool(MAKE, *options, "--out", "labels")
    assert len(MapStore("labels")) == 7 and not Path("labels/unreadable.txt").exists()


def test_what_cannot_be_done_is_said_before_anything_is_written(
    tool: Tool, options: tuple, data: Path, weights: Path
) -> None:
    Path("broken.py").write_text("model = dict(\n")
    Path("empty.py").write_text("data = None\n")
    cases = [
        (("--out", "new"), "--teacher is missing; only --check needs none"),
        ((*options, "--out", "new", "--batch", "many"), "--batch is many; expected"),
        ((*options, "--out", "new", "--top-k", 0), "--top-k is 0; expected at least 1"),
        ((*options, "--out", "new", "--workers", -1), "--workers is -1; expected"),
        ((*options, "--out", "new", "--device", "cuda:99"), "'cuda:99' is not usable"),
        ((*options, "--out", "new", "--teacher", "broken.py"), "cannot be read as a"),
        ((*options, "--out", "new", "--teacher", "empty.py"), "has no model in it"),
        ((*options, "--out", weights), "is no folder that can be written to"),
        ((*options, "--out", "new", "--data", "none"), "none is no folder"),
        (
            (*options, "--out", "new", "--teacher", "test_vit"),
            "does not fit the teacher test_vit",
        ),
        (("--check", "--out", "new"), "new has no manifest.json"),
    ]
    for args, expected in cases:
        assert expected in tool.fails(MAKE, *args)
    assert not Path("new/draft.json").exists()
    tool(MAKE, *options, "--out", "new")
    message = tool.fails(MAKE, *options, "--out", "new", "--top-k", 3)
    assert "is a finished store with top_k 5, not 3" in message


def test_a_picture_is_squashed_to_its_edges_and_turned_only_on_request(
    tmp_path: Path,
) -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:10, 40:] = 200  # a corner that a crop of the centre would lose
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    read = read_squashed(tmp_path / "a.png", (2, 3), interpolation="bilinear")
    assert read.shape == (2, 3, 3)
    assert read[0, 2, 0] > 140 > 60 > read[1, 2, 0] and read[:, 0].max() < 60
    turned = read_squashed(tmp_path / "a.png", (2, 3), exif_rotation=True)
    assert turned[1, 0, 0] > 140 and turned[0, 2, 0] < 60
    deep = np.full((4, 4), 128 * 256, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert (read_squashed(tmp_path / "deep.png", (2, 2)) == 128).all()


def test_a_batch_fits_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Conv2d(3, 8, 1)  # one takes 3 * 11 numbers a pixel, and its map 8

    def run(images: Tensor) -> dict[str, Tensor]:
        return dict(maps=model(images.float()))

    free = 10 * (3 * 11 + 8) * 4 * 16 * 16  # bytes, half of which may be used
    monkeypatch.setattr(
        "mmswinv2.pretraining.label_maker.batches.free_memory", lambda _: free
    )
    cpu = torch.device("cpu")
    given = dict(processes=1, pictures=100)
    assert choose_batch(run, model, (16, 16), cpu, **given)[0] == 4
    assert choose_batch(run, model, (16, 16), cpu, processes=2, pictures=100)[0] == 2
    assert choose_batch(run, model, (64, 64), cpu, **given)[0] == 1

    def limited(images: Tensor) -> dict[str, Tensor]:
        if len(images) > 2:
            raise torch.OutOfMemoryError
        return run(images)

    images, said = torch.rand(7, 3, 4, 4), []
    maps = halving(limited, images, said.append)
    torch.testing.assert_close(maps["maps"], run(images)["maps"])
    assert "a batch of 7 did not fit" in said[0]
    images = torch.rand(1, 3, 4, 4)
    with pytest.raises(RuntimeError, match="not even one picture of 4 x 4 px fits"):
        halving(lambda _: limited(torch.rand(3, 3, 4, 4)), images, said.append)


@pytest.fixture
def published(data: Path, tmp_path: Path) -> Callable[[], Path]:
    """Files as LV-ViT's authors wrote them, for every picture."""
    generator = torch.Generator().manual_seed(0)
    for picture in data.rglob("*.png"):
        values = torch.randn(5, 18, 18, generator=generator).sort(0, True)[0] * 10
        ids = torch.randint(1000, (5, 18, 18), generator=generator)
        name = picture.relative_to(data).with_suffix(".pt")
        (tmp_path / "published" / name).parent.mkdir(parents=True, exist_ok=True)
        torch.save(torch.stack([values, ids]).half(), tmp_path / "published" / name)
    return tmp_path / "published"


def test_published_maps_are_imported_as_they_are(
    tool: Tool, data: Path, published: Path
) -> None:
    torch.save(torch.zeros(2, 5, 18, 18).half(), published / "extra.pt")
    options = ("--labels", published, "--data", data, "--out", "labels")
    code, out, said = tool.run(IMPORT, *options, "--workers", 0)
    assert code == 0 and "complete, 7 maps" in out
    assert f"left out: 1, such as {published / 'extra.pt'}" in said
    store = MapStore("labels")
    store.check(full=True, data=data, num_classes=1000)
    assert store.coverage == "centre-square" and store.grid == (18, 18)
    for path in store.paths():
        values, ids = torch.load((published / path).with_suffix(".pt"))
        labels = store.read(path)
        assert (labels.values == values.numpy()).all()
        assert (labels.ids == ids.numpy()).all() and labels.ids.dtype == np.int16


def test_published_maps_that_are_wrong_are_named(
    tool: Tool, data: Path, published: Path
) -> None:
    files = sorted(published.rglob("*.pt"))
    whole = torch.load(files[5])
    files[1].unlink()
    files[0].write_bytes(files[0].read_bytes()[:4000])
    for file, part, number in zip(files[2:5], (1, 1, 0), (1000, 0.5, torch.nan)):
        changed = whole.clone()
        changed[part, 2, 3, 4] = number
        torch.save(changed, file)
    torch.save(whole[..., :9], files[6])
    options = ("--labels", published, "--data", data, "--out", "labels")
    tool.fails(IMPORT, *options, "--workers", 0)
    lines = Path("labels/unreadable.txt").read_text().splitlines()
    expected = ["is damaged or truncated", "does not exist", "has 1000 as a class id"]
    expected += ["has 0.5 as", "has NaN or Inf", "has a map of (5, 18, 9), others have"]
    assert len(lines) == 6
    for line, file, reason in zip(lines, [*files[:5], files[6]], expected):
        assert str(file) in line and reason in line
    message = tool.fails(IMPORT, *options, "--classes", 3000)
    assert "--classes is 3000; expected 1 to 2048, which fp16 holds exactly" in message
