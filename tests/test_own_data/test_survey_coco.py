"""The numbers of a set in COCO's format are those that it was made with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_sets import coco_content, write_coco

from mmswinv2.own_data.survey_coco import find_pictures, survey_coco

COUNTS = st.lists(st.integers(0, 9), min_size=1, max_size=9).filter(any)


@given(COUNTS, st.integers(1, 40), st.booleans(), st.integers(1, 4))
def test_numbers_are_right(counts, side, masks, classes):
    names = [f"c{i}" for i in range(classes)]
    content = coco_content(counts, names=names, side=side, masks=masks)
    survey = survey_coco(content, "a.json")
    assert survey.counts.tolist() == counts
    assert survey.empty == counts.count(0)
    np.testing.assert_allclose(survey.sizes, side)
    np.testing.assert_allclose(survey.shares, side / 64)
    assert survey.masks == sum(counts) * masks
    assert sum(survey.classes.values()) == sum(counts)
    assert [*survey.classes] == names
    assert survey.used == tuple(names[: sum(counts)])


def test_crowds_are_no_objects():
    content = coco_content([2, 1])
    content["annotations"][0]["iscrowd"] = 1
    survey = survey_coco(content, "a.json")
    assert survey.crowds == 1 and survey.counts.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda c: c["images"][1].pop("width"),
            r"a.json: 1 of 2 images have no 'width', such as images\[1\]",
        ),
        (
            lambda c: c["annotations"][0].pop("bbox"),
            r"1 of 3 annotations have no 'bbox'",
        ),
        (
            lambda c: c["annotations"][2].update(category_id=99),
            "1 of 3 annotations have a category_id that is not listed: 99 of",
        ),
        (lambda c: c["annotations"][1].update(image_id=5), "an? image_id that is not"),
        (lambda c: c["annotations"].clear(), "annotates no object in its 2 images"),
        (lambda c: c["images"].clear(), "lists no images"),
    ],
)
def test_what_cannot_be_counted_is_named(spoil, message):
    content = coco_content([2, 1])
    spoil(content)
    with pytest.raises(ValueError, match=message):
        survey_coco(content, "a.json")


def test_pictures_that_are_missing_are_counted_and_a_near_one_is_named(tmp_path):
    content = coco_content([1, 1, 1], folder="deep/")
    file, folder = write_coco(tmp_path, content)
    find_pictures(content, file, folder)
    with pytest.raises(FileNotFoundError, match=r"3 of 3 pictures of .* are not in"):
        find_pictures(content, file, folder / "deep")
    (folder / "deep/001.png").rename(folder / "001.png")
    with pytest.raises(FileNotFoundError, match=r"1 of 3.*001.png; there is .*001.png"):
        find_pictures(content, file, folder)
