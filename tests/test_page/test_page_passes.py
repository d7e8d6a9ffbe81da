"""A pass at a scale and windows, and what is told of it."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample

from mmswinv2.errors import RunError
from mmswinv2.large_images.inferencer import TILED
from mmswinv2.page import passes
from mmswinv2.page.choices import find_choices
from mmswinv2.page.drawing import LARGEST, draw
from mmswinv2.page.findings import difference, only_classes, present_classes, rows_of
from mmswinv2.page.inputs import parse_scale, parse_stages, read_upload
from mmswinv2.page.measuring import PeakMemory
from mmswinv2.page.models import LoadedModel
from mmswinv2.page.passes import Settings, run_pass
from mmswinv2.page.tables import found_table

META = dict(classes=("cat", "dog", "<b>"))
OWN = ((8, 8), (8, 8))


@pytest.fixture(scope="module")
def model(runs: Path) -> LoadedModel:
    """The detector."""
    return LoadedModel(find_choices(runs)[0], "cpu")


@pytest.fixture(scope="module")
def pixels(photo: Path) -> np.ndarray:
    return cv2.imread(str(photo))


def test_a_pass_sees_scale_and_windows_and_leaves_none(
    model: LoadedModel, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two threads at once, each has its own."""
    seen, found = [], {}

    def predict(inferencer: object, pixels: np.ndarray) -> DetDataSample:
        sample = original(inferencer, pixels)
        seen.append((inferencer.model.backbone.window_size[0], sample.img_shape))
        return sample

    original = passes.predict
    monkeypatch.setattr(passes, "predict", predict)
    run_pass(model, pixels, Settings())

    def run(side: int, window: int) -> None:
        settings = Settings(side, ((window, window),) * 4)
        found[side] = run_pass(model, pixels, settings)

    threads = [threading.Thread(target=run, args=args) for args in ((64, 4), (96, 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen[0] == ((8, 8), (96, 128))
    assert {*seen[1:]} == {((4, 4), (48, 64)), ((2, 2), (72, 96))}
    assert found[64].transfers[0].before == (8, 8)
    assert found[64].transfers[0].after == (4, 4)
    assert model.backbone.window_size == ((8, 8),) * 4
    assert run_pass(model, pixels, Settings()).sample.img_shape == (96, 128)


@pytest.mark.parametrize("tile", ["auto", 96])
def test_a_scale_cuts_no_picture_that_is_else_seen_whole(
    runs: Path, tile: int | str
) -> None:
    """A picture that a small scale shrinks much, of a page that cuts."""
    model = LoadedModel(find_choices(runs)[0], "cpu", tile)
    pixels = np.zeros((300, 760, 3), np.uint8)
    sample = run_pass(model, pixels, Settings(72)).sample
    assert sample.get(TILED) == (None if tile == "auto" else tile)


def test_a_thin_picture_is_drawn() -> None:
    pixels = np.zeros((1, 6000, 3), np.uint8)
    assert draw(pixels, detected((0, 0.9, (0, 0, 9, 1))), META, 0.5).shape[1] == LARGEST


def test_a_lack_of_memory_is_told_before_or_after_it_happens(
    model: LoadedModel, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows and scale are the model's own again."""

    def predict(*_: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr(passes, "predict", predict)
    with pytest.raises(RunError, match="choose a smaller image scale or smaller"):
        run_pass(model, pixels, Settings(64, ((4, 4),) * 4))
    monkeypatch.setattr(passes, "free_memory", lambda _: 2**20)
    with pytest.raises(RunError, match=r"takes about .* GB of memory, and 1.0 MB"):
        run_pass(model, pixels, Settings(2048))
    assert model.backbone.window_size == ((8, 8),) * 4


def test_the_growth_of_the_process_is_measured() -> None:
    """What was there before does not count, what was freed meanwhile does."""
    before = bytearray(40 << 20)
    with PeakMemory(torch.device("cpu")) as peak:
        del before
        del bytearray(b"1" * (90 << 20))[:]
    assert peak.bytes is None or 80 << 20 < peak.bytes < 250 << 20


def detected(*objects: tuple[int, float, tuple[int, ...]]) -> DetDataSample:
    labels, scores, boxes = zip(*objects)
    found = InstanceData(labels=torch.tensor(labels), scores=torch.tensor(scores))
    found.bboxes = torch.tensor(boxes, dtype=torch.float32)
    return DetDataSample(pred_instances=found)


A = detected((0, 0.9, (0, 0, 10, 10)), (1, 0.8, (0, 0, 10, 10)), (2, 0.2, (0, 0, 1, 1)))
B = detected((0, 0.7, (1, 0, 10, 10)), (0, 0.6, (0, 1, 10, 10)))


def test_objects_are_listed_filtered_and_compared() -> None:
    """Each object is one of the other's at most; names are no HTML."""
    assert rows_of(A, META, 0.5)[1][0] == (0, ("cat", "0.90", "0, 0, 10 x 10"))
    assert len(rows_of(A, META, 0.5)[1]) == 2
    assert present_classes(B, 3) == [0]
    only = only_classes(A, [2], 3)
    assert [index for index, _ in rows_of(only, META, 0.1)[1]] == [2]
    assert len(A.pred_instances) == 3
    text = difference(A, B, META, 0.1)
    assert text.startswith("A finds 3, B 2: 1 in both, 2 in A only, 1 in B only")
    assert difference(only, B, META, 0.5).startswith("A finds 0, B 2: 0 in both")
    table = found_table("found", only, META, 0.1)
    assert "&lt;b&gt;" in table and "<b>" not in table


def test_maps_are_listed_filtered_and_compared() -> None:
    """What is ignored has no share; what is not chosen is not shown."""
    first = torch.tensor([[[0, 0], [1, 255]]], dtype=torch.uint8)
    one, two = (
        SegDataSample(pred_sem_seg=PixelData(data=x)) for x in (first, first * 0)
    )
    shares = [(0, ("cat", "50.0%")), (1, ("dog", "25.0%"))]
    assert rows_of(one, META, 0)[1] == shares
    assert rows_of(only_classes(one, [1], 3), META, 0)[1] == shares[1:]
    assert "differs at 50.00% of the pixels" in difference(one, two, META, 0)


@pytest.mark.parametrize("text", ["0", "x", "65", "4x", "-1", "4x4x4", "1e3"])
def test_what_is_no_window_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="of stage 1: expected 1 to 64 tokens"):
        parse_stages(["8", text], OWN)


def test_windows_are_read_as_people_write_them() -> None:
    assert parse_stages([" 16 ", "4 x 12"], OWN) == ((16, 16), (4, 12))
    assert parse_stages(["", "2,3"], OWN) == ((8, 8), (2, 3))
    assert parse_scale(None) is None and parse_scale(640) == 640
    with pytest.raises(ValueError, match="expected a short side from 64 to 2048 px"):
        parse_scale(31)


def test_a_picture_of_too_many_pixels_is_not_read(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmswinv2.page.inputs.MEGAPIXELS", 0.003)
    with pytest.raises(ValueError, match=r"noise.png is 64 x 48 px, more than the"):
        read_upload(str(photo))
