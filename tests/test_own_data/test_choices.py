"""What is chosen follows from the data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_sets import coco_content

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.own_data import choices
from mmswinv2.own_data.survey_coco import survey_coco

TINY = ARCHITECTURES["tiny"]


def survey(**kwargs):
    return survey_coco(coco_content([3, 2], **kwargs), "a.json")


@given(st.integers(8, 4000), st.integers(8, 4000), st.floats(0.004, 0.9))
def test_the_scale_keeps_the_form_and_shows_small_objects(width, height, share):
    side = share * max(width, height)
    scale = choices.choose_scale(survey(size=(width, height), side=side), None).value
    assert all(length % 32 == 0 for length in scale) and scale[0] >= scale[1]
    ratio = min(width, height) / max(width, height)
    assert 0 <= scale[1] - ratio * scale[0] < 32
    most = min(choices.MOST, choices.up(choices.ENLARGED * max(width, height)))
    assert share * scale[0] >= choices.SMALL - 1e-6 or scale[0] == most


@pytest.mark.parametrize(
    ("masks", "spoilt", "method"),
    [(True, 0, "mask-rcnn"), (False, 0, "faster-rcnn"), (True, 1, "faster-rcnn")],
)
def test_masks_are_learnt_where_all_objects_have_one(masks, spoilt, method):
    content = coco_content([3, 2], masks=masks)
    for annotation in content["annotations"][:spoilt]:
        annotation["segmentation"] = []
    found = choices.choose_method([survey_coco(content, "a.json")], None)
    assert found.value == method


def test_masks_that_are_asked_for_must_be_in_both_sets():
    sets = [survey_coco(coco_content([3], masks=m), "a.json") for m in (True, False)]
    assert choices.choose_method(sets, None).value == "faster-rcnn"
    with pytest.raises(ValueError, match="3 of 6 objects have no 'segmentation'"):
        choices.choose_method(sets, "mask-rcnn")


@pytest.mark.parametrize(
    ("weights", "image", "window"),
    [
        (None, (256, 256), 8),
        (None, (512, 512), 16),
        ("swinv2://tiny-w16-256", (256, 256), 16),
        ("swinv2://base-w12-192-22k", (384, 384), 24),
        ("swinv2://base-w12to24-384-22k-ft1k", (384, 384), 24),
        ("my.pth", (256, 128), 8),
    ],
)
def test_a_window_covers_what_it_did_in_pre_training(weights, image, window):
    found = choices.choose_window(TINY, image, None, weights).value
    assert found == dict(window_size=window, window_fit="divide")


def test_a_window_does_not_take_too_long():
    """64 would be the same share of 2048 px; 16 divides all maps."""
    found = choices.choose_window(TINY, (2048, 2048), None, None)
    assert found.value["window_size"] == 16 and "x the time of 8" in found.reason


@pytest.mark.parametrize(("fullest", "limit"), [(1, 100), (66, 100), (375, 563)])
def test_the_limit_leaves_room_for_the_fullest_picture(fullest, limit):
    assert choices.choose_limit(fullest).value == limit


@given(st.integers(1, 200_000))
def test_a_batch_leaves_twenty_steps_in_a_pass_and_schedules_are_no_longer(pictures):
    batch = choices.choose_batch_limit(pictures)
    assert 1 <= batch <= 16 and (batch == 1 or pictures / batch >= 20)
    steps = choices.choose_iterations(pictures, batch, None).value
    warmup = choices.choose_warmup(steps).value
    assert 0 < warmup < steps and warmup <= 1000
    assert 12 * pictures <= steps * batch <= max(100 * pictures, 40_000) + 101 * batch


def test_the_rate_goes_with_the_root_of_the_batch():
    assert choices.choose_rate(1e-4, 4, 16).value == 5e-5


@pytest.mark.parametrize(("batch", "norm"), [(1, True), (2, True), (8, False)])
def test_few_pictures_have_no_batch_norm(batch, norm):
    assert (choices.choose_norm(batch, "tiny") is not None) == norm


@pytest.mark.parametrize(
    ("side", "scales"), [(32, None), (12, [4]), (6, [2]), (1, [2])]
)
def test_small_objects_have_small_anchors(side, scales):
    found = choices.choose_anchors(survey(side=side), 64, 4)
    assert (found and found.value) == scales
