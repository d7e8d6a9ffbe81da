"""make_mini.py --clips: moving shapes in the layout of Kinetics."""

import hashlib
import sys
from pathlib import Path

import pytest
from mmengine.registry import DATASETS, init_default_scope
from tiny import ROOT, Tool, fresh_globals, load_script

from mmswinv2.config_types import read_config

CONFIG = ROOT / "configs/mini/swinv2-nano-p2x4x4-w4x4x4_mini-clips-32px.py"
MAKER = "tools/dataset_converters/make_mini.py"
SMALL = dict(train=9, val=8, size=32)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "clips"
    assert load_script(MAKER).make_mini(out, clips=True, **SMALL)
    return out


def digest(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_a_seed_gives_the_same_bytes(clips: Path, tmp_path: Path) -> None:
    """And a clip does not depend on how many there are."""
    make_mini = load_script(MAKER).make_mini
    make_mini(tmp_path / "a", clips=True, **{**SMALL, "train": 2})
    same = digest(clips)
    found = digest(tmp_path / "a")
    assert all(found[name] == same[name] for name in found if name.endswith(".mp4"))
    make_mini(tmp_path / "b", clips=True, **SMALL, seed=1)
    again = digest(tmp_path / "b").items() & same.items()
    assert not [name for name, _ in again if name.endswith(".mp4")]


def test_the_lists_are_those_that_the_converter_writes(
    clips: Path, tool: Tool, tmp_path: Path
) -> None:
    tool("tools/dataset_converters/kinetics.py", clips, "--out", tmp_path / "lists")
    for name in ("train.txt", "val.txt", "classes.txt"):
        expected = (tmp_path / "lists" / name).read_text().splitlines()
        assert sorted((clips / name).read_text().splitlines()) == sorted(expected)


def test_the_config_reads_them(clips: Path) -> None:
    cfg = read_config(CONFIG)
    with fresh_globals():
        init_default_scope(cfg.default_scope)
        for split, count, shape in (
            ("train", 9, (3, 8, 32, 32)),
            ("val", 8, (1, 3, 8, 32, 32)),
            ("test", 8, (6, 3, 8, 32, 32)),
        ):
            dataset = cfg[f"{split}_dataloader"].dataset
            data = DATASETS.build({**dataset, "data_root": str(clips)})
            assert len(data) == count
            assert data[7]["inputs"].shape == shape
            folder = Path(data[7]["data_samples"].filename).parent.name
            assert folder == data.CLASSES[data[7]["data_samples"].gt_label.item()]


def test_pictures_need_no_decoder_of_videos(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    few = ("--train", 1, "--val", 1, "--size", 64)
    assert "written" in tool(MAKER, "--out", tmp_path / "pictures", *few)
    code, _, message = tool.run(MAKER, "--clips", "--out", tmp_path / "clips", *few)
    assert code == 1 and "pip install 'mmswinv2[video]'" in message
    assert not (tmp_path / "clips").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", 8), "--size is 8; expected at least 32"),
        (("--size", 65), "--size is 65; expected an even number for clips"),
        (("--train", 0), "--train is 0; expected at least 1"),
    ],
)
def test_senseless_numbers_are_refused(
    tool: Tool, tmp_path: Path, arguments: tuple, message: str
) -> None:
    out = tmp_path / "clips"
    code, _, error = tool.run(MAKER, "--clips", "--out", out, *arguments)
    assert code == 1 and message in error
    assert not out.exists()


def test_pictures_are_not_taken_for_clips(clips: Path, tool: Tool) -> None:
    few = ("--train", 9, "--val", 8, "--size", 64)
    code, _, message = tool.run(MAKER, "--out", clips, *few)
    assert code == 1 and "'clips': True" in message
