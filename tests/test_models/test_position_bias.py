import copy

import pytest
import torch

from mmswinv2.models import SwinTransformerV2, position_bias
from mmswinv2.models.attention import WindowAttention
from mmswinv2.models.position_bias import POSITION_BIASES, PositionBias

KINDS = pytest.mark.parametrize("kind", POSITION_BIASES)
SQUARE = ((8, 8), (8, 8))


@pytest.fixture
def build(trained_like):
    def build(kind, window=(8, 8)):
        holder = PositionBias(kind, num_heads=3, pretrained_window=window)
        return trained_like(torch.nn.ModuleDict({"attn": holder}))["attn"]

    return build


@pytest.mark.parametrize("kind", ["log_cpb", "linear_cpb"])
def test_bias_is_16_sigmoid_of_the_meta_network(kind, build):
    """Offset (0, 0) has the coordinates (0, 0)."""
    bias = build(kind)
    cpb = bias.cpb_mlp
    table = bias.position_bias((8, 6), (8, 6))
    assert table.shape == (3, 15, 11) and table.dtype == torch.float32
    centre = 16 * cpb[2](cpb[1](cpb[0](torch.zeros(2)))).sigmoid()
    torch.testing.assert_close(table[:, 7, 5], centre)


def test_both_meta_networks_have_the_same_weights_and_another_bias(build):
    log, linear = build("log_cpb"), build("linear_cpb")
    linear.load_state_dict(log.state_dict())
    biases = [bias.position_bias(*SQUARE) for bias in (log, linear)]
    assert not torch.allclose(*biases, atol=0.1)


def test_who_watches_a_meta_network_sees_every_call(build):
    """Else processes that share it out, at maps of other sizes, wait forever."""
    bias = build("log_cpb").eval()
    calls = []
    bias.cpb_mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    for _ in range(3):
        bias.position_bias(*SQUARE)
    assert len(calls) == 3


@pytest.mark.parametrize("kind", ["log_cpb", "linear_cpb"])
def test_a_larger_window_keeps_the_bias_of_known_offsets(kind, build):
    bias = build(kind)
    torch.testing.assert_close(
        bias.position_bias((16, 16), (8, 8))[:, 8:-8, 8:-8],
        bias.position_bias(*SQUARE),
        rtol=0,
        atol=1e-5,
    )


def test_a_table_is_that_of_swin_v1(build):
    """Row (dh + h - 1) * (2 * w - 1) + dw + w - 1 is the offset (dh, dw)."""
    bias = build("table", (3, 5))
    assert [*bias.state_dict()] == ["relative_position_bias_table"]
    table = bias.relative_position_bias_table
    assert table.shape == (5 * 9, 3)
    out = bias.position_bias((3, 5), (3, 5))
    for dh, dw in ((0, 0), (-2, 4), (1, -3)):
        row = (dh + 2) * 9 + dw + 4
        assert torch.equal(out[:, dh + 2, dw + 4], table[row])


def test_a_smaller_window_of_a_table_is_its_middle(build):
    bias = build("table")
    expected = bias.position_bias(*SQUARE)[:, 4:-4, 2:-2]
    assert torch.equal(bias.position_bias((4, 6), (8, 8)), expected)


def test_training_at_another_window_trains_the_same_table(build):
    bias = build("table").train()
    bias.position_bias((12, 5), (8, 8)).square().sum().backward()
    rows = bias.relative_position_bias_table.grad.abs().sum(1).view(15, 15)
    assert rows[:, 3:-3].min() > 0 and rows[:, :3].max() == 0  # 5 of 8 columns


@KINDS
@pytest.mark.parametrize("window", [(8, 8), (16, 12), (3, 5), (1, 1), (1, 9)])
def test_every_window_has_a_finite_bias(kind, window, build):
    bias = build(kind)
    out = bias.position_bias(window, (8, 8))
    assert out.shape == (3, 2 * window[0] - 1, 2 * window[1] - 1)
    assert out.isfinite().all()
    assert build(kind, (1, 1)).position_bias(window, (1, 1)).isfinite().all()


@KINDS
def test_bias_is_fp32_in_a_half_precision_model_and_under_autocast(kind, build):
    bias = build(kind)
    windows = ((12, 8), (8, 8))
    expected = bias.compute_position_bias(*windows)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(bias.compute_position_bias(*windows), expected)
    for half in (torch.bfloat16, torch.float16):
        table = copy.deepcopy(bias).to(half).position_bias(*windows)
        assert table.dtype == torch.float32
        tolerance = 0.02 if kind == "table" else 0.2  # rounded weights
        tolerance *= 5 if kind == "linear_cpb" else 1  # larger coordinates
        torch.testing.assert_close(table, expected, rtol=0, atol=tolerance)


@KINDS
def test_in_eval_mode_the_bias_is_computed_once(kind, build):
    bias = build(kind)
    with torch.no_grad():
        assert bias.position_bias(*SQUARE) is bias.position_bias(*SQUARE)
        assert bias.position_bias((9, 8), (8, 8)) is not bias.position_bias(*SQUARE)


