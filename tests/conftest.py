"""Fixtures of all tests."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from torch import nn

if not torch.cuda.is_available():
    # Read where Triton's kernels are defined, which any test may be the first to do.
    os.environ["TRITON_INTERPRET"] = "1"

from hypothesis import HealthCheck, settings
from made_sets import write_class_folders
from quick import pytest_addoption, pytest_collection_modifyitems  # noqa: F401
from tiny import Tool, load_script

# No test depends on the time that it takes.
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def quick_starts() -> Iterator[None]:
    """Runs in this process leave out two seconds of each start.

    mmengine lays out the text of a config three times, for readers; and the hook draws
    position biases, which tests/test_engine/test_window_transfer_hook.py looks at.
    """
    blank = np.zeros((8, 8, 3), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("yapf.yapflib.yapf_api", "mmengine.config.config"):
            name = f"{module}.FormatCode"
            patch.setattr(name, lambda text, **_: (text, True), raising=False)
        hook = "mmswinv2.engine.window_transfer_hook"
        patch.setattr(f"{hook}.draw_bias_maps", lambda _: blank)
        yield


@pytest.fixture(scope="session")
def trained_like() -> Callable[[nn.Module], nn.Module]:
    """Give a model weights as training leaves them, in eval mode.

    Norms of residual branches start at zero, and so would hide every difference.
    """

    def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in model.named_parameters():
            normal = torch.randn(parameter.shape, generator=generator)
            if "logit_scale" in name:
                value = 3 + 0.5 * normal
            elif "cpb_mlp" in name:
                value = 0.2 * normal
            elif parameter.dim() == 1:
                value = ("norm" in name and name.endswith("weight")) + 0.1 * normal
            else:
                value = normal * parameter[0].numel() ** -0.5
            parameter.data.copy_(value)
        return model.eval()

    return randomise


@pytest.fixture
def logs() -> Iterator[list[str]]:
    """Messages that mmengine's current logger writes during a test."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mini data of four pictures: ``coco/`` and ``ade/ADEChallengeData2016/``."""
    root = tmp_path_factory.mktemp("data") / "mini"
    script = load_script("tools/dataset_converters/make_mini.py")
    script.make_mini(root, train=2, val=2, size=64)
    return root


@pytest.fixture(scope="session")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of three classes in ``train`` and ``val``, 24 pictures of 64 px each."""
    return write_class_folders(tmp_path_factory.mktemp("classes"))


@pytest.fixture
def tool(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Tool:
    """Runs tools from a folder that is not the repository."""
    monkeypatch.chdir(tmp_path)
    return Tool(monkeypatch, capfd)
