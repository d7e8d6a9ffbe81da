import pytest
import torch

from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.window_transfer import stage_transfers


def load(source, **kwargs):
    model = SwinTransformerV2("nano", **kwargs).eval()
    model.load_state_dict(source.state_dict())
    return model


@pytest.fixture
def source(trained_like):
    return trained_like(SwinTransformerV2("nano", window_size=8))


def test_transfer_to_the_same_window_is_the_identity(source):
    image = torch.randn(1, 3, 72, 90)
    same = load(source, window_size=8)
    for expected, out in zip(source(image), same(image), strict=True):
        assert torch.equal(out, expected)
    assert all(stage.max_change == 0 for stage in stage_transfers(same))


def test_a_larger_window_keeps_the_unit_of_the_coordinates(source):
    larger = load(source, window_size=[16, 16, (12, 20), 4])
    assert larger.pretrained_window_size == ((8, 8),) * 4
    for stage in stage_transfers(larger):
        assert stage.before == (8, 8)
        assert stage.max_change < 1e-5


def test_one_window_transfers_after_another_as_it_would_at_once(source):
    """8 -> 12 -> 16 equals 8 -> 16: the normaliser is that of the first training."""
    image = torch.randn(1, 3, 64, 64)
    direct = load(source, window_size=16)
    twice = load(load(source, window_size=12), window_size=16)
    assert torch.equal(twice(image)[-1], direct(image)[-1])
    assert [stage.before for stage in stage_transfers(twice)] == [(12, 12)] * 4


def test_set_window_size_equals_a_model_built_with_it(source):
    image = torch.randn(1, 3, 64, 80)
    built = load(source, window_size=(16, 10))
    with torch.no_grad():
        source(image)  # keeps the bias of window 8
        source.set_window_size((16, 10))
        assert torch.equal(source(image)[-1], built(image)[-1])
    assert torch.equal(source.window_record, built.window_record)


def test_a_wrong_explicit_normaliser_shows(source, caplog):
    stretched = load(source, window_size=16, pretrained_window_size=16)
    assert stretched.pretrained_window_size == ((16, 16),) * 4
    assert max(stage.max_change for stage in stage_transfers(stretched)) > 0.01


def test_without_a_checkpoint_the_window_itself_is_the_normaliser():
    model = SwinTransformerV2("nano", window_size=[16, 16, 8, (4, 8)])
    assert model.pretrained_window_size == model.window_size
    assert [stage.before for stage in stage_transfers(model)] == [*model.window_size]


def test_a_bad_window_leaves_the_model_as_it_was(source):
    with pytest.raises(ValueError, match="window_size=0"):
        source.set_window_size(0)
    assert source.window_size == ((8, 8),) * 4
