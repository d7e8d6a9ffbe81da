"""tools/export.py: files that give what the model predicts."""

import contextlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny import Tool, build_model, load_script
from tiny_export import (
    predict,
    python,
    run_alone,
    scene,
    tiny_segmentor,
    write_segmentor,
)
from torch import nn

from mmswinv2.apis import build_inferencer
from mmswinv2.drawing import draw_sample

EXPORT, DEMO = "tools/export.py", "demo/onnx_demo.py"
Randomise = Callable[[nn.Module], nn.Module]


@pytest.fixture(scope="module")
def segmentor(trained_like: Randomise) -> nn.Module:
    """Tested as a whole."""
    return trained_like(build_model(tiny_segmentor()))


@pytest.fixture(scope="module")
def model(segmentor: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Its config and its weights."""
    folder = tmp_path_factory.mktemp("segmentor")
    return write_segmentor(folder, tiny_segmentor(), segmentor)


@pytest.fixture(scope="module")
def file(model: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The segmentor as ONNX of any size, and beside it what was printed."""
    out = tmp_path_factory.mktemp("exported") / "new" / "model.onnx"
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr("sys.argv", [EXPORT, *model, "--out", str(out)])
        load_script(EXPORT).main()
    out.with_suffix(".log").write_text(printed.getvalue())
    return out


def test_the_log_tells_size_parity_and_the_next_command(file: Path):
    log = file.with_suffix(".log").read_text()
    assert "for pictures of any size" in log
    assert "model.onnx: " in log and "MB, the weights alone" in log
    assert "compared with the model at 96 x 128, 96 x 96, 49 x 79 px" in log
    assert f"next: python demo/onnx_demo.py PICTURE {file} --out-dir out" in log
    assert not [*file.parent.glob(".*")]


@pytest.mark.parametrize("size", [(96, 128), (150, 70), (33, 61)])
def test_a_file_of_any_size_gives_the_labels_of_the_model(
    file: Path, segmentor: nn.Module, size: tuple[int, int]
):
    import onnxruntime

    picture = scene(*size)
    session = onnxruntime.InferenceSession(file)
    (labels,) = session.run(None, {"image": picture})  # size has a default
    assert labels.dtype == np.uint8
    expected = predict(segmentor, picture).pred_sem_seg.data[0].numpy()
    assert len(np.unique(expected)) > 1
    assert (labels != expected).mean() < 1e-3  # ties


def test_the_json_tells_how_to_use_the_file(file: Path):
    facts = json.loads(file.with_suffix(".json").read_text())
    assert facts["task"] == "segmentation" and facts["size"] is None
    assert facts["classes"][1] == "sky" and facts["palette"][1] == [40, 215, 90]
    (step,) = facts["preprocessing"]["outside"]
    assert step["scale"] == [128, 96] and step["keep_ratio"]
    assert facts["preprocessing"]["inside"]["mean"][0] == pytest.approx(123.675)
    assert facts["windows"] == [[5, 5]]
    assert facts["parity"]["largest_difference"] < 1e-4


def test_files_name_no_folder_of_who_exported_them(file: Path, model: list[str]):
    for path in (file, file.with_suffix(".json")):
        content = path.read_bytes()
        assert b"site-packages" not in content
        assert str(Path(model[0]).parent).encode() not in content


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
    assert "1 of 2 pictures failed" in run.stderr
    assert "scene.png: " in run.stdout and "-> out/scene.jpg" in run.stdout
    inferencer = build_inferencer(*model, "cpu")
    sample = inferencer(picture[..., ::-1], return_datasamples=True)
    meta = inferencer.visualizer.dataset_meta
    expected = draw_sample(picture, sample, meta, with_truth=False)
    demo = load_script(DEMO)
    exported = demo.Model(file, 1)
    drawn, _ = demo.draw(picture, exported(picture), exported.facts)
    drawn = np.asarray(drawn)
    area = np.s_[18 : 18 + 3 * 90]
    different = (drawn[area] != expected[area]).any(-1)
    assert different.mean() < 1e-3
    assert drawn.shape[1] == 3 * 200


@pytest.mark.parametrize("fault", ["gone", "another", "no JSON"])
def test_a_json_that_is_not_of_the_file_is_told(fault: str, file: Path, tmp_path: Path):
    demo, copied = load_script(DEMO), tmp_path / "copy.onnx"
    copied.write_bytes(file.read_bytes())
    facts = json.loads(file.with_suffix(".json").read_text())
    text = "{" if fault == "no JSON" else json.dumps(facts | {demo.IDENTITY: "other"})
    if fault != "gone":
        copied.with_suffix(".json").write_text(text)
    with pytest.raises(ValueError, match=r"copy\.(json|onnx)") as told:
        demo.Model(copied)
    assert "tools/export.py" in str(told.value) or "another file" in str(told.value)


def test_a_sliding_window_of_one_size_runs_where_torch_alone_is(
    tool: Tool, tmp_path: Path, trained_like: Randomise
):
    """By torch.export; crops and their means are those of MMSegmentation."""
    test = dict(mode="slide", crop_size=(64, 64), stride=(40, 40))
    cfg = tiny_segmentor(test_cfg=test)
    segmentor = trained_like(build_model(cfg))
    model = write_segmentor(tmp_path / "slide", cfg, segmentor)
    assert "--size HEIGHT WIDTH" in tool.fails(EXPORT, *model, "--out", "m.onnx")
    args = ["--out", "m.pt2", "--to", "torch-export", "--size", 96, 128]
    tool(EXPORT, *model, *args)
    assert json.loads(Path("m.json").read_text())["size"] == [96, 128]
    picture = scene(96, 128)
    np.save("picture.npy", picture)
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfor name in ('mmcv', 'mmengine', 'mmseg', 'mmswinv2', 'mmdet'):\n"
        "    sys.modules[name] = None\n"
    )
    code = (
        "import numpy, torch; file = torch.export.load('m.pt2').module();"
        "image = torch.from_numpy(numpy.load('picture.npy'));"
        "numpy.save('labels.npy', file(image, torch.tensor([0, 0])))"
    )
    run = python(tmp_path, ["-c", code])
    assert run.returncode == 0, run.stderr
    expected = predict(segmentor, picture).pred_sem_seg.data[0].numpy()
    assert len(np.unique(expected)) > 1
    assert (np.load("labels.npy") != expected).mean() < 1e-3


BAD = {
    "suffix": (["--out", "m.pt2"], r"ends in \.onnx"),
    "kind": (["--out", "m.onnx", "--to", "aot"], r"ends in \.pt2"),
    "size": (["--out", "m.onnx", "--size", "0", "64"], "expected height and width"),
    "there": (["--out", "there.onnx"], "there.onnx exists already"),
    "beside": (["--out", "beside.onnx"], "beside.json exists already"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wish_that_cannot_be_is_told_in_one_sentence(
    name: str, tool: Tool, model: list[str]
):
    args, reason = BAD[name]
    Path("there.onnx").touch()
    Path("beside.json").touch()
    told = tool.fails(EXPORT, *model, *args)
    assert re.search(reason, told) and told.count("\n") == 1
