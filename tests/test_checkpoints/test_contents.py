"""What loads is finite, dense and of the right kind, and its names and windows sane."""

import pytest
import torch
from mmengine.runner import load_checkpoint
from safetensors.torch import save_file
from torch import nn

from mmswinv2.apis import load_trained_weights
from mmswinv2.checkpoints import read_checkpoint, read_swin_weights
from mmswinv2.checkpoints.convert import convert
from mmswinv2.models import SwinTransformerV2

FIRST = "layers.0.blocks.0.attn."


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = SwinTransformerV2("nano")
        self.head = nn.Linear(2, 2)


@pytest.fixture
def weights():
    return SwinTransformerV2("nano").state_dict()


def broken(tensor):
    tensor = tensor.clone()
    tensor.reshape(-1)[-1] = float("nan")
    return tensor


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("state_dict", "backbone.norm2.weight"),
        ("state_dict", "head.bias"),
        ("ema_state_dict", "module.head.bias"),
        ("optimizer", "exp_avg"),
    ],
)
def test_not_a_number_is_refused_wherever_it_is(place, name, tmp_path):
    model = Detector()
    content = dict(state_dict=model.state_dict(), ema_state_dict={}, optimizer={})
    content[place][name] = broken(content[place].get(name, torch.ones(3)))
    torch.save(content, path := tmp_path / "epoch_1.pth")
    for read in (read_checkpoint, read_swin_weights):
        with pytest.raises(ValueError, match=rf"Inf in '{place}\.{name}' \(1 of"):
            read(path)
    with pytest.raises(ValueError, match="NaN or Inf"):
        load_checkpoint(model, str(path))
    with pytest.raises(ValueError, match="NaN or Inf"):
        load_trained_weights(model, path)


def test_not_a_number_is_refused_in_safetensors_and_by_the_backbone(weights, tmp_path):
    name = FIRST + "logit_scale"
    weights[name] = broken(weights[name])
    save_file(weights, path := tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=f"NaN or Inf in '{name}'"):
        read_checkpoint(path)
    with pytest.raises(ValueError, match=f"NaN or Inf in '{name}'"):
        SwinTransformerV2("nano").load_state_dict(weights)


def test_what_a_run_has_seen_may_be_infinite(tmp_path):
    """The norms of gradients in a log, and masks of other code, which do not load."""
    mask = torch.tensor([0.0, float("-inf")])
    content = {"state_dict": {"layers.0.attn_mask": mask}, "message_hub": {"x": mask}}
    torch.save(content, tmp_path / "w.pth")
    assert read_checkpoint(tmp_path / "w.pth")["message_hub"]["x"][1] == -torch.inf
    content["state_dict"]["head.weight"] = mask  # the same tensor
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"NaN or Inf in 'state_dict\.head\.weight'"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (torch.Tensor.int, "numbers of int32 in .*expected floating point"),
        (lambda x: x > 0, "numbers of bool in .*expected floating point"),
        (lambda x: x.to(torch.complex64), "complex"),
        (lambda x: x.to(torch.float8_e4m3fn), "float8_e4m3fn|8-bit float"),
        (torch.Tensor.to_sparse, "has (a )?sparse tensor"),
        (
            lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
            "has (a )?quantized tensor",
        ),
        (lambda x: x.to("meta"), r"has (a )?meta \(empty\) tensor"),
    ],
)
def test_weights_are_dense_and_of_floating_point(change, message, weights, tmp_path):
    name = FIRST + "proj.weight"
    weights[name] = change(weights[name])
    with pytest.raises(ValueError, match=message):
        SwinTransformerV2("nano").load_state_dict(weights)
    torch.save(
        {"state_dict": {f"backbone.{k}": v for k, v in weights.items()}},
        path := tmp_path / "w.pth",
    )
    with pytest.raises(ValueError, match=message):
        load_trained_weights(Detector(), path)


