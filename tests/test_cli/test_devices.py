"""Runs on other devices than NVIDIA's GPUs."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from tiny import ROOT, SEG
from torch import nn

from mmswinv2.cli import devices
from mmswinv2.engine import Bf16OptimWrapper


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        *((name, devices.AMP) for name in ("cuda", "npu", "mlu", "musa")),
        *((name, devices.BF16) for name in ("cpu", "xpu", "mps")),
    ],
)
def test_amp_takes_what_the_device_has(monkeypatch, device, expected):
    """The wrapper of mmengine, with its loss scale, or ours, without one."""
    monkeypatch.setattr(devices, "get_device", lambda: device)
    cfg = Config(dict(optim_wrapper=dict(type="OptimWrapper", loss_scale=512.0)))
    devices.use_mixed_precision(cfg)
    scale = dict(loss_scale=512.0) if expected == devices.AMP else {}
    assert cfg.optim_wrapper == dict(type=expected, **scale)
    written = dict(type="AmpOptimWrapper", dtype="float16", loss_scale="dynamic")
    cfg = Config(dict(optim_wrapper=written))  # in the config, without --amp
    devices.fit_mixed_precision(cfg)
    kept = written if expected == devices.AMP else dict(type=expected)
    assert cfg.optim_wrapper == kept


def test_bf16_is_for_backbones_and_necks():
    """Also after an error in one; what comes behind them gets fp32."""

    class Part(nn.Linear):
        def forward(self, x):
            out = super().forward(x)
            seen.append((x.dtype, out.dtype))
            return (out,)

    model = nn.ModuleDict(dict(backbone=Part(2, 2), neck=Part(2, 2), head=Part(2, 2)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = Bf16OptimWrapper(optimizer=optimizer)
    low, high = torch.bfloat16, torch.float32
    for _ in range(2):
        seen = []
        with wrapper.optim_context(model):
            x = torch.ones(1, 2)
            for part in ("backbone", "neck", "head"):
                (x,) = model[part](x)
            with pytest.raises(RuntimeError):
                model["backbone"](torch.ones(1, 3))
            assert not torch.is_autocast_enabled("cpu")
        assert seen == [(high, low), (high, low), (high, high)]
    wrapper.update_params(x.sum())
    model["backbone"](x)
    assert seen[-1] == (high, high)


def test_two_processes_train_without_a_gpu(data: Path, tmp_path: Path) -> None:
    """In bf16, with SyncBN in the config, which only GPUs have."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", "2", ROOT / "tools/train.py", SEG, "--amp"),
        *("--launcher", "pytorch", "--work-dir", tmp_path, "--cfg-options"),
        f"data_root={data / 'ade/ADEChallengeData2016'}",
        *("train_cfg.max_iters=1", "train_cfg.val_interval=1"),
        *("train_dataloader.batch_size=2", "default_hooks.checkpoint.interval=1"),
        "model.decode_head.norm_cfg.type=SyncBN",
    ]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    out = done.stdout + done.stderr
    assert done.returncode == 0, out
    assert "the processes run on the CPU and talk over gloo; 1 SyncBN of" in out
    (log,) = tmp_path.glob("*/*.log")
    assert "GPU number: 2" in log.read_text()
    assert "mIoU" in out
    assert (tmp_path / "iter_1.pth").is_file()
