"""A split is disjoint, complete and stable, and keeps groups together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_sets import coco_content

from mmswinv2.own_data.split import split_coco, split_names

NAMES = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 99)).map(
        lambda n: f"{n[0]}_{n[1]}.png"
    ),
    min_size=2,
    unique=True,
)


@given(NAMES, st.floats(0.05, 0.95), st.sampled_from([None, r"^\d+", r"^(\d)"]))
def test_every_name_is_on_one_side_and_groups_stay_together(names, share, group):
    key = {None: str, r"^\d+": lambda n: n.split("_")[0], r"^(\d)": lambda n: n[0]}
    groups = {key[group](name) for name in names}
    if len(groups) < 2:
        with pytest.raises(ValueError, match="cannot be divided"):
            split_names(names, share, group)
        return
    train, val = split_names(names, share, group)
    assert train and val and sorted(train + val) == sorted(names)
    assert not {key[group](n) for n in train} & {key[group](n) for n in val}
    assert split_names(names[::-1], share, group) == (train[::-1], val[::-1])


def test_a_growing_set_keeps_its_sides_and_the_share():
    names = [f"picture{i}.jpg" for i in range(2000)]
    train, val = split_names(names)
    assert 0.17 < len(val) / len(names) < 0.23
    few = split_names(names[:100])
    assert {*few[0]} <= {*train} and {*few[1]} <= {*val}


def test_annotations_go_with_their_pictures():
    content = coco_content([3, 0, 2, 1])
    names = [image["file_name"] for image in content["images"]]
    parts = [split_coco(content, part) for part in split_names(names, 0.5)]
    ids = [{i["id"] for i in part["images"]} for part in parts]
    for part, own in zip(parts, ids):
        assert {a["image_id"] for a in part["annotations"]} <= own
        assert part["categories"] == content["categories"]
    assert sum(len(part["annotations"]) for part in parts) == 6


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (dict(group="x(.)"), "--group 'x.*' does not match the file name 'a1.png'"),
        (dict(group="(("), "--group '.*' is no expression: missing"),
        (dict(share=1.0), "--val-share 1.0: expected a number between 0 and 1"),
    ],
)
def test_what_cannot_be_divided_is_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        split_names(["a1.png", "a2.png"], **kwargs)
