"""The fused residual norm on a GPU, or where there is none in Triton's interpreter."""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

GPU = torch.cuda.is_available()
pytest.importorskip("triton", "3.2", reason="needs triton 3.2 or newer")

from mmswinv2.ops.residual_norm import choice, operator, residual_norm  # noqa: E402
from mmswinv2.ops.residual_norm.self_check import check  # noqa: E402
from mmswinv2.ops.self_check.compare import WrongResultError  # noqa: E402

DEVICE = "cuda" if GPU else "cpu"
EPS = 1e-5
fp16, bf16, fp32 = torch.float16, torch.bfloat16, torch.float32


def make(size=(2, 3, 2), channels=96, dtype=fp32, branch_dtype=None, weight_dtype=fp32):
    """Main branch, branch, weight and bias, all with gradients."""
    torch.manual_seed(0)
    shapes = 2 * [(*size, channels)] + 2 * [(channels,)]
    dtypes = dtype, branch_dtype or dtype, weight_dtype, weight_dtype
    return [
        (torch.randn(shape) + 0.3).to(DEVICE, dtype).requires_grad_()
        for shape, dtype in zip(shapes, dtypes)
    ]


def factors(count):
    return torch.tensor([1.25, 0.0, 5.0])[:count].view(-1, 1, 1, 1).to(DEVICE)


def plain(x, branch, weight, bias, keep=None):
    branch = F.layer_norm(branch, weight.shape, weight, bias, EPS)
    return x + (branch if keep is None else keep * branch)


def expected(inputs, keep, grads):
    """Sum and gradients, all in fp64."""
    exact = [x.detach().double().requires_grad_() for x in inputs]
    y = plain(*exact, keep if keep is None else keep.double())
    grad = sum(grad.double() for grad in grads)
    return y.detach(), *torch.autograd.grad(y, exact, grad)


def run(inputs, keep, low_dtype):
    """Sum, copy, gradients of all inputs; and the gradients of the outputs."""
    outs = residual_norm(*inputs, EPS, keep, low_dtype)
    outs = outs if outs[1] is not outs[0] else outs[:1]
    torch.manual_seed(1)
    grads = [torch.randn(out.shape).to(out) for out in outs]
    return *outs, *torch.autograd.grad(outs, inputs, grads), grads


def assert_near(found, reference):
    error = (found.double() - reference).norm() / reference.norm()
    tolerance = torch.finfo(found.dtype).eps * (8 if found.dtype == fp32 else 1)
    assert error <= tolerance, f"relative error {error:.1e}"


def assert_right(inputs, keep, low_dtype):
    y, *rest, grads = run(inputs, keep, low_dtype)
    reference = expected(inputs, keep, grads)
    if low_dtype not in (None, y.dtype):
        assert rest[0].dtype == low_dtype
        # Triton's interpreter cuts fp32 off to bf16, a GPU rounds.
        rtol = 2**-7 if low_dtype == bf16 and not GPU else 0
        torch.testing.assert_close(rest.pop(0), y.to(low_dtype), rtol=rtol, atol=0)
    assert y.dtype == inputs[0].dtype
    assert_near(y, reference[0])
    for grad, leaf, value in zip(rest, inputs, reference[1:], strict=True):
        assert grad.dtype == leaf.dtype
        assert_near(grad, value)


# Main branch, branch, copy: under autocast, without, and of a model in 16 bits
PRECISIONS = [
    *((fp32, low, low) for low in (fp16, bf16)),
    *((dtype, dtype, None) for dtype in (fp32, fp16, bf16)),
    (fp32, fp32, bf16),
    (bf16, fp16, fp16),
]