def test_a_head_of_whole_numbers_is_refused(tmp_path):
    state = Detector().state_dict()
    state["head.weight"] = state["head.weight"].long()
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"int64 in 'head\.weight', expected floating"):
        load_trained_weights(Detector(), tmp_path / "w.pth")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_load(dtype, weights):
    model = SwinTransformerV2("nano")
    model.load_state_dict({k: v.to(dtype) for k, v in weights.items()})
    expected = weights["norm3.weight"].to(dtype).float()
    assert torch.equal(model.norm3.weight, expected)


RECORD = torch.full((4, 2, 2), 8)


@pytest.mark.parametrize(
    "record",
    [
        RECORD * 0,
        -RECORD,
        RECORD * 1000,
        RECORD + 0.5,
        RECORD > 0,
        RECORD[:3],
        RECORD[..., 0],
        torch.tensor(8),
        RECORD * float("nan"),
    ],
    ids=range(9),
)
def test_windows_are_whole_and_sane_and_one_per_stage(record, weights):
    weights["window_record"] = record
    with pytest.raises(ValueError, match=r"has the windows|NaN"):
        SwinTransformerV2("nano").load_state_dict(weights)


@pytest.mark.parametrize(
    "table",
    [
        torch.zeros(()),
        torch.zeros(1, 3),
        torch.zeros(1, 4, 4, 2),
        torch.full((1, 3, 3, 2), float("nan")),
        torch.full((1, 3, 3, 2), 1e30),
        torch.full((1, 3, 3, 2), 1e-30),
        torch.zeros(1, 0, 0, 2),
    ],
    ids=range(7),
)
def test_tables_hold_coordinates(table, weights):
    del weights["window_record"]
    for stage in range(4):
        weights[f"layers.{stage}.blocks.0.attn.relative_coords_table"] = table
    with pytest.raises(ValueError, match=r"coordinates|has the windows"):
        SwinTransformerV2("nano").load_state_dict(weights)


@pytest.mark.parametrize(
    "name",
    [
        "layers.1" + "0" * 30 + ".blocks.0.norm1.weight",
        "layers." + "9" * 5000 + ".x",
        "layers.0.blocks." + "9" * 5000 + ".x",
        "layers.0.blocks.99999.norm1.weight",
        "norm" + "9" * 40 + ".weight",
        "layers.٣.blocks.0.norm1.weight",
    ],
    ids=range(6),
)
def test_absurd_numbers_in_names_are_refused(name, weights, tmp_path):
    weights[name] = torch.ones(1)
    with pytest.raises((RuntimeError, ValueError), match=r"no place|has a tensor by"):
        SwinTransformerV2("nano").load_state_dict(weights)
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises((RuntimeError, ValueError), match=r"not known|has a tensor by"):
        convert(read_swin_weights(tmp_path / "w.pth"), "official")


def test_names_are_no_more_than_a_model_has(weights):
    weights |= {f"layers.0.blocks.0.x{i}": torch.ones(1) for i in range(60_000)}
    with pytest.raises(ValueError, match="at most 50,000"):
        SwinTransformerV2("nano").load_state_dict(weights)


def test_no_index_of_an_absurd_window_is_written(weights, tmp_path):
    weights["window_record"] = RECORD * 500
    torch.save(weights, tmp_path / "w.pth")
    read = read_swin_weights(tmp_path / "w.pth")
    with pytest.raises(ValueError, match="choose timm, hf or mmswinv2"):
        convert(read, "official")
    convert(read, "timm")


def test_no_half_of_a_norm_and_no_norm_of_a_trained_model_may_be_absent(tmp_path):
    """Pre-trained weights may lack norms of maps; those of a detector may not."""
    state = Detector().state_dict()
    torch.save({"state_dict": dict(state)}, whole := tmp_path / "whole.pth")
    load_trained_weights(Detector(), whole)
    del state["backbone.norm2.weight"]
    with pytest.raises(RuntimeError, match=r"1 are missing.*norm2\.weight"):
        Detector().load_state_dict(state)
    del state["backbone.norm2.bias"]
    Detector().load_state_dict(state)
    torch.save({"state_dict": state}, path := tmp_path / "w.pth")
    with pytest.raises(RuntimeError, match=r"2 of its .*backbone\.norm2\.weight"):
        load_trained_weights(Detector(), path)
