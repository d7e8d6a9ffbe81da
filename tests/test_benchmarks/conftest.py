"""The folders of benchmarks, as their commands have them on the path."""

import sys
from pathlib import Path

import pytest
from tiny import ROOT

FOLDERS = ("window_transfer", "own_data", "starts", "simmim")
sys.path[:0] = [str(ROOT / "benchmarks" / folder) for folder in FOLDERS]


@pytest.fixture
def few_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture where each set has some, and no more; no config is made of these."""
    import arms
    from unlabelled import PICTURES

    monkeypatch.setattr(arms, "write_config", lambda *args, **kwargs: None)
    for name in (*PICTURES, "camvid/ann_dir/train"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        (folder / "1.jpg").touch()
    return tmp_path / "data"
