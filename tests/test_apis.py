"""Names of configs and inferencers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from PIL import Image
from tiny import DET, ROOT, SEG, build_model, fresh_globals, load_tiny
from tiny_classifier import write_classifier

from mmswinv2.apis import build_inferencer, find_config, list_models

PHOTO = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


def save(cfg: Config, path: Path, **meta: object) -> str:
    state = build_model(cfg).state_dict()
    torch.save(dict(state_dict=state, meta=dict(dataset_meta=meta)), path)
    return str(path)


def test_list_models() -> None:
    """Every config a user can name, and no base."""
    models = list_models()
    assert "mask-rcnn_swinv2-t-p4-w8_fpn_1x_coco" in models
    assert SEG in models
    files = {path.stem for path in ROOT.glob("configs/[!_]*/*.py")}
    assert set(models) == files
    assert models == sorted(models)


@pytest.mark.parametrize("name", [DET, SEG])
def test_find_config(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name and a path mean the same file, from any folder."""
    monkeypatch.chdir(tmp_path)
    path = find_config(name)
    assert Path(path).stem == name
    for given in (path, f"configs/mini/{name}.py", f"mini/{name}.py"):
        assert find_config(given) == path
    with pytest.raises(FileNotFoundError, match=f"close to it: {name}"):
        find_config(name[:-2])


def test_detector(tmp_path: Path) -> None:
    """Class names are the config's where the checkpoint has none, else its own."""
    cfg = load_tiny(DET)
    with fresh_globals():
        bare = build_inferencer(cfg, save(cfg, tmp_path / "bare.pth"), "cpu")
        assert bare.visualizer.dataset_meta["classes"][:2] == ("person", "bicycle")
        own = [f"thing {i}" for i in range(80)]
        weights = save(cfg, tmp_path / "own.pth", classes=own)
        inferencer = build_inferencer(cfg, weights, "cpu")
        assert inferencer.visualizer.dataset_meta["classes"] == own
        result = inferencer(PHOTO, return_datasamples=True)
    found = result["predictions"][0].pred_instances
    assert found.masks.shape == (len(found.bboxes), 48, 64)


def test_segmentor(tmp_path: Path) -> None:
    """ADE20K's names and colours, not Cityscapes', for weights without names."""
    cfg = load_tiny(SEG)
    with fresh_globals():
        inferencer = build_inferencer(cfg, save(cfg, tmp_path / "bare.pth"), "cpu")
        meta = inferencer.visualizer.dataset_meta
        assert meta["classes"][:2] == ("wall", "building")
        assert len(meta["palette"]) == 150
        prediction = inferencer(PHOTO, return_datasamples=True)
    assert prediction.pred_sem_seg.data.shape == (1, 48, 64)


def test_classifier(tmp_path: Path, class_folders: Path) -> None:
    """Scores are those of a test; names are the weights', or the numbers of classes."""
    cfg = load_tiny(write_classifier(tmp_path, class_folders))
    with fresh_globals():
        bare = build_inferencer(cfg, save(cfg, tmp_path / "bare.pth"), "cpu")
        assert bare.classes == ["class 0", "class 1", "class 2"]
        weights = save(cfg, tmp_path / "own.pth", classes=["sky", "sea", "land"])
        inferencer = build_inferencer(cfg, weights, "cpu")
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        with torch.no_grad():
            batch = pseudo_collate([dataset[0], dataset[9]])
            expected = inferencer.model.test_step(batch)
        files = [
            str(class_folders / "val" / name) for name in ("floor/0.jpg", "grass/1.jpg")
        ]
        found = inferencer(files, batch_size=2)["predictions"]
        deep = Image.fromarray(PHOTO[..., 0].astype(np.uint16) << 8)
        deep.save(tmp_path / "16.png")
        Image.fromarray(PHOTO[..., 0]).save(tmp_path / "8.png")
        greys = [str(tmp_path / name) for name in ("16.png", "8.png")]
        one, other = inferencer(greys)["predictions"]
        assert np.array_equal(one["pred_scores"], other["pred_scores"])
    for result, sample in zip(found, expected, strict=True):
        assert np.allclose(result["pred_scores"], sample.pred_score, atol=1e-6)
        assert result["pred_class"] == ["sky", "sea", "land"][result["pred_label"]]


def test_weights_are_the_given_ones(tmp_path: Path) -> None:
    """The model computes with the checkpoint, and load_from is the default."""
    cfg = load_tiny(SEG)
    weights = save(cfg, tmp_path / "weights.pth")
    expected = torch.load(weights, weights_only=False)["state_dict"]
    cfg.load_from = weights
    with fresh_globals():
        state = build_inferencer(cfg, device="cpu").model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_errors(tmp_path: Path) -> None:
    """Bad input is refused with what to do."""
    cfg = load_tiny(SEG)
    with pytest.raises(ValueError, match="no weights given"):
        build_inferencer(cfg)
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        build_inferencer(cfg, tmp_path / "none.pth", "cpu")
    with pytest.raises(ValueError, match="device 'gpu' is not usable"):
        build_inferencer(cfg, tmp_path / "none.pth", "gpu")
    cfg.default_scope = "mmpose"
    with pytest.raises(ValueError, match="expected 'mmdet', 'mmseg' or 'mmpretrain'"):
        build_inferencer(cfg, tmp_path / "none.pth", "cpu")
    simmim = min((ROOT / "configs/simmim").glob("*.py"))
    with pytest.raises(ValueError, match="SimMIM, which names nothing in pictures"):
        build_inferencer(simmim, tmp_path / "none.pth", "cpu")
