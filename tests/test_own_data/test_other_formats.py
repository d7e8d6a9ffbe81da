"""Sets of VOC, YOLO and labelme become COCO's by the commands of docs/own_data.md."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from own_sets import write_picture
from tiny import ROOT

from mmswinv2.own_data.files import read_coco
from mmswinv2.own_data.survey_coco import find_pictures, survey_coco

PAGE = (ROOT / "docs" / "own_data.md").read_text()
VOC = """<annotation><size><width>64</width><height>48</height></size>
<object><name>{}</name><bndbox><xmin>11</xmin><ymin>6</ymin><xmax>31</xmax>
<ymax>26</ymax></bndbox></object></annotation>"""
CORNERS = [[10, 5], [30, 5], [30, 25], [10, 25]]


def write_voc(number: int, name: str) -> None:
    Path("labels", f"{number}.xml").write_text(VOC.format(name))


def write_yolo(number: int, name: str) -> None:
    points = " ".join(f"{x / 64:.6f} {y / 48:.6f}" for x, y in CORNERS)
    Path("labels", f"{number}.txt").write_text(f"{int(name == 'dog')} {points}\n")
    Path("data.yaml").write_text("names: [cat, dog]\n")


def write_labelme(number: int, name: str) -> None:
    shape = dict(label=name, points=CORNERS, shape_type="polygon", group_id=None)
    content = dict(shapes=[shape], imagePath=f"{number}.jpg", imageWidth=64)
    Path("labels", f"{number}.json").write_text(
        json.dumps(content | {"imageHeight": 48})
    )


@pytest.mark.parametrize(
    ("write", "read", "masks"),
    [
        (write_voc, "from_pascal_voc", 0),
        (write_yolo, "from_yolo", 2),
        (write_labelme, "from_labelme", 2),
    ],
)
def test_a_set_becomes_coco(write, read, masks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("labels").mkdir()
    for number, name in enumerate(("cat", "dog")):
        write_picture(Path("photos", f"{number}.jpg"))
        write(number, name)
    (line,) = [line for line in PAGE.splitlines() if f".{read}(" in line]
    program, *arguments = shlex.split(line)
    assert program == "python"
    subprocess.run([sys.executable, *arguments], check=True)
    content = read_coco("coco/train.json")
    find_pictures(content, "coco/photos")
    survey = survey_coco(content, "coco/train.json")
    assert survey.classes == dict(cat=1, dog=1) and survey.masks == masks
    for annotation in content["annotations"]:
        assert annotation["bbox"] == pytest.approx([10, 5, 20, 20], abs=1)
