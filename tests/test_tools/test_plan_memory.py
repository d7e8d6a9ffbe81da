"""Training memory: counted, added up, and brought under a budget."""

import re
import shlex
from dataclasses import replace

import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from tiny import DET, ROOT, SEG, load_script

from mmswinv2.apis import find_config
from mmswinv2.planning import config_plan, saved_tensors, training_batch
from mmswinv2.planning.memory_plan import alternatives

SCRIPT = "tools/analysis/plan_memory.py"
G = "htc++_swinv2-g-p4-w32_fpn_96xb1-lsj-45k_coco"

plan_memory = load_script(SCRIPT)


def peak_of(out: str) -> tuple[bool, float]:
    """Whether it fits, and GiB."""
    match = re.search(r"peak: (fits|does not fit) .* ([\d.]+)", out)
    return match[1] == "fits", float(match[2])


CLS = "imagenet/swinv2-t-p4-w8_16xb64-300e_in1k-256px.py"
SIMMIM = "simmim/simmim_swinv2-b-p4-w12_16xb128-800e_in1k-192px.py"


def load(name):
    """A config with a small model and batch."""
    if name not in (CLS, SIMMIM):
        return Config.fromfile(find_config(name))
    cfg = Config.fromfile(ROOT / "configs" / name)
    cfg.model.backbone.arch = "nano"
    (cfg.model.head if name == CLS else cfg.model.neck).in_channels = 256
    cfg.train_dataloader.batch_size = 2
    return cfg


@pytest.mark.parametrize("name", [DET, SEG, CLS, SIMMIM])
def test_prediction_is_what_a_real_forward_pass_saves(name):
    """Of the whole model, computed without any trick, on a CPU."""
    cfg = load(name)
    cfg.model.backbone.init_cfg = None
    init_default_scope(cfg.default_scope)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
    training = config_plan.read_training(cfg, model.backbone, (96, 160))
    training = replace(training, device="cpu")
    images, samples = training_batch.make_batch(cfg, training.batch, training.image)
    tensors = [*model.parameters(), *model.buffers()]
    with saved_tensors.SavedBytes(tensors) as saved:
        losses = model.loss(images, samples)
    assert all(torch.as_tensor(v).isfinite().all() for v in losses.values())
    heads = config_plan.heads_memory(cfg, training, amp=False)
    kept = heads.kept + sum(part.kept for part in training.parts())
    assert kept == pytest.approx(saved.total, rel=0.15)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mask-rcnn_swinv2-t-p4-w16_fpn_1x_coco", (800, 1344)),
        ("mask-rcnn_swinv2-t-p4-w16_fpn_ms-crop-3x_coco", (800, 1344)),
        ("mask2former_swinv2-t-p4-w16_8xb2-lsj-50e_coco", (1024, 1024)),
        (G, (1536, 1536)),
        ("simmim_swinv2-g-p4-w12_96xb96-20e_in22k-192px", (192, 192)),
        ("swinv2-t-p4-w8-in1k-256-pre_upernet_8xb2-160k_ade20k-512x512", (512, 512)),
        ("swinv2-t-p4-w8_16xb64-300e_in1k-256px", (256, 256)),
    ],
)
def test_largest_images(name, size):
    (path,) = ROOT.glob(f"configs/*/{name}.py")
    assert training_batch.image_size(Config.fromfile(path)) == size


def test_a_pipeline_without_a_size():
    pipeline = [dict(type="LoadImageFromFile")]
    cfg = Config(dict(train_dataloader=dict(dataset=dict(pipeline=pipeline)), model={}))
    with pytest.raises(ValueError, match="--image-size HEIGHT WIDTH"):
        training_batch.image_size(cfg)


def test_suggested_switches_do_what_they_promise(tool):
    """Their command is planned again: it fits, at the size that was promised."""
    config = "mask-rcnn_swinv2-nano-p4-w16_fpn_mini-256px"
    args = ("--image-size", "256", "256", "--gpus", "1")
    fits, before = peak_of(tool(SCRIPT, config, *args, "--gpu", "80GB"))
    assert fits
    gpu = f"{before:.2f}GB"  # of which a tenth is not for tensors
    out = tool(SCRIPT, config, *args, "--gpu", gpu)
    fits, _ = peak_of(out)
    assert not fits
    assert max(map(len, out.splitlines())) <= 100
    promised = float(re.search(r"make it fit \(([\d.]+) GiB\)", out)[1])
    command = out[out.index("python tools/train.py") :].split("\n\n")[0]
    chosen = shlex.split(command.replace("\\\n", " "))[3:]
    assert chosen
    again = tool(SCRIPT, config, *args, "--gpu", gpu, *chosen)
    assert peak_of(again) == (True, pytest.approx(promised, abs=0.02))