@pytest.mark.parametrize("with_keep", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
def test_values_and_all_gradients(precision, with_keep):
    dtype, branch_dtype, low_dtype = precision
    inputs = make((3, 2, 3), 96, dtype, branch_dtype)
    assert_right(inputs, factors(3) if with_keep else None, low_dtype)


@pytest.mark.parametrize("channels", [1, 24, 100, 1024, 4096, 5000])
def test_any_number_of_channels(channels):
    inputs = make((2, 1, 2), channels, fp32, bf16)
    if channels == 1:  # no branch: what is left of its gradient is rounding
        with torch.no_grad():
            inputs[1].copy_(torch.zeros_like(inputs[1]))
        y, _ = residual_norm(*inputs, EPS)
        torch.testing.assert_close(y, plain(*(x.float() for x in inputs)))
        return
    assert_right(inputs, factors(2), bf16)


@pytest.mark.parametrize("weight_dtype", [fp16, bf16])
def test_parameters_of_16_bits(weight_dtype):
    inputs = make(dtype=weight_dtype, weight_dtype=weight_dtype)
    assert_right(inputs, None, None)


@pytest.mark.parametrize("size", [(1, 7, 5), (3, 1, 1), (2, 40, 1)])
def test_last_tiles_may_be_empty_in_part(size):
    """Of 64 tokens of 16 channels; images may begin within a tile."""
    assert_right(make(size, 16), factors(size[0]), None)


@pytest.mark.parametrize("size", [(0, 4, 4), (2, 0, 4)])
def test_empty_batches(size):
    inputs = make(size, 96, fp32, bf16)
    keep = torch.ones(size[0], device=DEVICE)
    y, low, *found, _ = run(inputs, keep, bf16)
    assert (y.shape, low.shape) == 2 * ((*size, 96),)
    for grad, leaf in zip(found, inputs, strict=True):
        assert grad.shape == leaf.shape and grad.dtype == leaf.dtype
        assert not grad.any()


def test_a_dropped_branch_leaves_the_main_branch_alone():
    inputs = make((2, 3, 3))
    keep = torch.zeros(2, device=DEVICE)
    y, *grads, (grad_y,) = run(inputs, keep, None)
    assert torch.equal(y, inputs[0])
    assert torch.equal(grads[0], grad_y)
    assert not any(grad.any() for grad in grads[1:])


def test_inputs_and_gradients_may_be_views():
    inputs = make((2, 3, 5), 96, fp32, bf16)
    views = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in inputs[:2]]
    assert not views[0].is_contiguous()
    weight = torch.stack(2 * inputs[2:3], 1)[:, 0]
    outs = residual_norm(*views, weight, inputs[3], EPS, None, bf16)
    ones = torch.ones(1, device=DEVICE)
    grads = [ones.to(out.dtype).expand_as(out) for out in outs]
    dense = residual_norm(*inputs, EPS, None, bf16)
    for out, other in zip(outs, dense):
        assert torch.equal(out, other)
    for found, other in zip(
        torch.autograd.grad(outs, inputs, grads),
        torch.autograd.grad(dense, inputs, [torch.ones_like(out) for out in dense]),
    ):
        assert torch.equal(found, other)


@pytest.mark.parametrize("used", [0, 1])
def test_one_of_both_outputs_may_be_unused(used):
    inputs = make((2, 2, 3), 96, fp32, bf16)
    out = residual_norm(*inputs, EPS, factors(2), bf16)[used]
    grad = torch.randn(out.shape).to(out)
    grads = torch.autograd.grad(out, inputs, grad)
    for found, value in zip(grads, expected(inputs, factors(2), [grad])[1:]):
        assert_near(found, value)


WANTED = [w for w in product([False, True], repeat=4) if any(w)]


@pytest.mark.parametrize("low_dtype", [None, bf16])
@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_only_gradients_that_are_wanted(wanted, low_dtype):
    """Frozen norms, branches and backbones keep and compute nothing of theirs."""
    inputs = make((1, 2, 2), 32, fp32, bf16)
    all_grads = run(inputs, None, low_dtype)[-5:-1]
    inputs = [x.detach().requires_grad_(w) for x, w in zip(inputs, wanted)]
    outs = residual_norm(*inputs, EPS, None, low_dtype)
    saved = outs[0].grad_fn.saved_tensors
    assert bool(saved) == any(wanted[1:])
    outs = outs[: 1 + (low_dtype is not None)]
    torch.manual_seed(1)
    torch.autograd.backward(outs, [torch.randn(out.shape).to(out) for out in outs])
    for leaf, grad, is_wanted in zip(inputs, all_grads, wanted):
        assert (leaf.grad is not None) == is_wanted
        if is_wanted:
            assert torch.equal(leaf.grad, grad)


def test_keeps_the_branch_as_given_and_two_numbers_per_token():
    inputs = make((2, 3, 4), 96, fp32, bf16)
    y, _ = residual_norm(*inputs, EPS, None, bf16)
    branch, weight, stats, keep = y.grad_fn.saved_tensors
    assert branch.data_ptr() == inputs[1].data_ptr()
    assert weight.data_ptr() == inputs[2].data_ptr()
    assert stats.shape == (2, 24) and keep is None


def test_without_gradients_the_values_are_the_same():
    inputs = make((2, 2, 3), 96, fp32, bf16)
    with_grad = residual_norm(*inputs, EPS, factors(2), bf16)
    with torch.no_grad():
        without = residual_norm(*inputs, EPS, factors(2), bf16)
    for out, other in zip(with_grad, without):
        assert torch.equal(out, other) and not other.requires_grad


def test_runs_are_the_same_bit_by_bit():
    inputs = make((2, 9, 9), 96, fp32, bf16)
    *first, _ = run(inputs, factors(2), bf16)
    *second, _ = run(inputs, factors(2), bf16)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_token_that_is_not_finite_harms_no_other(value):
    inputs = make((1, 4, 4), 96, fp32, bf16)
    clean = run(inputs, None, bf16)
    with torch.no_grad():
        inputs[1][0, 1, 2, 5] = value
    spoilt = run(inputs, None, bf16)
    bad = torch.zeros(1, 4, 4, dtype=torch.bool, device=DEVICE)
    bad[0, 1, 2] = True
    for found, other in zip(spoilt[:4], clean[:4]):  # y, low, gradients of the maps
        assert torch.equal(found[~bad], other[~bad])
    assert spoilt[0][bad].isnan().all() and spoilt[3][bad].isnan().all()


