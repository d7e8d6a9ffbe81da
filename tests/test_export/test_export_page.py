"""docs/export.md: its commands are understood, and its Python runs."""

import json
import shlex
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from pages import blocks, commands
from PIL import Image
from tiny import ROOT, load_script

from mmswinv2.apis import find_config

PAGE = (ROOT / "docs" / "export.md").read_text()


@pytest.mark.parametrize("command", commands(PAGE))
def test_a_command_is_one_that_its_script_takes(
    command: str, monkeypatch: pytest.MonkeyPatch
):
    _, script, *words = shlex.split(command)
    monkeypatch.setattr("sys.argv", [script, *words])
    args = load_script(script).parse_args()
    if "export" in script:
        find_config(args.config)


def test_the_python_of_the_page_prints_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    """With a file of the same inputs that says 1 everywhere."""
    (block,) = blocks(PAGE, "python")
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["h", "w", 3])
    size = helper.make_tensor_value_info("size", TensorProto.INT64, [2])
    labels = helper.make_tensor_value_info("labels", TensorProto.UINT8, ["H", "W"])
    one = helper.make_tensor("value", TensorProto.UINT8, [1], [1])
    node = helper.make_node("ConstantOfShape", ["size"], ["labels"], value=one)
    graph = helper.make_graph([node], "page", [image, size], [labels])
    (tmp_path / "out").mkdir()
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.save(model, tmp_path / "out" / "model.onnx")
    step = dict(type="Resize", scale=[64, 32], keep_ratio=True)
    facts = dict(classes=["a", "b"], preprocessing=dict(outside=[step]))
    (tmp_path / "out" / "model.json").write_text(json.dumps(facts))
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "page", "exec"), {})
    assert capsys.readouterr().out == "{'b'}\n"