def test_search_names_the_best_that_fits(tool):
    """Its command, planned again, takes what the table says, and fits."""
    args = (DET, "--image-size", "256", "256", "--gpus", "1", "--gpu", "2GB")
    out = tool(SCRIPT, *args, "--search")
    assert max(map(len, out.splitlines())) <= 100
    assert "((" not in out
    rows = re.findall(r"^ *w(\d+) (.*)$", out, re.MULTILINE)
    assert [int(window) for window, _ in rows] == [8, 12, 16, 24, 32, 48]
    named = re.search(r"w(\d+), batch (\d+) \(([\d.]+) GiB", out)
    times = {int(w): re.findall(r"([\d.]+)x", cells) for w, cells in rows}
    quick = [w for w in times if any(float(time) <= 1.5 for time in times[w])]
    assert int(named[1]) == quick[-1] > 8
    command = out[out.index("python tools/train.py") :]
    chosen = shlex.split(command.replace("\\\n", " "))[3:]
    chosen = [part for part in chosen if part != "--auto-scale-lr"]
    again = tool(SCRIPT, *args, *chosen)
    assert peak_of(again) == (True, pytest.approx(float(named[3]), rel=0.05))
    assert "None fits" in tool(SCRIPT, *args[:-1], "0.05GB", "--search")


def test_no_column_is_cut(tool):
    """The widest table: fp32, an implementation that keeps logits, large maps."""
    (path,) = ROOT.glob("configs/coco/mask-rcnn_swinv2-l-p4-w16-in22k_fpn_1x_coco.py")
    cfg = Config.fromfile(path)
    cfg.model.backbone.update(with_cp=False, attention="reference", init_cfg=None)
    training = config_plan.read_training(
        cfg, config_plan.build_on_meta(cfg).backbone, (1536, 1536)
    )
    plan = config_plan.Plan(training, amp=False, strategy=None, gpus=1)
    console = plan_memory.Console(width=100)
    with console.capture() as captured:
        console.print(plan_memory.stage_table(plan))
    out = captured.get()
    assert "…" not in out
    for header in ("no cp", "mlp", "block", "w / 2", "16 bits", "triton", "attention"):
        assert header in out


def test_giant_needs_no_memory(tool):
    """3 billion parameters are shapes only; FSDP is in its config."""
    (path,) = ROOT.glob(f"configs/coco/{G}.py")
    out = tool(SCRIPT, path, "--image-size", "256", "256", "--gpus", "96")
    assert "strategy fsdp" in out and peak_of(out)[0]
    alone = ("--cfg-options", "strategy.type=mmswinv2.ZeRO1Strategy", "--gpus", "1")
    out = tool(SCRIPT, path, "--image-size", "256", "256", "--gpu", "24GB", *alone)
    fits, peak = peak_of(out)
    assert not fits and peak > 45  # 16 bytes for each
    assert "No set of switches fits" in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((DET, "--gpu", "large"), "--gpu large: expected its memory, such as 80GB"),
        ((DET, "--gpus", "0"), "--gpus 0: expected 1 or more"),
        ((DET, "--image-size", "0", "8"), "--image-size [0, 8]: expected px"),
        (
            (DET, "--cfg-options", "model.backbone.type=ResNet"),
            "only mmswinv2.SwinTransformerV2",
        ),
        (("no-such-config",), "no-such-config"),
        (
            (DET, "--cfg-options", "optim_wrapper.optimizer.type=Lion"),
            "optimizer 'Lion': the bytes of its state are not known",
        ),
    ],
)
def test_bad_arguments(tool, args, message):
    assert message in tool.fails(SCRIPT, *args)


@pytest.mark.parametrize("name", [DET, SEG, CLS, SIMMIM])
def test_what_is_measured_is_a_training_step(name):
    cfg = load(name)
    cfg.model.backbone.init_cfg = None
    model = config_plan.build_on_meta(cfg)
    training = config_plan.read_training(cfg, model.backbone, (64, 64))
    plan = config_plan.Plan(training, amp=False, strategy=None, gpus=1)
    calls = []
    loss = plan_memory.train(cfg, plan, "cpu", lambda: calls.append(1))
    assert loss.isfinite() and calls == [1]


def test_fsdp_and_amp_are_two_precisions_of_one_backbone():
    training = config_plan.Training(
        config_plan.Architecture(32, (2, 2, 4, 2), (1, 2, 4, 8)),
        (256, 256),
        2,
        ((8, 8),) * 4,
    )
    for amp in (False, True):
        plan = config_plan.Plan(training, amp=amp, strategy=None, gpus=8)
        plans = {(p.strategy, p.amp) for p in alternatives(plan)}
        assert ("fsdp", True) not in plans
        assert ("zero1", True) in plans and (("fsdp", False) in plans) != amp


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is missing")
def test_measuring_needs_a_gpu(tool):
    args = ("--image-size", "64", "64", "--measure")
    assert "--measure needs a GPU" in tool.fails(SCRIPT, DET, *args)
