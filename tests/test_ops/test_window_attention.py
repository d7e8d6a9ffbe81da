import itertools
import math

import pytest
import torch
from torch.autograd import forward_ad

from mmswinv2.ops.window_attention import (
    IMPLEMENTATIONS,
    chunked,
    dispatch,
    window_attention,
)
from mmswinv2.ops.window_attention.dispatch import ALL, IN_PIECES
from mmswinv2.ops.window_attention.operator import window_attention_operator
from mmswinv2.ops.window_attention.reference import relative_position_index
from mmswinv2.ops.window_attention.sdpa import expand_table

HEADS, DIMS = 2, 4
# (map, window, shift): even, padded, wrapped with much padding, rectangular, one window
# and, of clips, even, padded, shrunk axes, an axis of one, one window
CASES = [
    ((8, 8), (4, 4), (2, 2)),
    ((9, 9), (8, 8), (4, 4)),
    ((7, 10), (4, 4), (2, 2)),
    ((6, 13), (3, 5), (1, 2)),
    ((5, 9), (5, 4), (0, 2)),
    ((3, 3), (8, 8), (0, 0)),
    ((1, 6), (1, 4), (0, 2)),
    ((4, 2, 4), (2, 2, 2), (1, 1, 1)),
    ((3, 5, 7), (2, 4, 3), (1, 2, 1)),
    ((3, 6, 4), (3, 4, 4), (0, 2, 0)),
    ((5, 3, 4), (4, 1, 3), (2, 0, 1)),
    ((2, 3, 3), (4, 4, 8), (0, 0, 0)),
]


def make_inputs(size, window, dtype=torch.float64, batch=2, seed=0):
    torch.manual_seed(seed)
    qkv = torch.randn(batch, *size, 3 * HEADS * DIMS, dtype=dtype)
    table = 16 * torch.rand(HEADS, *(2 * n - 1 for n in window))
    scale = torch.tensor([5.0, 80.0])
    return qkv, table, scale


