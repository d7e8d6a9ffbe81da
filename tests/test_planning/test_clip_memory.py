"""The planner on clips: maps, windows and patches of three axes."""

import itertools
import re
from dataclasses import replace
from math import prod

import pytest
import torch
from mmengine.config import Config
from tiny import ROOT

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.models import SwinTransformerV2
from mmswinv2.ops.window_attention import window_attention
from mmswinv2.planning import config_plan, flops, saved_tensors, training_batch
from mmswinv2.planning.auto_windows import choose_windows
from mmswinv2.planning.memory_model import stage_maps
from mmswinv2.planning.memory_plan import switches
from mmswinv2.planning.search import search
from mmswinv2.video.backbone import VideoSwinTransformerV2

CLIP, BATCH = (11, 72, 100), 2  # maps of odd lengths, padded windows
SCRIPT = "tools/analysis/plan_memory.py"
(T,) = ROOT.glob("configs/kinetics400/swinv2-t-*.py")
(G,) = ROOT.glob("configs/kinetics400/swinv2-g-*-20e_*.py")


def training_of(backbone, *, amp=False):
    kind = "AmpOptimWrapper" if amp else "OptimWrapper"
    loader = dict(batch_size=BATCH)
    cfg = Config(dict(optim_wrapper=dict(type=kind), train_dataloader=loader))
    return config_plan.read_training(cfg, backbone, CLIP)


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize(
    "kwargs",
    [
        dict(window_size=(4, 4, 4)),
        dict(window_size=(4, 4, 4), attention="reference"),
        dict(window_size=(4, 4, 4), attention="sdpa"),
        dict(window_size=(3, 5, 7), attention="sdpa"),
        dict(window_size=4, with_cp=True),
        dict(window_size=4, with_cp=True, checkpoint="mlp"),
        dict(position_bias="table", out_indices=(3,), window_fit="pad"),
    ],
    ids=str,
)
def test_kept_is_what_autograd_saves(kwargs, amp):
    """In fp32, and in the precision that CUDA's autocast gives every operator."""
    model = VideoSwinTransformerV2("nano", **kwargs).train()
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=amp)
    with saved_tensors.CudaAutocast(), autocast:  # noqa: SIM117
        with saved_tensors.SavedBytes(model.parameters()) as saved:
            model(torch.rand(BATCH, 3, *CLIP))
    training = replace(training_of(model, amp=amp), device="cpu")
    kept = sum(part.kept for part in training.parts())
    assert kept == pytest.approx(saved.total, rel=0.02)


def test_flops_of_one_frame_are_those_of_its_image():
    """Of clips, embedding and attention within the window grow; the rest is per token.

    Windows of one token in time, so that products of attention are those of images.
    """

    def count(kind, size, **kwargs):
        with torch.device("meta"):
            model = kind("nano", attention="reference", **kwargs)
        return flops.count_flops(model, size)

    image = count(SwinTransformerV2, (64, 96), position_bias="table")
    video = dict(window_size=(1, 8, 8), position_bias="table")
    once = count(VideoSwinTransformerV2, (2, 64, 96), **video)
    assert once - image == 3 * 16 * 32 * 16 * 24  # the second frame of every patch
    assert count(VideoSwinTransformerV2, (6, 64, 96), **video) == 3 * once


def test_clips_are_read_from_the_training_pipeline():
    assert training_batch.image_size(Config.fromfile(T)) == (32, 224, 224)
    assert training_batch.image_size(Config.fromfile(G)) == (16, 256, 256)


def test_maps_are_merged_in_space_alone():
    assert stage_maps(CLIP, 3, (2, 4, 4)) == [(6, 18, 25), (6, 9, 13), (6, 5, 7)]


def test_windows_are_chosen_for_clips():
    """The largest within the budget; time counts as any axis."""
    nano, patch = ARCHITECTURES["nano"], (2, 4, 4)
    kwargs = dict(image_size=(16, 128, 128), patch=patch)
    narrow = choose_windows(nano, slowdown=1.05, **kwargs)
    wide = choose_windows(nano, slowdown=50, **kwargs)
    assert wide == (*((8, 32, 32), (8, 16, 16), (8, 8, 8), (8, 4, 4)),)
    assert prod(narrow[0]) < prod(wide[0])
    model = VideoSwinTransformerV2(
        "nano",
        window_size="auto",
        auto_windows=dict(image_size=(16, 128, 128), slowdown=1.05),
    )
    assert model.window_size == narrow
    with pytest.raises(ValueError, match=r"of clips image_size is \(frames, height"):
        choose_windows(nano, slowdown=2, image_size=128, patch=patch)


def test_switches_name_windows_of_three_axes():
    """A search changes height and width, and its command says all three."""
    cfg = Config.fromfile(T)
    model, plan = config_plan.read_plan(cfg, 8)
    memory = config_plan.read_memory(cfg, model, plan.training)
    rows = search(memory, plan, 2**60)
    (other,) = (
        cell.plan
        for cell in itertools.chain(*rows)
        if cell.window == 12 and cell.plan.training.batch == plan.training.batch
    )
    assert other.training.windows == ((8, 12, 12),) * 4
    written = ",".join(["(8,12,12)"] * 4)
    _, options = switches(plan, other)
    assert options == [f'model.backbone.window_size="[{written}]"']


def test_giant_is_planned_from_its_config(tool):
    out = tool(SCRIPT, G)
    assert "clips of 16 x 256 x 256 px on each of 16 GPUs" in out
    assert re.search(r"2 +8x16x16 +8x16x16 +42 +10.2k", out)
    assert max(map(len, out[: out.index("python tools")].splitlines())) <= 120
    assert "expected HEIGHT WIDTH" in tool.fails(SCRIPT, G, "--image-size", "8", "8")


def test_chunked_holds_nothing_of_all_pairs_of_a_large_window():
    """At window 8 x 20 x 20, 3,200 tokens; strips of the bias are a tenth of pairs."""
    window, heads = (8, 20, 20), 2
    pairs = prod(window) ** 2 * 4  # bytes of one head

    class Largest(saved_tensors.TorchDispatchMode):
        nbytes = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for x in out if isinstance(out, (tuple, list)) else (out,):
                if isinstance(x, torch.Tensor):
                    self.nbytes = max(self.nbytes, x.untyped_storage().nbytes())
            return out

    qkv = torch.randn(1, *window, 3 * heads * 16, requires_grad=True)
    table = torch.randn(heads, *(2 * n - 1 for n in window), requires_grad=True)
    scale = torch.full((heads,), 10.0, requires_grad=True)
    with Largest() as largest:
        out = window_attention(
            qkv, table, scale, window=window, shift=(0, 0, 0), implementation="chunked"
        )
        out.sum().backward()
    assert table.grad.isfinite().all()
    assert largest.nbytes < pairs / 4
