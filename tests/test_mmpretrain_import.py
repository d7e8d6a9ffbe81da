"""The package works without mmpretrain and beside transformers 5, and says why not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import DET, ROOT, Tool

from mmswinv2.config_types import read_config
from mmswinv2.mmpretrain_import import REQUIREMENT

CONFIGS = ROOT / "configs"
CLASSIFIER = CONFIGS / "imagenet/swinv2-t-p4-w8_16xb64-300e_in1k-256px.py"
SIMMIM = CONFIGS / "simmim/simmim_swinv2-t-p4-w12_16xb128-800e_in1k-192px.py"
SENTENCE = rf"need mmpretrain, which is not installed: .*'{re.escape(REQUIREMENT)}'$"

WITHOUT = f"""
import sys
sys.modules["mmpretrain"] = None

from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmswinv2.apis import find_config, list_models
from mmswinv2.config_types import read_config

assert "{DET}" in list_models()
init_default_scope("mmdet")
MODELS.build(read_config(find_config("{DET}")).model)
"""

BESIDE_TRANSFORMERS = """
import importlib.metadata

from mmswinv2.mmpretrain_import import protect_hosts

protect_hosts()
import mmdet.models, mmseg.datasets, mmswinv2.pretraining

assert importlib.metadata.version("transformers") == "5.24.0"
import transformers

assert transformers.found
"""


def run(code: str, *folders: Path) -> None:
    path = os.pathsep.join(map(str, [ROOT, *folders]))
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path}
    )


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has imported mmpretrain, and nothing can."""
    for name in ("mmpretrain.models", "mmswinv2.pretraining"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "mmpretrain", None)


def test_detectors_need_no_mmpretrain() -> None:
    run(WITHOUT)


def test_transformers_5_hides_from_mmpretrain_and_nothing_else(tmp_path: Path) -> None:
    """Whose import would fail, and with it those of mmdet and mmseg."""
    for folder in ("transformers", "transformers-5.24.0.dist-info"):
        (tmp_path / folder).mkdir()
    (tmp_path / "transformers/__init__.py").write_text("found = True\n")
    metadata = tmp_path / "transformers-5.24.0.dist-info/METADATA"
    metadata.write_text("Name: transformers\nVersion: 5.24.0\n")
    run(BESIDE_TRANSFORMERS, tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        ["tools/train.py", SIMMIM],
        ["tools/test.py", CLASSIFIER, "weights.pth"],
        ["tools/check_data.py", "coco", CLASSIFIER],
        ["demo/image_demo.py", "photo.png", CLASSIFIER, "weights.pth"],
    ],
    ids=lambda command: Path(command[0]).stem,
)
def test_every_command_says_that_mmpretrain_is_missing(
    command: list[str | Path], tool: Tool, missing: None
) -> None:
    Path("photo.png").touch()
    assert re.search(SENTENCE, tool.fails(*command).strip())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "raise AssertionError('MMCV==2.9.0 is used but incompatible.\\nMore.')",
            "AssertionError: MMCV==2.9.0 is used but incompatible",
        ),
        (
            "import no_such_thing",
            "ModuleNotFoundError: No module named 'no_such_thing'",
        ),
    ],
)
def test_failing_import_gives_its_reason(
    body: str,
    reason: str,
    missing: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "mmpretrain.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mmpretrain")
    with pytest.raises(RuntimeError, match=re.escape(f"import fails ({reason})")):
        read_config(SIMMIM)


def test_the_remedy_is_what_the_extra_holds() -> None:
    lines = (ROOT / "requirements/pretrain.txt").read_text().splitlines()
    assert REQUIREMENT in lines
