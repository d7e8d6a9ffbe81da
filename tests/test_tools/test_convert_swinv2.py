"""The converter's command line."""

import json

import pytest
import torch

from mmswinv2.checkpoints import read_swin_weights
from mmswinv2.models import SwinTransformerV2

SCRIPT = "tools/model_converters/convert_swinv2.py"


@pytest.fixture
def trained(tmp_path):
    """A detector's checkpoint, as a run here saves it."""
    backbone = SwinTransformerV2("nano", window_size=[16, 16, 16, 8])
    state = {f"backbone.{k}": v for k, v in backbone.state_dict().items()}
    path = tmp_path / "epoch_1.pth"
    torch.save({"state_dict": state | {"neck.weight": torch.ones(1)}}, path)
    return path


def test_a_trained_backbone_goes_round_all_layouts_unchanged(tool, trained, tmp_path):
    """The output norms of three stages, which others lack, are all that is lost."""
    source = trained
    chain = ("official", "timm", "hf", "torchvision", "mmpretrain", "mmswinv2")
    for layout in chain:
        target = tmp_path / f"{layout}.safetensors"
        out = tool(SCRIPT, source, target, "--to", layout)
        assert f"in the layout '{layout}'" in out
        assert "windows 16 16 16 8, normalisers 16 16 16 8" in out
        source = target
    before, after = read_swin_weights(trained), read_swin_weights(source)
    assert before.windows == after.windows
    lost = {k for k in before.tensors if k.startswith(("norm0", "norm1", "norm2"))}
    assert after.tensors.keys() == before.tensors.keys() - lost
    for name, tensor in after.tensors.items():
        assert torch.equal(tensor, before.tensors[name])


def test_what_is_left_out_is_said(tool, trained, tmp_path):
    out = tool(SCRIPT, trained, tmp_path / "out.pth", "--to", "official")
    assert "left out, no place for: norm0.weight, norm0.bias" in out
    assert "left out, not of the backbone: neck.weight" in out


def test_windows_are_given_where_a_file_lacks_them(tool, trained, tmp_path):
    bare = tmp_path / "bare.pth"
    tensors = read_swin_weights(trained).tensors
    torch.save({k: v for k, v in tensors.items() if not k.startswith("norm")}, bare)
    out = tmp_path / "out.pth"
    args = (SCRIPT, bare, out, "--to", "official")
    assert "do not tell the window" in tool.fails(*args)
    assert "expected one size in tokens or 4" in tool.fails(*args, "--windows", "8,8")
    tool(*args, "--windows", "24,24,24,12", "--pretrained-windows", "12,12,12,6")
    assert read_swin_weights(out).windows == [((24, 24), (12, 12))] * 3 + [
        ((12, 12), (6, 6))
    ]
    message = tool.fails(SCRIPT, out, tmp_path / "x.pth", "--to", "timm", "--windows=8")
    assert "tells its windows" in message


@pytest.mark.parametrize(
    ("target", "layout", "message"),
    [
        ("epoch_1.pth", "official", "exists already"),
        ("weights.pth", "hf", "kept in .safetensors or a folder"),
        ("weights.onnx", "official", "kept in .pth or .safetensors"),
        ("folder", "official", "kept in .pth or .safetensors"),
    ],
)
def test_a_bad_target_is_refused(tool, trained, tmp_path, target, layout, message):
    assert message in tool.fails(SCRIPT, trained, tmp_path / target, "--to", layout)


def test_windows_that_a_configuration_cannot_say_are_refused(tool, trained, tmp_path):
    backbone = SwinTransformerV2("nano", window_size=[16, 8, 8, 4])
    path, out = tmp_path / "mixed.pth", tmp_path / "out"
    torch.save(backbone.state_dict(), path)
    assert "has one window" in tool.fails(SCRIPT, path, out, "--to", "timm")
    assert not out.exists()
    wide = SwinTransformerV2("nano", window_size=(8, 16))
    path = tmp_path / "wide.pth"
    torch.save(wide.state_dict(), path)
    assert "square windows only" in tool.fails(SCRIPT, path, out, "--to", "hf")
    tool(SCRIPT, path, out, "--to", "timm")


def test_another_position_bias_is_not_converted(tool, tmp_path):
    path = tmp_path / "linear.pth"
    torch.save(SwinTransformerV2("nano", position_bias="linear_cpb").state_dict(), path)
    message = tool.fails(SCRIPT, path, tmp_path / "out.pth", "--to", "official")
    assert "position_bias='linear_cpb'" in message


def test_a_folder_is_for_the_size_that_was_trained(tool, tmp_path):
    """From the config in a checkpoint, or as given; timm builds these windows."""
    backbone = SwinTransformerV2("nano", window_size=8)
    state = {f"backbone.{k}": v for k, v in backbone.state_dict().items()}
    pipeline = "[dict(type='Resize', scale=(256, 128), keep_ratio=True)]"
    text = (
        "model = dict(type='MaskRCNN')\ntrain_dataloader = dict(\n"
        f"    dataset=dict(metainfo=dict(**{{'a b': -1}}), pipeline={pipeline}))\n"
    )
    paths = {}
    for name, meta in (("run", dict(cfg=text)), ("bare", {}), ("bad", dict(cfg="("))):
        paths[name] = tmp_path / f"{name}.pth"
        torch.save({"state_dict": state, "meta": meta}, paths[name])

    def convert(name, *args):
        out = tmp_path / f"{name}-{len(args)}"
        tool(SCRIPT, paths[name], out, "--to", "timm", *args)
        return out, json.loads((out / "config.json").read_text())["model_args"]

    out, args = convert("run")
    assert args["img_size"] == [128, 256]
    model = pytest.importorskip("timm").create_model(f"local-dir:{out}")
    assert [layer.blocks[0].window_size for layer in model.layers] == [
        (8, 8),
        (8, 8),
        (8, 8),
        (4, 8),
    ]
    assert convert("bare")[1]["img_size"] == [256, 256]
    assert convert("bad")[1]["img_size"] == [256, 256]
    size = ("--image-size", "320", "512")
    assert convert("run", *size)[1]["img_size"] == [320, 512]


def test_a_size_that_has_other_windows_is_refused(tool, trained, tmp_path):
    args = (SCRIPT, trained, tmp_path / "out", "--to", "timm")
    message = tool.fails(*args, "--image-size", "512", "512")
    assert (
        "--image-size 512 512: a 'timm' model of this size has the windows" in message
    )
    args = (SCRIPT, trained, tmp_path / "out.pth", "--to", "official")
    assert "belongs to a folder" in tool.fails(*args, "--image-size", "256", "256")
