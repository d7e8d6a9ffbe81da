"""tools/export.py: files that give what the model predicts."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from tiny import Tool, build_model, load_script
from tiny_export import predict, python, run_alone, tiny_segmentor
from torch import nn

from mmswinv2.apis import build_inferencer
from mmswinv2.drawing import draw_sample

EXPORT, DEMO = "tools/export.py", "demo/onnx_demo.py"
Randomise = Callable[[nn.Module], nn.Module]


def write_model(folder: Path, cfg: Config, trained_like: Randomise) -> list[str]:
    """Config and weights as training leaves them."""
    folder.mkdir(exist_ok=True)
    cfg.dump(folder / "config.py")
    state = trained_like(build_model(cfg)).state_dict()
    meta = dict(dataset_meta=dict(cfg.test_dataloader.dataset.metainfo))
    torch.save(dict(state_dict=state, meta=meta), folder / "weights.pth")
    return [str(folder / "config.py"), str(folder / "weights.pth")]


def state_of(model: list[str]) -> dict:
    return torch.load(model[1])["state_dict"]


def scene(height: int, width: int) -> np.ndarray:
    """RGB of smooth colours."""
    small = np.random.default_rng(0).integers(0, 255, (5, 6, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, trained_like: Randomise):
    """A segmentor, tested as a whole."""
    folder = tmp_path_factory.mktemp("segmentor")
    return write_model(folder, tiny_segmentor(), trained_like)


@pytest.fixture(scope="module")
def file(model: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The segmentor as ONNX of any size."""
    out = tmp_path_factory.mktemp("exported") / "new" / "model.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [EXPORT, *model, "--out", str(out)])
        load_script(EXPORT).main()
    return out


def test_the_log_tells_size_parity_and_the_next_command(
    model: list[str], tool: Tool, tmp_path: Path
):
    """Of a backbone in the format of torch.export, which is the quickest."""
    args = ["--out", "b.pt2", "--what", "backbone", "--to", "torch-export"]
    out = tool(EXPORT, *model, *args, "--size", 64, 96)
    assert "b.pt2: " in out
    assert "compared with the model at 64 x 96 px: largest difference" in out
    assert json.loads(Path("b.json").read_text())["outputs"][3] == "stage3"
    code = (
        "import torch; f = torch.export.load('b.pt2').module();"
        "print([tuple(x.shape) for x in f(torch.zeros(64, 96, 3, dtype=torch.uint8))])"
    )
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfor name in ('mmcv', 'mmengine', 'mmseg', 'mmswinv2', 'mmdet'):\n"
        "    sys.modules[name] = None\n"
    )
    run = python(tmp_path, ["-c", code])
    assert run.returncode == 0, run.stderr
    assert "(1, 16, 16, 24)" in run.stdout and "(1, 128, 2, 3)" in run.stdout


@pytest.mark.parametrize("size", [(96, 128), (150, 70), (33, 61)])
def test_a_file_of_any_size_gives_the_labels_of_the_model(
    file: Path, model: list[str], size: tuple[int, int]
):
    import onnxruntime

    picture = scene(*size)
    session = onnxruntime.InferenceSession(file)
    (labels,) = session.run(None, {"image": picture})  # size has a default
    assert labels.dtype == np.uint8
    expected = predict(tiny_segmentor(), state_of(model), picture)
    assert len(np.unique(expected)) > 1
    assert (labels != expected).mean() < 1e-3  # ties


def test_the_json_tells_how_to_use_the_file(file: Path):
    facts = json.loads(file.with_suffix(".json").read_text())
    assert facts["task"] == "segmentation" and facts["size"] is None
    assert facts["classes"][1] == "sky" and facts["palette"][1] == [40, 215, 90]
    (step,) = facts["preprocessing"]["outside"]
    assert step["scale"] == [128, 96] and step["keep_ratio"]
    assert facts["preprocessing"]["inside"]["mean"][0] == pytest.approx(123.675)
    assert facts["windows"] == [[8, 8]] * 4
    assert len({map(tuple, facts["parity"]["sizes"])}) == 1
    assert facts["parity"]["largest_difference"] < 1e-4


def test_a_machine_without_torch_draws_what_image_demo_draws(
    file: Path, model: list[str], tmp_path: Path
):
    """The exported folder alone; the pixels are those of draw_sample."""
    picture = scene(90, 200)
    cv2.imwrite(str(tmp_path / "scene.png"), picture[..., ::-1])
    (tmp_path / "bad.jpg").write_text("no picture")
    run = run_alone(tmp_path, "bad.jpg", "scene.png", file, "--threads", 1)
    assert run.returncode == 1
    assert "bad.jpg: cannot be read as an image" in run.stderr
    assert "scene.png: " in run.stdout and "-> out/scene.jpg" in run.stdout
    inferencer = build_inferencer(*model, "cpu")
    sample = inferencer(picture[..., ::-1], return_datasamples=True)
    meta = inferencer.visualizer.dataset_meta
    expected = draw_sample(picture, sample, meta, with_truth=False)
    demo = load_script(DEMO)
    exported = demo.Model(file, 1)
    drawn = np.asarray(demo.draw(picture, exported(picture), exported.facts)[0])
    area = np.s_[18 : 18 + 3 * 90]
    different = (drawn[area] != expected[area]).any(-1)
    assert different.mean() < 1e-3
    assert drawn.shape[1] == 3 * 200


@pytest.mark.parametrize("mode", ["whole", "slide"])
def test_a_fixed_file_pads_pictures_and_slides_as_mmsegmentation(
    mode: str, tool: Tool, tmp_path: Path, trained_like: Randomise
):
    test = dict(mode=mode, crop_size=(64, 64), stride=(40, 40))
    cfg = tiny_segmentor(test_cfg=test)
    model = write_model(tmp_path / mode, cfg, trained_like)
    if mode == "slide":
        assert "--size HEIGHT WIDTH" in tool.fails(EXPORT, *model, "--out", "m.onnx")
    args = ["--out", "m.pt2", "--to", "torch-export", "--size", 96, 128]
    tool(EXPORT, *model, *args)
    picture = scene(96, 128)
    file = torch.export.load("m.pt2").module()
    labels = file(torch.from_numpy(picture), torch.tensor([0, 0]))
    expected = predict(cfg, state_of(model), picture)
    assert (np.asarray(labels) != expected).mean() < 1e-3
    assert json.loads(Path("m.json").read_text())["size"] == [96, 128]


BAD = {
    "suffix": (["--out", "m.pt2"], "ends in .onnx"),
    "there": (["--out", "config.json", "--to", "aot"], "ends in .pt2"),
    "size": (["--out", "m.onnx", "--size", "0", "64"], "expected height and width"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wish_that_cannot_be_is_told_in_one_sentence(
    name: str, tool: Tool, model: list[str]
):
    args, reason = BAD[name]
    assert reason in tool.fails(EXPORT, *model, *args)


def test_a_file_that_gives_something_else_is_not_kept(
    tool: Tool, model: list[str], monkeypatch: pytest.MonkeyPatch
):
    """As it would be by an operator that the runtime computes in another way."""
    monkeypatch.setattr(
        "mmswinv2.export.backbone.PortableBlock.forward", lambda block, x, *_: x
    )
    args = ["--out", "b.pt2", "--what", "backbone", "--to", "torch-export"]
    told = tool.fails(EXPORT, *model, *args, "--size", 32, 32)
    assert "gives other results than the model" in told
    assert not [*Path().iterdir()]
