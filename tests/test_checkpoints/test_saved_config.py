"""The config in a checkpoint is read, not run."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmswinv2.checkpoints.saved_config import read_saved_config


def test_settings_come_back_as_they_were_saved() -> None:
    """Also keys that are no names, negative numbers and nested lists."""
    settings = dict(
        a=[dict(type="A", size=(1, -2)), None], b={"x.y": dict(z=1e-3)}, c=True
    )
    text = Config(settings).pretty_text
    assert read_saved_config(dict(meta=dict(cfg=text))) == settings


@pytest.mark.parametrize(
    "text", ["a = 1\nopen('made', 'w')", "a = open('made', 'w')", "a = (", ""]
)
def test_code_is_not_run(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever somebody wrote there."""
    monkeypatch.chdir(tmp_path)
    read_saved_config(dict(meta=dict(cfg=text)))
    assert not Path("made").exists()
    assert read_saved_config({}) is None


@pytest.mark.parametrize("text", ["a = 1\nb.c = 2", "a = 1\nb = {**a}", "a[0] = 1"])
def test_a_config_that_is_more_than_values_is_none(text: str) -> None:
    """Not one without what was not understood."""
    assert read_saved_config(dict(meta=dict(cfg=text))) is None
