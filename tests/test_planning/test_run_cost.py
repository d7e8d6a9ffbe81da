"""Time of a step and of a run: against hand-computed cases and counted FLOPs."""

from dataclasses import replace

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from tiny import ROOT, SEG
from torch.utils.flop_counter import FlopCounterMode

from mmswinv2.apis import find_config
from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.models import SwinTransformerV2
from mmswinv2.planning import config_plan, loading, run_data
from mmswinv2.planning.communication import LATENCY, all_reduce_seconds, bus, exchange
from mmswinv2.planning.flops import count_flops
from mmswinv2.planning.gpus import GPUS
from mmswinv2.planning.heads_memory import build_heads, heads_memory
from mmswinv2.planning.memory_model import Training
from mmswinv2.planning.memory_plan import Memory, Parameters, Plan
from mmswinv2.planning.run_choice import Choice, choose, fastest, spread
from mmswinv2.planning.run_cost import Assumptions, step
from mmswinv2.planning.step_time import forward_flops, passes
from mmswinv2.planning.training_batch import make_batch

H100 = GPUS["h100"]
NUMBERS = Parameters(
    total=1_000_000_000,
    trainable={"heads": 1_000_000_000},
    largest_block=10_000_000,
    blocks=900_000_000,
)


def training(size=1024, window=16, arch="base", **kwargs):
    windows = ((window, window),) * 4
    kwargs = dict(batch=4, position_bias="table") | kwargs
    return Training(ARCHITECTURES[arch], (size, size), windows=windows, **kwargs)


def memory(state=8):
    return Memory(NUMBERS, state, lambda plan: [config_plan.Part("heads", 4, 0, 0)])


def test_an_all_reduce_sends_twice_what_a_gather_sends():
    assert all_reduce_seconds(8e9, 8, 100e9) == pytest.approx(0.14 + 2 * LATENCY)
    assert all_reduce_seconds(8e9, 2, 100e9, 3) == pytest.approx(0.08 + 6 * LATENCY)
    assert all_reduce_seconds(8e9, 1, 100e9) == 0


def test_a_ring_beyond_a_node_is_as_fast_as_the_slower_of_links_and_network():
    assert bus(H100, 8) == pytest.approx(0.7 * 450e9)
    assert bus(H100, 16) == pytest.approx(0.7 * 450e9)  # the network has 0.9 * 400
    assert bus(H100, 16, 12.5e9) == pytest.approx(0.9 * 12.5e9)
    assert bus(H100, 8, 12.5e9) == bus(H100, 8)


def test_what_the_strategies_exchange_in_bytes():
    def sent(strategy, gpus=4):
        return exchange(strategy, NUMBERS, 24, gpus, rate=1e9)

    def close(seconds):
        return pytest.approx(seconds, rel=0.01)

    assert sent(None).last == close(6)  # 2 * 3/4 of 4 GB
    assert (sent("zero1").last, sent("zero1").after) == (close(6), close(3))
    fsdp = sent("fsdp")
    assert (fsdp.forward, fsdp.backward) == (close(3), close(2.7 + 3))
    assert fsdp.last == fsdp.after == sent(None).after == 0
    for strategy in (None, "zero1", "fsdp"):
        assert sent(strategy, gpus=1) == exchange(None, NUMBERS, 24, 1, 1e9)


@pytest.mark.parametrize(
    ("size", "window", "bias"), [((96, 160), 8, "log_cpb"), ((100, 60), 7, "table")]
)
def test_flops_are_those_of_the_operators(size, window, bias):
    """Padding, shrunk windows and the meta network included."""
    kwargs = dict(window_size=window, position_bias=bias, attention="reference")
    backbone = SwinTransformerV2("nano", **kwargs)
    own = Training(
        ARCHITECTURES["nano"], size, 1, backbone.window_size, position_bias=bias
    )
    assert forward_flops(own) == pytest.approx(
        2 * count_flops(backbone, size), rel=0.02
    )


@pytest.mark.parametrize(
    ("arch", "size", "window", "published"),
    [
        ("tiny", 256, 8, 5.9),
        ("small", 256, 8, 11.5),
        ("base", 256, 16, 21.8),
        ("base", 384, 24, 54.7),
        ("large", 256, 16, 47.5),
    ],
)
def test_flops_are_those_that_microsoft_publishes(arch, size, window, published):
    """In 1e9 multiply-adds, of MODELHUB.md."""
    flops = forward_flops(training(size, window, arch, batch=1))
    assert flops / 2e9 == pytest.approx(published, rel=0.03)


def test_flops_of_heads_are_those_of_their_forward_pass():
    cfg = Config.fromfile(find_config(SEG))
    init_default_scope(cfg.default_scope)
    cfg.train_dataloader.batch_size = 2
    backbone = config_plan.build_on_meta(cfg).backbone
    own = config_plan.read_training(cfg, backbone, (64, 64))
    model = build_heads(cfg, own)
    images, samples = make_batch(cfg, own.batch, own.image)
    with FlopCounterMode(display=False) as counter:
        model.loss(images, samples)
    heads = heads_memory(cfg, own, amp=False)
    assert heads.convolutions + heads.products == counter.get_total_flops() > 0