@KINDS
def test_the_kept_bias_follows_weights_mode_and_dtype(kind, build):
    bias = build(kind)
    weight = bias._bias_parameters()[-1]
    with torch.no_grad():
        first = bias.position_bias(*SQUARE).clone()
        weight.mul_(2)
        assert not torch.equal(first, bias.position_bias(*SQUARE))
        weight.data.copy_(weight.data / 2)  # as EMA swaps, unversioned
        torch.testing.assert_close(bias.eval().position_bias(*SQUARE), first)
        bias.load_state_dict({k: 3 * v for k, v in bias.state_dict().items()})
        assert not torch.allclose(bias.position_bias(*SQUARE), first)
        kept = bias.position_bias(*SQUARE)
        assert bias.half().position_bias(*SQUARE) is not kept
        torch.testing.assert_close(
            copy.deepcopy(bias).position_bias(*SQUARE),
            bias.compute_position_bias(*SQUARE),
        )


@KINDS
def test_a_bias_with_gradient_is_never_kept(kind, build):
    """Fine-tuning in eval mode still trains the bias."""
    bias = build(kind)
    with torch.no_grad():
        bias.position_bias(*SQUARE)
    for _ in range(2):
        bias.zero_grad()
        bias.position_bias(*SQUARE).sum().backward()
        assert bias._bias_parameters()[0].grad.abs().sum() > 0


def test_an_unknown_bias_is_refused():
    with pytest.raises(ValueError, match=r"position_bias='cpb'.*'log_cpb', 'linear"):
        SwinTransformerV2("nano", position_bias="cpb")


@KINDS
def test_the_backbone_trains_with_it_and_takes_any_map(kind):
    """Also maps that shrink a window, to 1 token at last, and rectangles."""
    model = SwinTransformerV2(
        "nano", depths=(1, 2, 1, 1), window_size=(8, 6), position_bias=kind
    )
    for block in model.modules():
        if hasattr(block, "norm1"):
            torch.nn.init.ones_(block.norm1.weight)
    maps = model(torch.rand(2, 3, 70, 33))
    # The mean of squares behind a LayerNorm is a constant, without a gradient.
    sum((x * torch.randn_like(x)).mean() for x in maps).backward()
    for name, parameter in model.named_parameters():
        if "cpb_mlp" in name or "bias_table" in name:
            assert parameter.grad.isfinite().all() and parameter.grad.any(), name
            assert name in model.no_weight_decay()


def test_a_table_starts_small_and_random():
    model = SwinTransformerV2("nano", position_bias="table")
    model.init_weights()
    table = model.layers[2].blocks[0].attn.relative_position_bias_table
    assert 0.01 < table.std() < 0.03


@KINDS
@pytest.mark.parametrize("training", [True, False])
def test_a_compiler_takes_it_whole_and_anew_for_another_window(kind, training, build):
    torch.compiler.reset()
    bias = build(kind).train(training)
    compiled = torch.compile(
        bias.position_bias, backend="eager", fullgraph=True, dynamic=False
    )
    for window in ((12, 9), (5, 8)):
        torch.testing.assert_close(
            compiled(window, (8, 8)), bias.position_bias(window, (8, 8))
        )


def _assign(attention, values):
    attention.load_state_dict(values, assign=True)


def _data(attention, values):
    for name, parameter in attention.named_parameters():
        parameter.data = values[name].clone()


def _vector(attention, values):
    flat = torch.cat([values[n].flatten() for n, _ in attention.named_parameters()])
    torch.nn.utils.vector_to_parameters(flat, attention.parameters())


def _average(attention, values):
    """As a teacher follows its student, in eval mode and uncounted."""
    for name, parameter in attention.named_parameters():
        parameter.data.mul_(0).add_(values[name])


@pytest.mark.parametrize("change", [_assign, _data, _vector, _average])
def test_what_is_kept_belongs_to_the_parameters_at_hand(change, trained_like):
    """However weights are replaced, without a count of their changes."""

    def build(seed):
        attention = WindowAttention(
            32, num_heads=2, position_bias="log_cpb", pretrained_window=(4, 4)
        )
        return trained_like(attention, seed)

    def run(attention):
        table = attention.position_bias((4, 4), (4, 4))
        return attention(x, table, window=(4, 4), shift=(2, 2))

    x = torch.randn(1, 8, 8, 32)
    first, second = build(0), build(1)
    values = {n: t.detach().clone() for n, t in second.state_dict().items()}
    with torch.no_grad():
        run(first)
        other = copy.deepcopy(first)
        expected = run(second)
        swapped = torch.func.functional_call(
            _Run(first, run), {f"attention.{n}": t for n, t in values.items()}, ()
        )
        torch.testing.assert_close(swapped, expected)
        change(first, values)
        torch.testing.assert_close(run(first), expected)
        # As many changes as the original had: a copy shares nothing with it.
        for name, parameter in other.named_parameters():
            parameter.copy_(values[name])
        torch.testing.assert_close(run(other), expected)


class _Run(torch.nn.Module):
    def __init__(self, attention, run):
        super().__init__()
        self.attention, self.run = attention, run

    def forward(self):
        return self.run(self.attention)


def test_away_from_cpus_a_step_of_any_optimizer_counts_for_a_change():
    """Comparing numbers there would wait for the device."""
    weight = torch.nn.Parameter(torch.zeros(2))
    teacher = torch.empty(2, device="meta")
    before = position_bias._state(teacher), position_bias._state(weight)
    assert position_bias._state(teacher) == before[0]
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1).step()
    assert position_bias._state(teacher) != before[0]
    assert position_bias._state(weight) == before[1]
