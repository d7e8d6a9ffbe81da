"""Parts of an export that need no file: what is refused, and what is computed."""

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.models import SegDataPreProcessor
from tiny import build_model
from tiny_classifier import write_classifier
from tiny_export import scene, tiny_segmentor, write_segmentor
from torch import Tensor, nn

from mmswinv2.export import formats, making
from mmswinv2.export.comparison import EXPECTED
from mmswinv2.export.networks import Exported, ExportedClassifier
from mmswinv2.export.preparation import Preparation
from mmswinv2.export.program import NotExportableError, capture


class Odd(nn.Module):
    """Has an operator that torch.export knows and ONNX lacks."""

    def forward(self, x: Tensor) -> Tensor:
        """A Bessel function."""
        return torch.special.bessel_j0(x)


class Numpy(nn.Module):
    """Leaves torch."""

    def forward(self, x: Tensor) -> Tensor:
        """By way of numpy."""
        return torch.from_numpy(np.sin(x.numpy()))


class Small(Exported):
    """A network of one operator."""

    task, output_names = "features", ("stage0",)

    def __init__(self, part: nn.Module) -> None:
        super().__init__({})
        self.part = part

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """See :class:`Exported`."""
        return (self.part(self.prepare(image)),)


def test_an_operator_that_onnx_lacks_is_named_with_its_module(tmp_path: Path):
    network = Small(Odd())
    program = capture(network, (8, 8), dynamic=False)
    with pytest.raises(
        NotExportableError, match=r"operator prims\.bessel_j0, which Odd"
    ):
        formats.write_onnx(program, network, tmp_path / "m.onnx", "", "fp32")


def test_a_module_that_cannot_be_captured_is_named():
    with pytest.raises(NotExportableError, match=r"stops in Numpy \("):
        capture(Small(Numpy()), (8, 8), dynamic=False)


@pytest.mark.parametrize("wrong", [True, False])
def test_a_file_that_gives_something_else_is_not_kept(
    wrong: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As it would be by an operator that a runtime computes in another way."""
    cfg = tiny_segmentor()
    segmentor = build_model(cfg).eval()
    model = write_segmentor(tmp_path / "model", cfg, segmentor)

    def run(inputs: Mapping) -> dict:
        found = EXPECTED["segmentation"](segmentor, inputs["image"])
        return dict(labels=(found["labels"] + wrong) % 5)

    fake = dataclasses.replace(
        formats.FORMATS["torch-export"],
        write=lambda program, network, path, *_: path.write_bytes(b"file"),
        open=lambda path, network: run,
    )
    monkeypatch.setitem(formats.FORMATS, "torch-export", fake)
    monkeypatch.setattr(making, "capture", lambda *_, **__: None)
    out = tmp_path / "out" / "m.pt2"
    wish = making.Wish(out, "torch-export", size=(64, 96))
    if wrong:
        with pytest.raises(RuntimeError, match="gives other results than the model"):
            making.make(Config.fromfile(model[0]), model[1], wish)
    else:
        making.make(Config.fromfile(model[0]), model[1], wish)
    left = [] if wrong else ["m.json", "m.pt2"]
    assert sorted(path.name for path in out.parent.iterdir()) == left


def test_without_a_compiler_a_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match=r"needs a C\+\+ compiler .*torch-export"):
        formats.write_aot(None, None, tmp_path / "m.pt2", "", "fp32")


@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
def test_a_compiled_file_gives_what_the_network_gives(tmp_path: Path):
    """Of one operator, as compilers take their time."""
    network = Small(nn.Conv2d(3, 2, 4, 4)).eval()
    program = capture(network, (8, 12), dynamic=False)
    formats.write_aot(program, network, tmp_path / "m.pt2", "", "fp32")
    picture = scene(8, 12)
    found = formats.open_aot(tmp_path / "m.pt2", network)(dict(image=picture))
    (expected,) = network(torch.from_numpy(picture))
    torch.testing.assert_close(torch.from_numpy(found["stage0"]), expected)


@pytest.mark.parametrize(
    "options",
    [
        dict(bgr_to_rgb=True, test_cfg=dict(size_divisor=32), pad_val=7),
        dict(bgr_to_rgb=False, test_cfg=dict(size=(64, 80))),
        dict(rgb_to_bgr=True, mean=None, std=None),
    ],
)
def test_a_picture_is_prepared_as_by_the_data_preprocessor(options: dict):
    cfg = dict(mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0]) | options
    picture = torch.from_numpy(scene(50, 70))
    host = SegDataPreProcessor(**cfg)
    batch = dict(inputs=[picture.flip(-1).permute(2, 0, 1)], data_samples=[])
    expected = host(batch)["inputs"]
    assert torch.equal(Preparation(cfg)(picture), expected)


def test_a_classifier_gives_the_scores_of_the_model(
    class_folders: Path, tmp_path: Path, trained_like: Callable[[nn.Module], nn.Module]
):
    pytest.importorskip("mmpretrain")
    cfg = Config.fromfile(write_classifier(tmp_path, class_folders))
    model = trained_like(build_model(cfg))
    network = making.exported(model, cfg, what="model", dynamic=True)
    assert isinstance(network, ExportedClassifier)
    picture = scene(40, 56)
    with torch.no_grad():
        (scores,) = network(torch.from_numpy(picture))
    expected = EXPECTED["classification"](model, picture)["scores"]
    np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-4)