def who_sees_whom(size, window, shift):
    """Every token with those that it sees, in the coordinates of the unpadded map.

    Two tokens see each other if shifting puts them into one window without carrying
    only one of them around the edge.
    """
    padded = [math.ceil(n / w) * w for n, w in zip(size, window, strict=True)]

    def place(token):
        return tuple(
            (((t - s) % p) // w, t < s)
            for t, s, p, w in zip(token, shift, padded, window, strict=True)
        )

    tokens = list(itertools.product(*map(range, size)))
    return {t: [k for k in tokens if place(k) == place(t)] for t in tokens}


def brute_force(qkv, table, scale, window, shift):
    """Every pair of tokens by itself."""
    batch, *size = qkv.shape[:-1]
    q, k, v = qkv.unflatten(-1, (3, HEADS, DIMS)).unbind(-3)
    tokens = who_sees_whom(size, window, shift)
    out = torch.empty(batch, *size, HEADS, DIMS, dtype=qkv.dtype)
    for b, query, head in itertools.product(range(batch), tokens, range(HEADS)):
        logits = []
        for key in tokens[query]:
            cosine = torch.cosine_similarity(
                q[(b, *query, head)], k[(b, *key, head)], dim=0
            )
            axes = zip(query, key, window, strict=True)
            bias = table[(head, *(i - j + n - 1 for i, j, n in axes))]
            logits.append(scale[head].double() * cosine + bias.double())
        weights = torch.stack(logits).softmax(0)
        values = torch.stack([v[(b, *key, head)] for key in tokens[query]])
        out[(b, *query, head)] = weights @ values
    return out.flatten(-2)


# Triton's kernels know neither fp64 nor heads of 4 channels: test_triton.py.
PORTABLE = [name for name in IMPLEMENTATIONS if name != "triton"]


@pytest.mark.parametrize("implementation", PORTABLE)
@pytest.mark.parametrize(("size", "window", "shift"), CASES)
def test_equals_attention_over_every_pair_of_real_tokens(
    size, window, shift, implementation
):
    """Padding is never attended to: the brute force does not even know it."""
    qkv, table, scale = make_inputs(size, window, batch=1)
    expected = brute_force(qkv, table, scale, window, shift)
    shift = shift if any(shift) else None
    out = window_attention(
        qkv, table, scale, window=window, shift=shift, implementation=implementation
    )
    torch.testing.assert_close(out, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("implementation", PORTABLE)
@pytest.mark.parametrize(("size", "window", "shift"), CASES)
def test_what_is_not_finite_reaches_those_who_see_it(
    size, window, shift, implementation, value
):
    """Not those across a seam of the shift; one number of k or v is enough."""

    def run(qkv):
        return window_attention(
            qkv, *rest, window=window, shift=shift, implementation=implementation
        )

    qkv, *rest = make_inputs(size, window)
    clean = run(qkv)
    seen_by = who_sees_whom(size, window, shift)
    *before, height, width = (n - 1 for n in size)
    border = (*before, height, (width + 1) // 2)
    for token in (0,) * len(size), border, (*before, height, width):
        for channel in (HEADS * DIMS, 2 * HEADS * DIMS):
            given = qkv.clone()
            given[(1, *token, channel)] = value
            expected = torch.zeros(size, dtype=torch.bool)
            for other in seen_by[token]:
                expected[other] = True
            out = run(given)
            assert torch.equal(~out[1].isfinite().all(-1), expected)
            assert torch.equal(out[0], clean[0])
            torch.testing.assert_close(out[1, ~expected], clean[1, ~expected])


@pytest.mark.parametrize("implementation", PORTABLE)
def test_nan_in_a_gradient_stays_in_its_picture(implementation):
    """Other windows and pictures have the gradients that they have without it."""
    kwargs = dict(window=(4, 4), shift=(2, 2), implementation=implementation)
    grads = []
    for value in (1.0, math.nan):
        qkv, *rest = make_inputs((9, 9), (4, 4))
        out = window_attention(qkv.requires_grad_(), *rest, **kwargs)
        grad = torch.ones_like(out)
        grad[1, 0, 0] = value
        grads.append(torch.autograd.grad(out, qkv, grad)[0])
    clean, given = grads
    touched = ~given.isfinite().all(-1)
    assert touched[1, 0, 0] and not touched[0].any()
    # the windows of the corner, on all sides of the seams
    assert not touched[1, 2:-3].any() and not touched[1, :, 2:-3].any()
    torch.testing.assert_close(given[~touched], clean[~touched])


FAST = [*PORTABLE[1:], IN_PIECES]


@pytest.mark.parametrize("fast", FAST)
@pytest.mark.parametrize(("size", "window", "shift"), CASES)
def test_gradients_are_those_of_the_reference(size, window, shift, fast):
    grads = []
    for implementation in ("reference", fast):
        inputs = [x.requires_grad_() for x in make_inputs(size, window)]
        out = ALL[implementation](*inputs, window, shift, 0.0)
        out.backward(torch.cos(torch.arange(out.numel()).view_as(out).double()))
        grads.append([x.grad for x in inputs])
    for expected, grad in zip(*grads, strict=True):
        torch.testing.assert_close(grad, expected, rtol=1e-4, atol=1e-5)


def test_reference_passes_gradcheck():
    qkv, table, scale = make_inputs((3, 5), (2, 4), batch=1)
    inputs = [x.double().requires_grad_() for x in (qkv, table, scale / 10)]
    assert torch.autograd.gradcheck(
        lambda *x: window_attention(
            *x, window=(2, 4), shift=(1, 2), implementation="reference"
        ),
        inputs,
    )


@pytest.mark.parametrize("implementation", PORTABLE)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float16", 3e-3), ("bfloat16", 3e-2)]
)
def test_low_precision_is_close_to_fp64_and_its_gradients_are_finite(
    implementation, dtype, tolerance
):
    """With padding and a zero token: the case in which others give NaN."""
    window, shift = (8, 8), (4, 4)
    qkv, table, scale = make_inputs((13, 11), window)
    qkv[:, 2, 3] = 0
    scale = scale.clamp(max=20)
    exact = window_attention(
        qkv, table, scale, window=window, shift=shift, implementation="reference"
    )
    inputs = [
        qkv.to(getattr(torch, dtype)).requires_grad_(),
        table.requires_grad_(),
        scale,
    ]
    out = window_attention(
        *inputs, window=window, shift=shift, implementation=implementation
    )
    assert out.dtype == inputs[0].dtype
    assert (out - exact).norm() < tolerance * exact.norm()
    out.backward(torch.ones_like(out))
    assert inputs[0].grad.isfinite().all() and inputs[1].grad.isfinite().all()


@pytest.mark.parametrize("implementation", PORTABLE)
def test_autocast_does_not_lower_the_precision(implementation):
    inputs = make_inputs((9, 9), (4, 4), torch.float32)
    kwargs = dict(window=(4, 4), shift=(2, 2), implementation=implementation)
    with torch.autocast("cpu", torch.bfloat16):
        out = window_attention(*inputs, **kwargs)
    assert torch.equal(out, window_attention(*inputs, **kwargs))


@pytest.mark.parametrize("implementation", ["auto", "reference", "sdpa"])
def test_dropout_drops_attention_weights(implementation):
    qkv, table, scale = make_inputs((8, 8), (4, 4), torch.float32)
    kwargs = dict(window=(4, 4), implementation=implementation)
    plain = window_attention(qkv, table, scale, **kwargs)
    dropped = window_attention(qkv, table, scale, dropout=0.5, **kwargs)
    assert not torch.allclose(plain, dropped)


def test_expanded_table_is_the_table_at_every_relative_position():
    for window in ((4, 5), (2, 3, 4)):
        table = torch.randn(3, *(2 * n - 1 for n in window))
        index = relative_position_index(window, table.device)
        assert torch.equal(expand_table(table), table.flatten(1)[:, index])


def test_dropout_is_refused_where_it_is_not_there():
    with pytest.raises(ValueError, match="'chunked' has no dropout"):
        window_attention(
            *make_inputs((4, 4), (4, 4)),
            window=(4, 4),
            dropout=0.1,
            implementation="chunked",
        )


@pytest.mark.parametrize("budget", [2**8, 2**12, 2**16])
@pytest.mark.parametrize(
    ("size", "window", "shift"),
    [((13, 22), (7, 6), (3, 3)), ((5, 13, 9), (2, 6, 4), (1, 3, 2))],
)
def test_pieces_of_any_size_give_the_same(size, window, shift, budget, monkeypatch):
    """Fewer windows at a time, or fewer query rows of a window."""
    inputs = [x.requires_grad_() for x in make_inputs(size, window)]

    def run():
        out = window_attention(
            *inputs, window=window, shift=shift, implementation="chunked"
        )
        return out, *torch.autograd.grad(out.cos().sum(), inputs)

    expected = run()
    monkeypatch.setitem(chunked.LOGIT_BYTES, "cpu", budget)
    for given, value in zip(run(), expected, strict=True):
        torch.testing.assert_close(given, value)


def test_the_operator_is_registered_as_torch_wants_it():
    """Shapes without data, gradients, and that nothing is changed in place."""
    inputs = make_inputs((9, 6), (4, 4), torch.float32)
    for name, channels in (("chunked", DIMS), ("triton", 16), ("sdpa", DIMS)):
        qkv = torch.randn(1, 9, 6, 3 * HEADS * channels)
        leaves = [x.clone().requires_grad_() for x in (qkv, *inputs[1:])]
        torch.library.opcheck(
            window_attention_operator, (*leaves, [4, 4], [2, 2], name)
        )


@pytest.mark.parametrize("trained", range(3))
def test_inputs_may_be_frozen(trained):
    """Such as a frozen backbone with a trainable bias."""
    inputs = [*make_inputs((8, 8), (4, 4))]
    inputs[trained].requires_grad_()
    for attend in ALL.values():
        if attend is IMPLEMENTATIONS["triton"]:
            continue  # test_triton.py
        out = attend(*inputs, (4, 4), (0, 0), 0.0)
        (grad,) = torch.autograd.grad(out.sum(), inputs[trained])
        assert grad.isfinite().all()


@pytest.mark.parametrize("implementation", PORTABLE)
def test_an_empty_batch_gives_an_empty_map_and_no_gradient(implementation):
    inputs = [x.requires_grad_() for x in make_inputs((9, 6), (4, 4), batch=0)]
    out = window_attention(*inputs, window=(4, 4), implementation=implementation)
    assert out.shape == (0, 9, 6, HEADS * DIMS)
    grads = torch.autograd.grad(out.sum(), inputs)
    assert [g.shape for g in grads] == [x.shape for x in inputs]
    assert not any(g.any() for g in grads)


@pytest.mark.parametrize("implementation", ["auto", *IMPLEMENTATIONS])
def test_meta_tensors_pass(implementation):
    inputs = [x.to("meta") for x in make_inputs((9, 6), (4, 4), torch.float32)]
    out = window_attention(
        *inputs, window=(4, 4), shift=(2, 2), implementation=implementation
    )
    assert out.device.type == "meta" and out.shape == (2, 9, 6, HEADS * DIMS)


@pytest.mark.parametrize("name", ["chunked", IN_PIECES])
def test_forward_mode_is_refused_with_a_pointer_to_what_has_it(name):
    """A tangent that is dropped is a derivative of zero."""
    qkv, *rest = make_inputs((4, 4), (2, 2))

    def run(qkv, implementation=name):
        return ALL[implementation](qkv, *rest, (2, 2), (1, 1), 0.0)

    with pytest.raises(NotImplementedError, match="use 'reference'"):
        torch.func.jvp(run, (qkv,), (torch.ones_like(qkv),))
    with forward_ad.dual_level(), pytest.raises(NotImplementedError):
        run(forward_ad.make_dual(qkv, torch.ones_like(qkv)))
    _, tangent = torch.func.jvp(
        lambda x: run(x, "reference"), (qkv,), (torch.ones_like(qkv),)
    )
    assert tangent.abs().max() > 0


def test_functional_transforms_and_gradients_of_gradients():
    qkv, *rest = make_inputs((4, 4), (2, 2))

    def run(qkv):
        return window_attention(qkv, *rest, window=(2, 2), implementation="chunked")

    batched = torch.vmap(run)(torch.stack([qkv, 2 * qkv]))
    torch.testing.assert_close(batched, torch.stack([run(qkv), run(2 * qkv)]))
    qkv.requires_grad_()
    (grad,) = torch.autograd.grad(run(qkv).cos().sum(), qkv, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_a_traced_node_can_be_saved(tmp_path):
    inputs = [x.requires_grad_() for x in make_inputs((6, 5), (4, 4))]
    traced = torch.jit.trace(
        lambda *x: window_attention(
            *x, window=(4, 4), shift=(2, 2), implementation="chunked"
        ),
        inputs,
    )
    traced.save(str(tmp_path / "node.pt"))
    expected = window_attention(*inputs, window=(4, 4), shift=(2, 2))
    loaded = torch.jit.load(str(tmp_path / "node.pt"))
    torch.testing.assert_close(loaded(*inputs), expected)


def test_a_refused_kernel_leaves_one_graph_for_all_sizes(monkeypatch):
    monkeypatch.setattr(dispatch, "_judge", lambda *_: "it is a test")
    monkeypatch.setitem(dispatch.AUTO, "cpu", "triton")
    torch.compiler.reset()
    _, table, scale = make_inputs((8, 8), (4, 4), torch.float32)

    def run(qkv):
        return window_attention(qkv, table, scale, window=(4, 4), shift=(2, 2))

    compiled = torch.compile(run, backend="eager", dynamic=True, fullgraph=True)
    for size in [(8, 8), (9, 6), (12, 7)]:
        qkv = torch.randn(1, *size, 3 * HEADS * 16)
        with torch.no_grad():
            torch.testing.assert_close(compiled(qkv), run(qkv))


def test_gradients_have_the_dtypes_of_what_they_belong_to():
    inputs = [x.bfloat16() for x in make_inputs((6, 7), (4, 4))]
    for name in ("chunked", IN_PIECES):
        leaves = [x.clone().requires_grad_() for x in inputs]
        ALL[name](*leaves, (4, 4), (2, 2), 0.0).sum().backward()
        assert {x.grad.dtype for x in leaves} == {torch.bfloat16}


def test_the_environment_chooses_what_auto_stands_for(monkeypatch):
    inputs = make_inputs((8, 8), (4, 4), torch.float32)
    inputs[0].requires_grad_()

    def node(**options):
        return str(window_attention(*inputs, window=(4, 4), **options).grad_fn)

    assert "_Attention" in node()
    monkeypatch.setenv("MMSWINV2_ATTENTION", "reference")
    assert "_Attention" not in node()
    assert "_Attention" in node(implementation="chunked")
    monkeypatch.setenv("MMSWINV2_ATTENTION", "flash")
    with pytest.raises(ValueError, match="ATTENTION='flash': expected one of"):
        node()


def test_an_unknown_implementation_is_named_with_the_known_ones():
    inputs = make_inputs((4, 4), (4, 4))
    known = "'flash' is unknown.*'auto', " + ", ".join(map(repr, IMPLEMENTATIONS))
    with pytest.raises(ValueError, match=known):
        window_attention(*inputs, window=(4, 4), implementation="flash")


@pytest.mark.parametrize("implementation", PORTABLE)
def test_what_has_no_direction_gets_no_gradient(implementation):
    """A query and a key of length 0."""
    qkv, table, scale = make_inputs((4, 4), (4, 4), torch.float32)
    qkv[0, 1, 2, : 2 * HEADS * DIMS] = 0
    qkv.requires_grad_()
    window_attention(
        qkv, table, scale, window=(4, 4), implementation=implementation
    ).cos().sum().backward()
    assert not qkv.grad[0, 1, 2, : 2 * HEADS * DIMS].any()
    assert qkv.grad[0, 1, 2, 2 * HEADS * DIMS :].all()


def test_a_constant_in_the_bias_changes_nothing_in_16_bits_either():
    qkv, table, scale = make_inputs((4, 4), (4, 4), torch.bfloat16)
    found, shifted = (
        window_attention(qkv, x, scale, window=(4, 4), implementation="sdpa")
        for x in (table, table + 1024)
    )
    torch.testing.assert_close(shifted, found, rtol=0, atol=0.05)


def test_pieces_have_no_more_logits_than_fit(monkeypatch):
    qkv, *_ = make_inputs((16, 16), (4, 4), torch.float32, batch=1)
    monkeypatch.setitem(chunked.LOGIT_BYTES, "cpu", 3 * 16**2 * 4)  # of three windows
    pieces = [*chunked._pieces(qkv, (4, 4), (0, 0))]
    assert len(pieces) >= 16 / 3
