"""Inferencers that take pictures of any size."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pages import commands
from pycocotools import mask as coco_mask
from tiny import DET, ROOT, SEG, Tool, fresh_globals, load_tiny, save_weights
from tiny_classifier import write_classifier

from mmswinv2.apis import build_inferencer
from mmswinv2.inferencers import predict
from mmswinv2.large_images import inferencer as large_inferencer
from mmswinv2.large_images import segmentor, tiling

SECTION = (ROOT / "docs/demo.md").read_text().split("\n## Large pictures")[1]
COMMANDS = [c for c in commands(SECTION.split("\n## ")[0]) if "image_demo" in c]
PIXELS = np.random.default_rng(0).integers(0, 255, (128, 160, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Configs and random weights of a detector and of a segmentor."""
    folder = tmp_path_factory.mktemp("models")
    files = {}
    for name in (DET, SEG):
        cfg = load_tiny(name)
        cfg.dump(folder / f"{name}.py")
        weights = save_weights(cfg, folder / f"{name}.pth")
        files[name] = str(folder / f"{name}.py"), weights
    return files


@pytest.mark.parametrize("name", [DET, SEG])
@pytest.mark.parametrize("tile", ["auto", 160])
def test_a_picture_within_a_tile_is_seen_as_ever(
    models, name, tile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boxes, masks and labels are the same to the last bit."""
    at_once = PIXELS[..., 0].size * (1 if tile == "auto" else 99)  # channels
    monkeypatch.setattr(segmentor, "AT_ONCE", at_once)
    with fresh_globals():
        expected = predict(build_inferencer(*models[name], "cpu"), PIXELS)
        found = predict(build_inferencer(*models[name], "cpu", tile=tile), PIXELS)
    if name == SEG:
        assert torch.equal(found.pred_sem_seg.data.long(), expected.pred_sem_seg.data)
        return
    for key, values in expected.pred_instances.items():
        assert torch.equal(found.pred_instances[key], values)


@pytest.mark.parametrize(
    ("size", "mode", "crop", "tile"),
    [
        ((128, 160), "slide", (64, 64), 64),
        ((128, 160), "slide", (64, 96), "auto"),
        ((96, 224), "whole", (64, 64), 64),
    ],
)
def test_labels_of_tiles_are_those_of_the_sliding_window(
    models, size, mode, crop, tile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MMSegmentation's, for models that are tested with it or without."""
    large = large_inferencer.LargePictures
    monkeypatch.setattr(large, "most_shrink", 0.5)  # each is a large one
    pixels = np.resize(PIXELS, (*size, 3))
    config, weights = models[SEG]
    cfg = load_tiny(config)
    cfg.model.test_cfg = dict(mode="slide", crop_size=crop, stride=(40, 40))
    slides = copy.deepcopy(cfg)
    if mode == "whole":  # which has strides of its own
        cfg.model.test_cfg = dict(mode="whole")
        slides.model.test_cfg.stride = (32, 40)
    pipeline = slides.test_dataloader.dataset.pipeline
    pipeline[:] = [step for step in pipeline if step.type != "Resize"]
    with fresh_globals():
        tiled, done = build_inferencer(cfg, weights, "cpu", tile=tile), []
        tiled.on_tile = lambda *counts: done.append(counts)
        found = predict(tiled, pixels)
        expected = predict(build_inferencer(slides, weights, "cpu"), pixels)
    assert found.pred_sem_seg.data.dtype == torch.uint8
    assert torch.equal(found.pred_sem_seg.data.long(), expected.pred_sem_seg.data)
    assert done == [(n, len(done)) for n in range(1, len(done) + 1)]


def test_results_of_large_and_small_pictures_are_as_the_hosts(
    models, tmp_path: Path
) -> None:
    """In one call: pictures drawn and masks in JSON."""
    large = np.resize(PIXELS, (150, 190, 3))
    for name, pixels in (("large.png", large), ("small.png", PIXELS)):
        cv2.imwrite(str(tmp_path / name), pixels)
    files = [str(tmp_path / name) for name in ("large.png", "small.png")]
    with fresh_globals():
        inferencer = build_inferencer(*models[DET], "cpu", tile=160)
        options = dict(out_dir=str(tmp_path / "out"), pred_score_thr=0.9)
        result = inferencer(files, no_save_pred=False, return_vis=True, **options)
        inferencer = build_inferencer(*models[SEG], "cpu", tile=160)
        labels = inferencer(files, out_dir=str(tmp_path / "labels"))["predictions"]
    for index, file in enumerate(files):
        saved = json.loads((tmp_path / f"out/preds/{Path(file).stem}.json").read_text())
        assert saved["labels"] == result["predictions"][index]["labels"]
        pixels = cv2.imread(file)
        assert coco_mask.decode(saved["masks"]).shape[:2] == pixels.shape[:2]
        assert len(saved["masks"]) == len(saved["bboxes"]) == len(saved["scores"]) > 0
        assert labels[index].shape == pixels.shape[:2]
        assert (tmp_path / "out/vis" / Path(file).name).is_file()
        assert (tmp_path / "labels/vis" / Path(file).name).is_file()
        drawn = result["visualization"][index]
        assert drawn.shape[2] == 3 and drawn.shape[1] >= pixels.shape[1]


def test_what_does_not_fit_is_tried_in_smaller_tiles(
    models, logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And said; where no tiles fit, one sentence tells what to do."""
    with fresh_globals():
        inferencer = build_inferencer(*models[SEG], "cpu", tile=128)
    run, sizes = inferencer.tiled.run, []

    def scarce(tiles: list[np.ndarray]) -> torch.Tensor:
        sizes.append(tiles[0].shape[0])
        if sizes[-1] > 96:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: ...")
        return run(tiles)

    pixels = np.resize(PIXELS, (128, 140, 3))
    inferencer.costs  # noqa: B018
    monkeypatch.setattr(inferencer.tiled, "run", scarce)
    found = predict(inferencer, pixels)
    assert found.pred_sem_seg.data.shape == (1, 128, 140)
    assert sizes == [128, *[96] * 4]
    assert any("tiles of 128 px, 1 at a time, did not fit" in line for line in logs)
    assert any("140 x 128 px: 4 tiles of 96 px" in line for line in logs)
    monkeypatch.setattr(tiling, "SMALLEST", 100)
    with pytest.raises(RuntimeError, match=r"140 x 128 px does not fit .* make it sm"):
        predict(inferencer, pixels)


def test_tiles_are_chosen_from_the_free_memory(
    models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole while that fits and shows enough; else the largest tiles that fit."""
    with fresh_globals():
        inferencer = build_inferencer(*models[SEG], "cpu", tile="auto")
    chosen = []

    def record(pixels: np.ndarray, tiling: tiling.Tiling, on_tile: object) -> None:
        chosen.append(tiling.tile)
        raise KeyboardInterrupt

    monkeypatch.setattr(inferencer.tiled, "_scores", None)
    monkeypatch.setattr(type(inferencer.tiled), "__call__", lambda _, *x: record(*x))
    monkeypatch.setattr(type(inferencer.tiled), "whole", lambda _, data: chosen)
    costs = inferencer.costs
    wide = (300, 800)
    fits = costs.tiled(wide, tiling.Tiling(128, 2 / 3), shrink=6.25)
    for free, size in ((2**40, (700, 600)), (2**40, (900, 800)), (2 * fits - 1, wide)):
        monkeypatch.setattr(large_inferencer, "free_memory", lambda _, n=free: n)
        try:
            inferencer.forward(
                next(iter(inferencer.preprocess([np.zeros((*size, 3))])))
            )
        except KeyboardInterrupt:
            continue
        chosen.append("whole")
    assert chosen == ["whole", 128, 96]
    monkeypatch.setattr(large_inferencer, "free_memory", lambda _: 1000)
    with pytest.raises(RuntimeError, match=r"does not fit into memory \(about .* free"):
        inferencer.forward(large_inferencer.LargePicture(np.zeros((*wide, 3))))


def test_bad_tiles_are_refused(models, tmp_path: Path, class_folders: Path) -> None:
    """With what to write; of a classifier only 'auto' is taken, which cuts nothing."""
    for tile in ("large", 7, 0.5):
        with pytest.raises(ValueError, match=f"tile is {tile!r}; expected 'auto'"):
            build_inferencer(*models[SEG], "cpu", tile=tile)
    cfg = load_tiny(write_classifier(tmp_path, class_folders))
    weights = save_weights(cfg, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="ImageClassifier sees the whole"):
        build_inferencer(cfg, weights, "cpu", tile=64)
    with fresh_globals():
        whole = predict(build_inferencer(cfg, weights, "cpu", tile="auto"), PIXELS)
    assert "pred_score" in whole


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_page_run(models, command: str, tool: Tool) -> None:
    """A line says how a picture is cut, another one what was found."""
    cv2.imwrite("map.tif", np.resize(PIXELS, (900, 100, 3)))
    given = dict(zip(("CONFIG", "WEIGHTS"), models[SEG]))
    _, script, *words = (given.get(word, word) for word in command.split())
    out = tool(script, *words)
    side = 128 if words[-1] == "auto" else 512
    assert f"100 x 900 px: {'11' if side == 128 else '3'} tiles of {side} px" in out
    assert "-> out/map.jpg" in out
    message = tool.fails(script, *words[:-1], "0")
    assert message.startswith("tile is 0; expected")


MEASURE = r"""
import re, sys
from pathlib import Path
import numpy as np
from mmswinv2.apis import build_inferencer
from mmswinv2.drawing import draw_sample, describe
from mmswinv2.inferencers import predict
def peak():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024
inferencer = build_inferencer(*sys.argv[1:3], "cpu", tile=160)
pixels = np.zeros((900, 800, 3), np.uint8)
predict(inferencer, pixels[:170, :170])
before = peak()
sample = predict(inferencer, pixels)
meta = inferencer.visualizer.dataset_meta
draw_sample(pixels, sample, meta, with_truth=False)
describe(sample, meta["classes"], 0.3)
print("MiB", peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no procfs")
def test_memory_is_not_that_of_all_classes_of_all_pixels(models) -> None:
    """Sums of 150 classes over the picture alone would take 412 MiB."""
    command = [sys.executable, "-c", MEASURE, *models[SEG]]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.split("MiB ")[1]) < 160
