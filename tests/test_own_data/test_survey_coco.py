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


def test_nothing_annotated_is_refused():
    with pytest.raises(ValueError, match="annotates no object in its 2 images"):
        survey_coco(coco_content([0, 0]), "a.json")


def test_pictures_that_are_missing_are_counted_and_a_near_one_is_named(tmp_path):
    content = coco_content([1, 1, 1], folder="deep/")
    _, folder = write_coco(tmp_path, content)
    find_pictures(content, folder)
    with pytest.raises(ValueError, match=r"deep: 3 files that are missing .*002.png\)"):
        find_pictures(content, folder / "deep")
    (folder / "deep/001.png").rename(folder / "001.png")
    with pytest.raises(ValueError, match=r"deep/001.png.* 001.png is there"):
        find_pictures(content, folder)
