"""SimMIM trains with every config on any folder; its checkpoints go everywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from PIL import Image
from pretrained import start_from, train_sharded
from tiny import DET, ROOT, SEG, Tool, build_model

from mmswinv2.checkpoints import read_checkpoint, read_swin_weights
from mmswinv2.checkpoints.convert import convert
from mmswinv2.pretraining import ReconstructionHook

CONFIGS = sorted(ROOT.glob("configs/simmim/*.py"))
BASE = next(path for path in CONFIGS if "swinv2-b-" in path.stem)


def reduce(path: Path, data_root: Path, pictures: int = 4) -> Config:
    """A config of one iteration per epoch, for one CPU core."""
    cfg = Config.fromfile(path)
    cfg.model.backbone.arch = "nano"
    cfg.model.neck.in_channels = 256
    loader = cfg.train_dataloader
    loader.update(batch_size=pictures, num_workers=0, persistent_workers=False)
    loader.dataset.update(data_root=str(data_root))
    loader.dataset.pipeline[1].scale = 64
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.logger.interval = 1
    cfg.custom_hooks[0].plot = False
    for key in ("runner_type", "strategy"):  # for several processes
        cfg.pop(key, None)
    return cfg


def losses(work_dir: Path) -> list[float]:
    rows = sorted(work_dir.glob("*/vis_data/scalars.json"))[-1].read_text()
    return [json.loads(line)["loss"] for line in rows.splitlines()]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_trains(path: Path, tool: Tool, class_folders: Path) -> None:
    """Nested folders; the first of them in half precision."""
    reduce(path, class_folders / "train", 24).dump("config.py")
    amp = ["--amp"] if path == CONFIGS[0] else []
    out = tool("tools/train.py", "config.py", *amp)
    assert "24 pictures in batches of 24; 1 epochs of 1 iterations" in out
    (loss,) = losses(Path("work_dirs/config"))
    assert 0.3 < loss < 3


@pytest.fixture(scope="module")
def train(
    class_folders: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Runs of four iterations an epoch, with the same random numbers in each."""

    def run(tool: Tool, name: str, *args: str, pictures: bool = True) -> Path:
        folder = tmp_path_factory.getbasetemp() / name
        cfg = reduce(BASE, class_folders / "train", 6)
        cfg.custom_hooks[1].update(interval=1, num_pictures=3)
        if not pictures:
            del cfg.custom_hooks[1]
        cfg.custom_hooks.append(dict(type="SeedEachEpoch"))
        cfg.default_hooks.checkpoint.interval = 1
        cfg.randomness = dict(seed=0)
        folder.mkdir(exist_ok=True)
        cfg.dump(folder / "config.py")
        tool("tools/train.py", folder / "config.py", "--work-dir", folder, *args)
        return folder

    return run


def two_epochs() -> list[str]:
    return ["--cfg-options", "train_cfg.max_epochs=2"]


@pytest.fixture(scope="module")
def trained() -> dict[str, Path]:
    """Filled by the first test that trains."""
    return {}


@pytest.fixture
def checkpoint(trained: dict, train: Callable[..., Path], tool: Tool) -> Path:
    """Of two epochs without pictures."""
    if not trained:
        folder = train(tool, "whole", *two_epochs(), pictures=False)
        trained["whole"] = folder / "epoch_2.pth"
    return trained["whole"]


def test_a_resumed_run_equals_a_whole_one(
    checkpoint: Path, train: Callable[..., Path], tool: Tool
) -> None:
    """Drawing pictures takes no random number of the run; a sheet shows each epoch."""
    folder = train(tool, "cut")
    folder = train(tool, "cut", "--resume", *two_epochs())
    whole, cut = (
        torch.load(p, weights_only=False) for p in (checkpoint, folder / "epoch_2.pth")
    )
    assert whole["state_dict"].keys() == cut["state_dict"].keys()
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, cut["state_dict"][name]), name
    assert losses(folder) == losses(checkpoint.parent)[4:]

    sheets = sorted(folder.glob("*/vis_data/vis_image/reconstruction_*.png"))
    assert [sheet.name[-5] for sheet in sheets] == ["1", "2"]
    first, second = (cv2.imread(str(sheet)) for sheet in sheets)
    assert first.shape == (18 + 3 * (192 + 4), 3 * 192 + 2 * 4, 3)
    assert (first[:, :192] == second[:, :192]).all()  # pictures and masks
    assert (first[:, 400:] == second[:, 400:]).all()
    assert (first[:, 200:380] != second[:, 200:380]).any()  # what was learnt


