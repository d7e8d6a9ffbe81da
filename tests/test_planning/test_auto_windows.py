from itertools import pairwise

import pytest
import torch

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.models import SwinTransformerV2
from mmswinv2.planning.auto_windows import choose_windows, estimate, fitted, padding
from mmswinv2.planning.memory_model import Training, stage_maps

TINY = ARCHITECTURES["tiny"]
SIZES = [(800, 1333), (1024, 1024), (512, 512), (224, 640), (33, 50)]


def cost_of(image, window, batch=1, **kwargs):
    """The cost of a window that is fitted as window_size='auto' fits it."""
    windows = fitted(stage_maps(image, 4), window)
    return estimate(Training(TINY, image, batch, windows, **kwargs))


@pytest.mark.parametrize("image", SIZES)
@pytest.mark.parametrize("budget", ["memory", "slowdown"])
def test_a_larger_budget_never_gives_a_smaller_window(image, budget):
    least = cost_of(image, 4).memory
    values = [least * 1.1**i for i in range(20)]
    if budget == "slowdown":
        values = [1 + 0.1 * i for i in range(20)]
    chosen = [
        choose_windows(TINY, image_size=image, **{budget: value}) for value in values
    ]
    for smaller, larger in pairwise(chosen):
        for one, other in zip(smaller, larger):
            assert one[0] <= other[0] and one[1] <= other[1]
    if max(image) > 500:
        assert chosen[0] != chosen[-1]


@pytest.mark.parametrize("image", SIZES)
@pytest.mark.parametrize("window", range(4, 57))
def test_a_window_is_never_larger_than_its_map_and_grows_with_the_limit(image, window):
    maps = stage_maps(image, 4)
    for size, one, other in zip(maps, fitted(maps, window), fitted(maps, window + 1)):
        for length, smaller, larger in zip(size, one, other):
            assert smaller <= min(length, window)
            assert smaller <= larger


@pytest.mark.parametrize("slowdown", [1.2, 1.6, 2.5])
def test_windows_that_divide_are_preferred(slowdown):
    """1024 px: maps of 256, 128, 64 and 32 tokens."""
    for h, w in choose_windows(TINY, image_size=1024, slowdown=slowdown):
        assert h == w and 32 % h == 0


def test_it_is_within_the_budget_and_the_next_window_is_not():
    kwargs = dict(attention="reference")
    image, memory = (800, 1333), 8
    costs = {w: cost_of(image, w, 2, **kwargs) for w in range(4, 57)}
    best = max(w for w, cost in costs.items() if cost.memory <= memory)
    windows = choose_windows(
        TINY, image_size=image, memory=memory, batch_size=2, **kwargs
    )
    assert windows == fitted(stage_maps(image, 4), best)
    assert best < 56 and costs[best + 1].memory > memory


def test_fused_attention_leaves_memory_to_larger_windows():
    kwargs = dict(image_size=(800, 1333), memory=5.5, batch_size=2)
    fused = choose_windows(TINY, **kwargs)
    assert fused[0] > choose_windows(TINY, attention="sdpa", **kwargs)[0]
    assert fused[0] > choose_windows(TINY, attention="reference", **kwargs)[0]


def test_recomputing_mlps_alone_saves_less():
    kwargs = dict(image_size=1024, memory=2.2, attention="reference")
    kwargs |= dict(with_cp=(True,) * 4)
    block = choose_windows(TINY, checkpoint="block", **kwargs)
    assert block[0] > choose_windows(TINY, checkpoint="mlp", **kwargs)[0]


def test_the_tighter_of_two_budgets_counts():
    one, other = dict(memory=2.5), dict(slowdown=1.3)
    chosen = [
        choose_windows(TINY, image_size=(800, 1333), **budget)
        for budget in (one, other, one | other)
    ]
    assert chosen[2] in chosen[:2]
    assert chosen[2] == min(chosen[:2])


def test_recomputed_stages_leave_room_for_larger_windows():
    kwargs = dict(image_size=1024, memory=3, attention="reference")
    without = choose_windows(TINY, **kwargs)
    with_cp = choose_windows(TINY, with_cp=(True, True, True, True), **kwargs)
    assert with_cp[0] > without[0]


# Predicted from bytes and operations counted by hand: ms per image on an H200.
@pytest.mark.parametrize(
    ("arch", "image", "window", "milliseconds"),
    [
        ("tiny", (1024, 1024), 8, 2.3),
        ("base", (1024, 1024), 16, 9.3),
        ("base", (1024, 1024), 32, 24.9),
        ("base", (800, 1344), 24, 21.7),
        ("large", (1536, 1536), 32, 87),
    ],
)
def test_time_is_that_of_the_published_model(arch, image, window, milliseconds):
    training = Training(
        ARCHITECTURES[arch], image, 1, ((window, window),) * 4, attention="reference"
    )
    cost = estimate(training)
    assert cost.seconds * 1e3 == pytest.approx(milliseconds, rel=0.15)


def test_the_log_says_why(logs):
    image = (800, 1333)
    windows = choose_windows(TINY, image_size=image, slowdown=1.5)
    text = "\n".join(logs)
    assert "window_size='auto' for images of 800 x 1333 px: " in text
    assert "is the most within slowdown=1.5: " in text and "GiB" in text
    stage = stage_maps(image, 4)[2]
    ratio = padding(stage, windows[2])
    assert ratio < 1.05
    assert f"stage 2: map 50 x 84, window {windows[2][0]} x {windows[2][1]}" in text
    assert f"padded to {ratio:.0%} of its tokens" in text


def test_the_backbone_takes_them():
    model = SwinTransformerV2(
        "nano",
        window_size="auto",
        window_fit="divide",
        auto_windows=dict(image_size=(96, 160), slowdown=4),
    )
    assert model.window_size == choose_windows(
        ARCHITECTURES["nano"], image_size=(96, 160), slowdown=4
    )
    assert model(torch.rand(1, 3, 96, 160))[0].shape == (1, 32, 24, 40)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (dict(window_size="auto"), "image_size is None"),
        (
            dict(window_size="auto", auto_windows=dict(image_size=512)),
            "memory is None and slowdown None",
        ),
        (
            dict(window_size="auto", auto_windows=dict(image_size=512, memory=-1)),
            "memory is -1",
        ),
        (
            dict(window_size="auto", auto_windows=dict(image_size=0, memory=1)),
            "image_size is 0",
        ),
        (
            dict(window_size="auto", auto_windows=dict(image_size="big", memory=1)),
            "image_size is 'big'",
        ),
        (
            dict(window_size="auto", auto_windows=dict(size=512, memory=1)),
            r"auto_windows has \['size'\]",
        ),
        (
            dict(window_size="auto", auto_windows=dict(image_size=512, memory=0.01)),
            r"no window from 4 up is within memory=0.01 GiB.*Raise the budget",
        ),
        (
            dict(window_size=8, auto_windows=dict(image_size=512, memory=1)),
            "leave auto_windows out",
        ),
    ],
)
def test_bad_arguments_are_refused_with_what_is_expected(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SwinTransformerV2("tiny", **kwargs)