def test_time_doubles_with_the_batch():
    one, two = (passes(training(batch=batch), H100) for batch in (3, 6))
    for name in ("forward", "backward"):
        assert two[name].total == pytest.approx(2 * one[name].total)


def test_recomputed_blocks_run_forward_once_more():
    every = passes(training(with_cp=(True,) * 4), H100)
    some = passes(training(with_cp=(True,) * 4, checkpoint="mlp"), H100)
    assert every["recomputation"].total == pytest.approx(
        every["forward"].total,
        rel=0.02,  # less joints
    )
    assert 0 < some["recomputation"].total < 0.5 * every["recomputation"].total
    assert passes(training(), H100)["recomputation"].total == 0


def test_frozen_stages_have_no_backward_pass():
    whole = passes(training(), H100)["backward"].total
    part, none = (
        passes(training(frozen_stages=n), H100)["backward"].total for n in (2, 4)
    )
    assert whole > part > none == 0


def test_a_faster_gpu_takes_less():
    times = [passes(training(), GPUS[name])["forward"].total for name in GPUS]
    assert times == sorted(times)


def test_micro_batches_exchange_once_but_under_fsdp():
    def sent(strategy, accumulate):
        plan = Plan(training(), True, strategy, gpus=16)
        return step(memory(), plan, H100, 4, accumulate=accumulate).communication

    assert sent(None, 4) == sent(None, 1)
    assert sent("zero1", 4) == sent("zero1", 1)
    assert sent("fsdp", 4) == pytest.approx(4 * sent("fsdp", 1))


def test_a_slow_network_is_seen_and_a_fast_one_is_not():
    plan = Plan(training(), True, None, gpus=16)
    fast = step(memory(), plan, H100, 4)
    slow = step(memory(), plan, H100, 4, assumed=Assumptions(network=1e9))
    assert fast.exposed == 0 < fast.communication
    assert slow.exposed > 0.9 * slow.communication - slow.compute
    assert slow.compute == fast.compute


def test_more_gpus_never_lengthen_a_step_by_computing():
    times = []
    for gpus in (1, 8, 64, 512):
        plan = Plan(training(), True, None, gpus)
        best = fastest(choose(memory(), plan, H100, 512))
        assert best.pictures == 512
        times.append(best.step.compute)
    assert times == sorted(times, reverse=True)


def test_what_does_not_fit_is_not_chosen():
    plan = Plan(training(), True, None, gpus=8)
    choices = choose(memory(16), plan, GPUS["rtx4090"], 64)
    assert [choice.fits for choice in choices.values()] == [False, True, True]
    assert fastest(choices).plan.strategy in ("zero1", "fsdp")
    assert (
        fastest(choose(memory(16), replace(plan, gpus=1), GPUS["rtx3090"], 8)) is None
    )


def test_days_of_all_gpus_and_their_range():
    plan = Plan(training(), True, None, gpus=8)
    own = step(memory(), plan, H100, 4)
    choice = Choice(plan, 1, 0, True, own)
    steps = 86400 / own.total
    assert choice.gpu_days(32 * steps) == pytest.approx(8)
    low, high = spread(memory(), choice, H100, 4)
    assert low < own.total < high


@pytest.mark.parametrize(
    ("name", "pictures"),
    [
        ("imagenet/swinv2-b-p4-w12_32xb128-90e_in22k-192px", 90 * 14_197_122),
        ("coco/htc++_swinv2-g-p4-w32_fpn_96xb1-lsj-45k_coco", 45_000 * 96),
        ("ade20k/swinv2-g-p4-w40_upernet_32xb1-80k_ade20k-640x640", 80_000 * 32),
        (
            "kinetics400/swinv2-g-p2x4x4-w8x16x16_16xb5-20e_kinetics400-16x4-256px",
            20 * 240_436,
        ),
    ],
)
def test_pictures_of_a_schedule(name, pictures):
    cfg = Config.fromfile(ROOT / "configs" / f"{name}.py")
    batch = run_data.step_pictures(cfg, 1)
    assert run_data.run_pictures(cfg, batch) == pictures
    if "max_epochs" in cfg.train_cfg:
        given = run_data.run_pictures(cfg, batch, 100)
        assert given == 100 * cfg.train_cfg.max_epochs


def test_loading_runs_the_pipeline_on_a_picture_of_the_usual_size():
    """One that has boxes, masks and pixel labels; clips are refused."""
    name = "coco/htc++_swinv2-g-p4-w32_fpn_96xb1-lsj-45k_coco"
    cfg = Config.fromfile(ROOT / "configs" / f"{name}.py")
    cfg.train_dataloader.dataset.pipeline[3].scale = (64, 64)
    assert 0 < loading.seconds_per_picture(cfg) < 10
    known = run_data.SETS["ade"]
    size = len(loading.draw_picture(known))
    assert size == pytest.approx(known.size, rel=0.1)
    (path,) = ROOT.glob("configs/kinetics400/*w8x16x16*.py")
    with pytest.raises(ValueError, match="this one has SampleFrames"):
        loading.seconds_per_picture(Config.fromfile(path))