@pytest.mark.parametrize("name", [DET, SEG])
@pytest.mark.parametrize("way", ["init_cfg", "load_from"])
def test_a_detector_takes_the_checkpoint_as_it_is(
    checkpoint: Path, name: str, way: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """At another window: nothing is missing, and the token is no news."""
    model = start_from(checkpoint, name, way, window_size=16)
    assert "mask_token" in model.backbone.loaded.ignored
    assert model.backbone.pretrained_window_size == ((12, 12),) * 3 + ((6, 6),)
    unexpected = re.findall("unexpected key.*: (.*)", "".join(capfd.readouterr()))
    # mmengine hands names below a neck to the neck, which knows nothing of them
    named = ["neck.decoder.0.weight, neck.decoder.0.bias"]
    assert unexpected == named * (way == "load_from" and model.with_neck)


def test_published_files_go_on_with_their_decoder(
    checkpoint: Path, tmp_path: Path, class_folders: Path
) -> None:
    """``load_from`` has all of SimMIM's own file: backbone, token and decoder."""
    whole = read_checkpoint(checkpoint)["state_dict"]
    official = convert(read_swin_weights(checkpoint), "official").tensors
    file = {f"encoder.{name}": tensor for name, tensor in official.items()}
    file["encoder.mask_token"] = whole["backbone.mask_token"]
    file |= {
        name.removeprefix("neck."): tensor
        for name, tensor in whole.items()
        if name.startswith("neck.")
    }
    assert {"decoder.0.weight", "decoder.0.bias"} <= file.keys()
    torch.save(dict(model=file), tmp_path / "simmim.pth")
    model = build_model(reduce(BASE, class_folders))
    load_checkpoint(model, str(tmp_path / "simmim.pth"), strict=True)
    own = model.state_dict()
    for name, tensor in whole.items():
        assert torch.equal(own[name], tensor), name


def test_any_picture_of_any_folder(tool: Tool, tmp_path: Path) -> None:
    """Flat or nested, greys, alpha, palettes, 16 bits, one pixel, capital suffixes."""
    root = tmp_path / "odd pictures"
    deep = root / "a" / "b"
    deep.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (50, 70, 4), np.uint8)
    Image.fromarray(noise[..., 0]).save(root / "grey.PNG")
    Image.fromarray(noise).save(root / "alpha.png")
    Image.fromarray(noise[..., 0]).convert("P").save(deep / "palette.Gif", "PNG")
    Image.fromarray(noise[..., 0]).convert("P").save(deep / "palette.png")
    Image.fromarray(noise[..., :3]).convert("CMYK").save(deep / "cmyk.JPG")
    Image.fromarray(noise[:1, :1, :3]).save(deep / "one.bmp")
    Image.fromarray(noise[:2, :, :3]).save(deep / "flat.webp")
    cv2.imwrite(str(root / "deep.tiff"), noise[..., :3].astype(np.uint16) * 200)
    (root / "notes.txt").write_text("no picture")
    cfg = reduce(BASE, root)
    cfg.dump("config.py")
    out = tool("tools/train.py", "config.py")
    assert "7 pictures in batches of 4; 1 epochs of 1 iterations" in out

    few = ("--cfg-options", "train_dataloader.batch_size=8")
    message = tool.fails("tools/train.py", "config.py", *few)
    assert "batch_size: 8, more than a process has pictures" in message
    assert "train_dataloader.batch_size=7" in message
    (deep / "cut.jpg").write_bytes((deep / "cmyk.JPG").read_bytes()[:700])
    assert "(a/b/cut.jpg); copy" in tool.fails("tools/train.py", "config.py")


def test_memory_is_planned(tool: Tool, class_folders: Path) -> None:
    reduce(BASE, class_folders).dump("config.py")
    out = tool("tools/analysis/plan_memory.py", "config.py")
    assert "4 images of 64 x 64 px" in out
    assert "peak: fits" in out


@pytest.mark.parametrize("option", ["interval", "num_pictures"])
def test_no_pictures_at_all(option: str) -> None:
    with pytest.raises(ValueError, match=rf"{option}=0.*expected 1 or more"):
        ReconstructionHook(**{option: 0})


def test_a_sharded_model_trains_and_draws_nothing(
    tmp_path: Path, class_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under FSDP, its backbone in half precision; the checkpoint is whole."""
    cfg = reduce(BASE, class_folders / "train", 24)
    train_sharded(cfg, tmp_path, monkeypatch)
    (log,) = tmp_path.glob("*/*.log")
    assert "The model is sharded: no reconstructions are drawn" in log.read_text()
    assert not [*tmp_path.glob("*/vis_data/vis_image/*")]
    assert 0.3 < losses(tmp_path)[0] < 3
    load_checkpoint(build_model(cfg), str(tmp_path / "epoch_1.pth"), strict=True)