@pytest.mark.parametrize("value", [0.0, 3.0, -1e4])
def test_a_constant_token_has_no_direction(value):
    """Its variance is 0, its deviation the root of eps."""
    inputs = make((1, 2, 2), 128)
    with torch.no_grad():
        inputs[1][0, 0, 0] = value
    assert_right(inputs, None, None)
    y = residual_norm(*inputs, EPS)[0]
    torch.testing.assert_close(y[0, 0, 0], inputs[0][0, 0, 0] + inputs[3])


@pytest.mark.parametrize(("dtype", "size"), [(fp16, 3e4), (bf16, 1e15), (fp32, 1e15)])
def test_huge_and_tiny_values(dtype, size):
    """fp16 up to its largest numbers; squares would overflow it."""
    inputs = make((1, 2, 2), 96, fp32, dtype)
    with torch.no_grad():
        branch = inputs[1] / inputs[1].abs().max()
        branch[0, 0] *= size
        branch[0, 1] *= 1e-4
        inputs[1].copy_(branch)
    *_, grad_branch, _, _, grads = run(inputs, None, dtype)
    y = residual_norm(*inputs, EPS)[0]
    reference = expected(inputs, None, grads)
    for row in (0, 1):
        assert_near(y[0, row], reference[0][0, row])
    assert_near(grad_branch[0, 1], reference[2][0, 1])


def test_twice_differentiated_raises():
    inputs = make((1, 1, 2), 16)
    y, _ = residual_norm(*inputs, EPS)
    (grad,) = torch.autograd.grad(y.square().sum(), inputs[1], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        grad.sum().backward()


@pytest.mark.parametrize("with_grad", [True, False])
def test_forward_mode_raises(with_grad):
    """Rather than give no tangent, as plain calls of kernels do."""
    x, *rest = make((1, 1, 2), 16)
    with torch.set_grad_enabled(with_grad), torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x.detach(), torch.ones_like(x))
        assert "forward-mode" in choice.unsupported(dual, *rest)
        with pytest.raises(NotImplementedError, match="MMSWINV2_RESIDUAL_NORM=plain"):
            residual_norm(dual, *rest, EPS)


def test_shapes_must_fit():
    x, branch, weight, bias = make((2, 1, 3), 16)
    for bad in ((x, branch[:1], weight, bias), (x, branch, weight[:1], bias[:1])):
        with pytest.raises(
            ValueError, match=r"expected x and branch .*, got \(2, 1, 3"
        ):
            residual_norm(*bad, EPS)
    with pytest.raises(ValueError, match=r"keep \(B,\)"):
        residual_norm(x, branch, weight, bias, EPS, torch.ones(3))


# The self-check


@pytest.mark.parametrize("dtype", [fp16, bf16, fp32], ids=str)
def test_right_kernels_pass_the_check(dtype):
    check(torch.device(DEVICE), dtype, 128)


@pytest.mark.parametrize(
    ("function", "output", "name"),
    [
        ("_forward", 0, "the sum"),
        ("_forward", 1, "its copy"),
        ("_backward", 0, "the gradient of x"),
        ("_backward", 1, "the gradient of the branch"),
        ("_backward", 2, "the gradient of the weight"),
        ("_backward", 3, "the gradient of the bias"),
    ],
)
def test_a_last_token_with_wrong_numbers_does_not(function, output, name, monkeypatch):
    right = getattr(operator, function)

    def spoil(*args, **kwargs):
        outs = right(*args, **kwargs)
        if outs[output] is not None:
            outs[output].view(-1)[-100:] *= 1.2
        return outs

    monkeypatch.setattr(operator, function, spoil)
    with pytest.raises(WrongResultError, match=f"{name} of 100 channels differs"):
        check(torch.device(DEVICE), bf16, 128)


def test_compiles_for_a_gpu_and_spills_no_registers(tmp_path):
    """Compilation is stricter than the interpreter, and needs no GPU."""
    script = Path(__file__).parents[2] / "benchmarks/residual_norm/compile_kernels.py"
    command = [sys.executable, script, "--channels", "96", "--gpu", "90"]
    command += ["--precision", "bf16 autocast"]
    env = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    names = [line.split()[1] for line in done.stdout.splitlines() if " / " in line]
    assert names[1:] == ["forward", "forward", "backward"]


def test_programs_fill_the_processors_of_a_gpu(monkeypatch):
    """16 warps on each."""
    properties = SimpleNamespace(multi_processor_count=132)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    found = [operator._most_programs(torch.device("cuda:9"), n) for n in (4, 16, 32)]
    assert found == [528, 132, 132]
    assert {type(number) for number in found} == {int}
