"""Pictures and label maps are paired by name, and values become classes."""

import pytest
from own_sets import write_labels, write_picture
from PIL import Image

from mmswinv2.own_data.classes import choose_classes
from mmswinv2.own_data.survey_labels import find_pairs, survey_labels


@pytest.mark.parametrize(
    ("ends", "found"),
    [
        ((".jpg", ".png"), (".jpg", ".png")),
        ((".png", ".png"), (".png", ".png")),
        (("_photo.jpg", "_labels.png"), ("photo.jpg", "labels.png")),
        (
            ("_leftImg8bit.png", "_gt_labelIds.png"),
            ("leftImg8bit.png", "gt_labelIds.png"),
        ),
    ],
)
def test_suffixes_are_found(tmp_path, ends, found):
    pairs = find_pairs(*write_labels(tmp_path, ends=ends))
    assert len(pairs.names) == 5 and (pairs.unlabelled, pairs.others) == (0, 0)
    assert (pairs.img_suffix, pairs.seg_map_suffix) == found


def test_pictures_without_a_map_are_counted(tmp_path):
    images, labels = write_labels(tmp_path)
    write_picture(images / "more.jpg")
    write_picture(images / "other.png")
    pairs = find_pairs(images, labels)
    assert (len(pairs.names), pairs.unlabelled, pairs.others) == (5, 1, 1)


def test_other_names_are_refused(tmp_path):
    images, labels = write_labels(tmp_path)
    for number, path in enumerate(sorted(labels.iterdir())):
        path.rename(labels / f"mask{number}.png")
    with pytest.raises(ValueError, match="are not called like pictures in"):
        find_pairs(images, labels)


def test_values_and_sizes_are_counted(tmp_path):
    folders = write_labels(tmp_path, values=(0, 2, 255), size=(64, 48))
    pairs = find_pairs(*folders)
    survey = survey_labels(pairs, *folders, pairs.names[:2])
    assert survey.values == {0: 1 / 3, 2: 1 / 3, 255: 1 / 3}
    assert survey.labels == [0, 2] and survey.found == {0: 2, 2: 2, 255: 2}
    assert survey.pictures.tolist() == [[64, 48]] * 2


def test_colours_are_no_labels(tmp_path):
    folders = write_labels(tmp_path)
    path = folders[1] / "003.png"
    Image.open(path).convert("RGB").save(path)
    with pytest.raises(ValueError, match=r"003.png has colours \(RGB\)"):
        survey_labels(find_pairs(*folders), *folders)


@pytest.mark.parametrize(
    ("values", "names", "count", "first"),
    [
        ((0, 1, 2), None, 3, 0),
        ((1, 2), None, 2, 1),
        ((0, 3), None, 4, 0),
        ((0, 1, 2), "a\nb\nc\n", 3, 0),
        ((0, 1, 2), "a\nb\nc\nd\n", 4, 0),
        ((0, 1, 2), "a\nb\n", 2, 1),
    ],
)
def test_values_become_classes(tmp_path, values, names, count, first):
    file = None
    if names:
        file = tmp_path / "names.txt"
        file.write_text(names)
    classes = choose_classes(values, file, "labels")
    assert (len(classes.names), classes.first) == (count, first)


def test_zero_is_ignored_on_request(tmp_path):
    assert choose_classes((0, 1, 2), None, "labels", ignore_zero=True).names == (
        "class_1",
        "class_2",
    )
    file = tmp_path / "names.txt"
    file.write_text("a\nb\nc\n")
    assert choose_classes((0, 1, 2), file, "labels", ignore_zero=True).first == 1


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        ((0,), None, "have the values 0 beside 255.*Maps of 0 and 255: divide"),
        ((0, 85, 170), None, "too few up to 170 to be numbers of classes"),
        ((0, 1, 5), "a\nb\n", "has 2 names, but .* expected 6 names"),
        ((0, 1), "a\na\n", "has the name 'a' more than once"),
    ],
)
def test_values_that_are_no_classes_are_refused(tmp_path, values, names, message):
    file = None
    if names:
        file = tmp_path / "names.txt"
        file.write_text(names)
    with pytest.raises(ValueError, match=message):
        choose_classes(values, file, "labels")
