"""Small data, weights and runs of the command line tools, for the tests of those."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DATASETS, MODELS, DefaultScope, init_default_scope
from mmengine.visualization import Visualizer
from torch import nn

from mmswinv2.apis import find_config

ROOT = Path(__file__).resolve().parents[1]
DET = "mask-rcnn_swinv2-nano-p4-w8_fpn_mini-128px"
SEG = "swinv2-nano-p4-w8_upernet_mini-128px"
REDUCTION = 8
SIZES = ("scale", "scales", "crop_size", "size", "stride")  # of transforms, in px


def load_script(path: str) -> ModuleType:
    """A script of the repository as a module, with its own folder on the path."""
    file = ROOT / path
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(f"script_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build_model(cfg: Config) -> nn.Module:
    """The model of a config with random weights, none of them pre-trained."""
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model


def save_weights(cfg: Config, path: Path) -> str:
    """Random weights of a config's model, saved as a training run saves them."""
    model = build_model(cfg)
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, lazy_init=True))
    meta = dict(dataset_meta=dict(dataset.metainfo))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


def load_tiny(name: str) -> Config:
    """A mini config, or one in a file; a detector keeps every detection."""
    cfg = Config.fromfile(find_config(name))
    if name == DET:
        cfg.model.test_cfg.rcnn.score_thr = 0.0
    return cfg


def reduce_sizes(node: object, key: str = "") -> object:
    """Sizes in px at an eighth, wherever they are in a pipeline."""
    if isinstance(node, dict):
        return ConfigDict({k: reduce_sizes(v, k) for k, v in node.items()})
    if isinstance(node, (list, tuple)):
        return type(node)(reduce_sizes(v, key) for v in node)
    return max(node // REDUCTION, 1) if key in SIZES and isinstance(node, int) else node


@contextmanager
def fresh_globals() -> Iterator[None]:
    """Without the loggers and visualizers of earlier runs in this process."""
    # Every class of visualizers keeps its instances, and the root keeps them all.
    visualizers = (Visualizer, *Visualizer.__subclasses__())
    managers = (*visualizers, MMLogger, MessageHub, DefaultScope)
    kept = [manager._instance_dict.copy() for manager in managers]
    for manager in managers:
        manager._instance_dict.clear()
    try:
        yield
    finally:
        for manager, instances in zip(managers, kept):
            manager._instance_dict.clear()
            manager._instance_dict.update(instances)


class Tool:
    """Calls the ``main`` of a script in this process, as its command line would."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.monkeypatch = monkeypatch
        self.capfd = capfd

    def __call__(self, script: str, *args: object) -> str:
        """What a run that must succeed prints."""
        code, out, err = self.run(script, *args)
        assert code == 0, err
        return out

    def fails(self, script: str, *args: object) -> str:
        """The message of a run that must fail, which has no traceback."""
        code, _, err = self.run(script, *args)
        assert code == 1
        assert "Traceback" not in err
        return err.split("error: ", 1)[1]

    def run(self, script: str, *args: object) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a run."""
        self.monkeypatch.setattr("sys.argv", [script, *map(str, args)])
        module = load_script(script)
        self.capfd.readouterr()
        with fresh_globals():
            try:
                code = module.main() or 0
            except SystemExit as stop:
                code = stop.code
        return code, *self.capfd.readouterr()
