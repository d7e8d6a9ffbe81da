"""The hook in real runs of mmengine, on a model small enough for seconds."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from tiny import fresh_globals
from torch import nn
from torch.utils.data import Dataset

from mmswinv2.engine.bias_maps import draw_bias_maps
from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.window_transfer import stage_transfers

HOOK = "mmswinv2.engine.window_transfer_hook"


@pytest.fixture(autouse=True)
def _fresh():
    """Runs that start in the same second would share a log file."""
    with fresh_globals():
        yield


class Segmentor(BaseModel):
    def __init__(self, **backbone):
        super().__init__()
        self.backbone = SwinTransformerV2(
            "nano", depths=(1, 1, 1, 1), drop_path_rate=0, **backbone
        )
        self.head = nn.Linear(256, 1)

    def forward(self, image, target, mode="tensor"):
        out = self.head(self.backbone(image)[-1].mean((2, 3)))
        if mode == "loss":
            return dict(loss=(out - target).square().mean())
        return [out]


class Images(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(3, 32, 32, generator=generator)
        return dict(image=image, target=torch.tensor([float(index)]))


class Mean(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(data_samples[0].mean().item())

    def compute_metrics(self, results):
        return dict(mean=float(np.mean(results)))


def loader():
    return dict(
        dataset=Images(),
        batch_size=2,
        sampler=dict(type="DefaultSampler", shuffle=False),
        collate_fn=dict(type="default_collate"),
    )


def run(work_dir, window_size, epochs=1, hook=None, ema=False, **kwargs):
    model = Segmentor(window_size=window_size)
    hooks = [dict(type="mmswinv2.WindowResolutionTransferHook", **(hook or {}))]
    if ema:
        hooks.append(
            dict(type="EMAHook", momentum=0.5, update_buffers=ema == "buffers")
        )
    runner = Runner(
        model,
        str(work_dir),
        train_dataloader=loader(),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type="AdamW", lr=1e-2)),
        test_dataloader=loader(),
        test_cfg=dict(),
        test_evaluator=Mean(),
        custom_hooks=hooks,
        visualizer=dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend")]),
        experiment_name=f"{work_dir.name}_{window_size}_{len(list(work_dir.glob('*')))}",
        **kwargs,
    )
    return runner


@pytest.fixture
def log():
    return lambda runner: Path(runner.log_dir, f"{runner.timestamp}.log").read_text()


@pytest.fixture
def low(tmp_path):
    """A checkpoint that was trained at window 4."""
    run(tmp_path / "low", 4).train()
    return str(tmp_path / "low" / "epoch_1.pth")


def test_reports_windows_and_writes_the_bias_maps_before_training(
    low, log, tmp_path, monkeypatch
):
    monkeypatch.setattr(f"{HOOK}.draw_bias_maps", draw_bias_maps)
    runner = run(tmp_path / "high", [8, 8, 8, (4, 2)], load_from=low)
    runner.train()
    text = log(runner)
    assert "stage 0: window 4 -> 8, normaliser 4" in text
    assert "stage 3: window 4 -> 4x2, normaliser 4" in text
    assert "bias at all offsets known before is unchanged" in text
    (picture,) = (tmp_path / "high").rglob("bias_maps_0.png")
    assert cv2.imread(str(picture)).std() > 10


def test_without_a_checkpoint_the_window_is_its_own_normaliser(log, tmp_path):
    runner = run(tmp_path / "low", 4, hook=dict(plot=False))
    runner.train()
    assert "stage 0: window 4 -> 4, normaliser 4" in log(runner)
    assert not list(tmp_path.rglob("bias_maps*"))


def test_a_stretched_bias_is_warned_of(low, log, tmp_path):
    runner = run(tmp_path / "high", 8, load_from=low)
    runner.model.backbone.adopt_pretrained_window = False
    for stage in runner.model.backbone.layers:
        stage.pretrained_window = (8, 8)
    with torch.no_grad():
        runner.load_checkpoint(low)
        for block in runner.model.backbone.layers[0].blocks:
            block.attn.cpb_mlp[0].weight.normal_()
            block.attn.cpb_mlp[2].weight.normal_()
    runner._has_loaded = True
    runner.train()
    assert re.search(
        r"WARNING.*offsets of pre-training changed by up to \d", log(runner)
    )


def test_acts_before_testing(low, log, tmp_path):
    runner = run(tmp_path / "high", 8, load_from=low)
    runner.test()
    assert "stage 2: window 4 -> 8, normaliser 4" in log(runner)


def test_changes_the_window_of_model_and_average(low, log, tmp_path):
    runner = run(
        tmp_path / "high", 4, hook=dict(window_size=8), ema=True, load_from=low
    )
    runner.train()
    assert "stage 0: window 4 -> 8, normaliser 4" in log(runner)
    (ema,) = [hook for hook in runner.hooks if hasattr(hook, "ema_model")]
    for model in (runner.model, ema.ema_model.module):
        assert model.backbone.window_size == ((8, 8),) * 4
        assert model.backbone.pretrained_window_size == ((4, 4),) * 4


@pytest.mark.parametrize("ema", [False, True, "buffers"])
def test_a_resumed_run_equals_one_that_was_not_interrupted(low, ema, tmp_path):
    """Weights, their average and the windows that the checkpoint records."""
    whole = run(tmp_path / "whole", 8, epochs=2, ema=ema, load_from=low)
    whole.train()
    run(tmp_path / "parts", 8, epochs=1, ema=ema, load_from=low).train()
    parts = run(tmp_path / "parts", 8, epochs=2, ema=ema, resume=True)
    parts.train()
    checkpoints = [
        torch.load(tmp_path / name / "epoch_2.pth", weights_only=False)
        for name in ("whole", "parts")
    ]
    states = [checkpoint["state_dict"] for checkpoint in checkpoints]
    if ema:
        states += [checkpoint["ema_state_dict"] for checkpoint in checkpoints]
    for expected, state in zip(states[::2], states[1::2], strict=True):
        for name, tensor in expected.items():
            torch.testing.assert_close(state[name], tensor)
    record = states[0]["backbone.window_record"]
    assert record[0].tolist() == [[8, 8], [4, 4]]


def test_a_model_without_the_backbone_is_refused(tmp_path):
    runner = run(tmp_path, 4)
    runner.model.backbone = nn.Identity()
    with pytest.raises(ValueError, match="needs a model with a 'mmswinv2"):
        runner.test()


def test_bias_maps_have_a_row_per_stage(trained_like):
    source = trained_like(SwinTransformerV2("nano", window_size=(4, 6)))
    model = SwinTransformerV2("nano", window_size=8)
    model.load_state_dict(source.state_dict())
    transfers = stage_transfers(model)
    picture = draw_bias_maps(transfers)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert draw_bias_maps(transfers[:2]).shape[0] * 2 == picture.shape[0]
