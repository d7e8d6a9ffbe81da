"""Loading weights of each position bias, at the same window and at another."""

import pytest
import torch

from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.position_bias import POSITION_BIASES
from mmswinv2.models.window_transfer import stage_transfers
from mmswinv2.ops.geometric_table import carry_table, table_to_map


@pytest.fixture
def build(trained_like):
    def build(kind, window=8, **kwargs):
        model = SwinTransformerV2(
            "nano", window_size=window, position_bias=kind, **kwargs
        )
        return trained_like(model)

    return build


@pytest.mark.parametrize("kind", POSITION_BIASES)
def test_a_checkpoint_loads_into_its_own_kind(kind, build):
    source, model = build(kind), SwinTransformerV2("nano", position_bias=kind).eval()
    model.load_state_dict(source.state_dict())
    image = torch.rand(1, 3, 60, 90)
    assert torch.equal(model(image)[-1], source(image)[-1])


@pytest.mark.parametrize("given", POSITION_BIASES)
@pytest.mark.parametrize("expected", POSITION_BIASES)
def test_another_kind_is_refused_by_name(given, expected, build):
    if given == expected:
        return
    model = SwinTransformerV2("nano", position_bias=expected)
    message = f"have position_bias='{given}', the model has '{expected}'"
    with pytest.raises(RuntimeError, match=message):
        model.load_state_dict(build(given).state_dict(), strict=False)


@pytest.mark.parametrize("window", [16, (12, 20), [16, 16, 8, (4, 6)]])
def test_a_table_is_carried_to_the_windows_of_the_model(window, build):
    source = build("table", (8, 10))
    model = SwinTransformerV2("nano", window_size=window, position_bias="table").eval()
    model.load_state_dict(source.state_dict())
    assert model.pretrained_window_size == model.window_size
    for old, new, target in zip(source.layers, model.layers, model.window_size):
        tables = [
            stage.blocks[0].attn.position_bias(stage.window, stage.pretrained_window)
            for stage in (old, new)
        ]
        torch.testing.assert_close(tables[1], carry_table(tables[0], target))
    assert stage_transfers(model)[0].max_change > 0.01  # and it is told
    assert stage_transfers(model)[0].before == (8, 10)


def test_a_table_of_a_given_window_keeps_its_shape_at_any_other(build):
    source = build("table")
    model = SwinTransformerV2(
        "nano", window_size=16, pretrained_window_size=8, position_bias="table"
    )
    model.load_state_dict(source.state_dict())
    for name, tensor in source.state_dict().items():
        if "table" in name:
            assert torch.equal(model.state_dict()[name], tensor)
    back = build("table")
    back.load_state_dict(model.state_dict())
    assert stage_transfers(back)[0].max_change > 0  # from window 16, not from 8
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(back.eval()(image)[-1], source(image)[-1])


def test_tables_without_a_record_of_windows_are_square(build):
    source = build("table", 6)
    weights = source.state_dict()
    del weights["window_record"]
    model = SwinTransformerV2("nano", window_size=6, position_bias="table").eval()
    model.load_state_dict(weights)
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(model(image)[-1], source(image)[-1])


def test_square_tables_are_carried_without_a_record_too(build):
    weights = build("table", 6).state_dict()
    del weights["window_record"]
    model = SwinTransformerV2("nano", window_size=8, position_bias="table")
    model.load_state_dict(weights)
    name = "layers.0.blocks.0.attn.relative_position_bias_table"
    before = table_to_map(weights[name], (6, 6))
    after = table_to_map(model.state_dict()[name], (8, 8))
    torch.testing.assert_close(after, carry_table(before, (8, 8)))
