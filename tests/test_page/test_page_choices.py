"""What the page offers, and what its command says where there is nothing to show."""

import builtins
import logging
import os
import socket
import urllib.request
from pathlib import Path

import gradio
import pytest
from pages import commands
from tiny import DET, ROOT, Tool, load_script, load_tiny
from tiny_classifier import CONFIG

from mmswinv2.page.choices import find_choices
from mmswinv2.page.handlers import Handlers
from mmswinv2.page.layout import build_layout
from mmswinv2.page.models import Models

APP = "demo/app.py"
COMMANDS = commands((ROOT / "docs" / "demo.md").read_text())


def test_runs_are_offered_with_their_best_or_newest_checkpoint(
    runs: Path, tmp_path: Path
) -> None:
    """Those that take pictures; of a folder without runs, none."""
    assert find_choices(tmp_path / "missing") == []
    choices = find_choices(runs)
    assert [choice.name for choice in choices] == ["det: iter_1", "seg: iter_1"]
    for name in ("sorted/best", "newest", "classes", "pre-training"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("best_coco_bbox_mAP_iter_1.pth", "iter_2.pth"):
        (tmp_path / "sorted/best" / name).write_bytes(b"")
    for age, name in enumerate(("epoch_2.pth", "epoch_1.pth")):
        (tmp_path / "newest" / name).write_bytes(b"")
        os.utime(tmp_path / "newest" / name, (age, age))
    for name in ("sorted/best", "newest"):
        load_tiny(DET).dump(tmp_path / name / "config.py")
    named = CONFIG.format(root="data")
    (tmp_path / "classes/config.py").write_text(named)
    learnt = named.replace("ImageClassifier", "mmswinv2.SimMIM")
    (tmp_path / "pre-training/config.py").write_text(learnt)
    for name in ("classes", "pre-training"):
        (tmp_path / name / "iter_1.pth").write_bytes(b"")
    assert [choice.name for choice in find_choices(tmp_path)] == [
        "classes: iter_1",
        "newest: epoch_1",
        "sorted/best: best_coco_bbox_mAP_iter_1",
    ]


def test_few_models_are_kept_and_each_is_loaded_once(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was not asked for longest goes first."""
    monkeypatch.setattr("mmswinv2.page.models.KEPT", 1)
    models = Models(lambda: find_choices(runs), device="cpu")
    first = models.get("seg: iter_1")
    assert models.get("seg: iter_1") is first
    models.get("det: iter_1")
    assert models.get("seg: iter_1") is not first
    with pytest.raises(ValueError, match="is no longer there; reload the page"):
        models.get("gone: iter_1")


def test_a_model_that_cannot_be_shown_is_told_at_the_start(
    tool: Tool, runs: Path, tmp_path: Path
) -> None:
    """One sentence: no weights, weights of another model, one that takes videos."""
    det, weights = runs / "det" / f"{DET}.py", runs / "seg" / "iter_1.pth"
    assert "no weights given" in tool.fails(APP, det)
    assert "does not fit this MaskRCNN" in tool.fails(APP, det, weights)
    assert "no config 'none.py'" in tool.fails(APP, "none.py", weights)
    video = "configs/mini/swinv2-nano-p2x4x4-w4x4x4_mini-clips-32px.py"
    video = ROOT / video
    assert "finds nothing in pictures" in tool.fails(APP, video, weights)
    assert "tile is 'big'" in tool.fails(APP, "--tile", "big")


def test_a_taken_port_and_a_missing_gradio_are_told(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What to do is said."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} is taken" in tool.fails(APP, "--port", port)
    assert "port 99999 is taken, or" in tool.fails(APP, "--port", "99999")
    elsewhere = "192.0.2.1"  # of RFC 5737, nobody's
    assert f"nothing can listen at {elsewhere}" in tool.fails(APP, "--host", elsewhere)

    def missing(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("mmswinv2.page.server"):
            raise ModuleNotFoundError("No module named 'gradio'", name="gradio")
        return imported(name, *args, **kwargs)

    imported = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", missing)
    assert "install the extra 'demo'" in tool.fails(APP)


@pytest.mark.parametrize("command", [c for c in COMMANDS if APP in c])
def test_a_page_without_models_is_served_and_says_what_to_do(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/demo.md has it, at an address of this machine alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", command.split()[1:])
    script = load_script(APP)
    log = logging.FileHandler(tmp_path / "log.txt")
    address = script.start(script.parse_args())
    assert address.startswith("http://127.0.0.1:")
    assert log.stream is not None  # uvicorn would close the logs of others
    log.close()
    with urllib.request.urlopen(address) as answer:
        assert answer.status == 200
    gradio.close_all(verbose=False)
    with gradio.Blocks():
        layout = build_layout(0.3)
        changes = Handlers(layout, Models(lambda: []), "runs/").arrive()
    told = changes[layout.message]["value"]
    assert (
        "No trained model is in runs/ yet. Run tools/train.py, or make quickstart"
        in told
    )
