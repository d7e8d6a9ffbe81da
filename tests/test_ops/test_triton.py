"""The Triton kernels on a GPU, or where there is none in Triton's interpreter."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

GPU = torch.cuda.is_available()
pytest.importorskip("triton", "3.2", reason="needs triton 3.2 or newer")

from mmswinv2.ops.window_attention import (  # noqa: E402
    dispatch,
    triton_attention,
    window_attention,
)
from mmswinv2.ops.window_attention.dispatch import why_not_triton  # noqa: E402
from mmswinv2.ops.window_attention.operator import attend  # noqa: E402
from mmswinv2.ops.window_attention.reference import (  # noqa: E402
    reference_window_attention,
)

# (map, window, shift): windows of one tile, then of several; padded, wrapped, or both,
# also in the last but one window; rectangles; maps smaller than the window
ONE_TILE = [
    ((8, 8), (4, 4), (0, 0)),
    ((9, 9), (8, 8), (4, 4)),
    ((9, 5), (4, 4), (2, 2)),
    ((6, 13), (3, 5), (1, 2)),
    ((1, 6), (1, 4), (0, 2)),
    ((3, 3), (8, 8), (0, 0)),
]
SEVERAL_TILES = [
    ((20, 10), (10, 10), (5, 0)),
    ((9, 12), (9, 8), (0, 4)),
    ((3, 40), (3, 27), (1, 13)),
    ((9, 7), (14, 7), (0, 3)),
    ((5, 13), (5, 13), (0, 0)),
]
CASES = ONE_TILE + SEVERAL_TILES
# clips: padded and wrapped along all axes; the whole time or a row in a window, without
# a shift there; a frame at a time; then of several tiles, inner windows among them
CLIPS = [
    ((3, 5, 7), (2, 4, 3), (1, 2, 1)),
    ((3, 6, 5), (3, 4, 5), (0, 2, 0)),
    ((3, 3, 5), (1, 4, 4), (0, 0, 2)),
    ((7, 4, 4), (4, 4, 4), (1, 0, 0)),
    ((4, 5, 7), (3, 5, 5), (1, 0, 2)),
    ((5, 5, 4), (4, 5, 4), (0, 2, 0)),
]


def make_inputs(size, window, dtype=torch.float32, heads=2, channels=16, batch=1):
    """Logits of the first head are bounded well, those of the last are not."""
    torch.manual_seed(0)
    qkv = torch.randn(batch, *size, 3 * heads * channels).to(dtype)
    table = 16 * torch.rand(heads, *(2 * w - 1 for w in window))
    inputs = qkv, table, torch.linspace(5, 80, heads)
    return [x.cuda() for x in inputs] if GPU else inputs


def run(qkv, table, scale, window, shift):
    """Output and gradients of q, k, v, table and scale."""
    torch.manual_seed(1)
    inputs = qkv, triton_attention.prepare(table, scale), window, shift
    out, lse = triton_attention.triton_forward(*inputs)
    grad_out = torch.randn(out.shape).to(out)
    grads = triton_attention.triton_backward(grad_out, *inputs, out, lse)
    return out, *grads[0].chunk(3, -1), *grads[1:]


def expected(qkv, table, scale, window, shift):
    torch.manual_seed(1)
    inputs = [x.double().requires_grad_() for x in (qkv, table, scale)]
    out = reference_window_attention(*inputs, window, shift, 0.0)
    grad_out = torch.randn(out.shape).to(qkv).double()
    grads = torch.autograd.grad(out, inputs, grad_out)
    return out.detach(), *grads[0].chunk(3, -1), *grads[1:]


def assert_near(results, references, tolerance):
    names = "out", "q", "k", "v", "table", "scale"
    for name, result, reference in zip(names, results, references, strict=True):
        error = (result - reference).norm() / reference.norm()
        assert error < tolerance, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize(("size", "window", "shift"), CASES + CLIPS)
def test_values_and_all_gradients_are_those_of_the_reference(size, window, shift):
    # one picture of six tokens has gradients too small for a relative error
    options = dict(batch=2 if size[0] == 1 else 1, heads=4 - len(size))
    inputs = *make_inputs(size, window, **options), window, shift
    assert_near(run(*inputs), expected(*inputs), 2e-5)


@pytest.mark.parametrize(("size", "window", "shift"), [*CASES[:7], CLIPS[0], CLIPS[-1]])
def test_half_precision_keeps_logits_and_sums_in_fp32(size, window, shift):
    """Also the one kernel for all gradients of a window of one tile."""
    options = dict(batch=2, heads=4 - len(size))
    inputs = *make_inputs(size, window, torch.float16, **options), window, shift
    results = run(*inputs)
    assert [x.dtype for x in results] == 4 * [torch.float16] + 2 * [torch.float32]
    assert_near(results, expected(*inputs), 2e-2)


@pytest.mark.parametrize("channels", [32, 64])
@pytest.mark.parametrize("case", [ONE_TILE[5], SEVERAL_TILES[4]])
def test_heads_of_other_widths(channels, case):
    size, *geometry = case
    inputs = *make_inputs(size, geometry[0], channels=channels), *geometry
    assert_near(run(*inputs), expected(*inputs), 2e-5)


def test_largest_window_of_the_paper():
    qkv, *rest = make_inputs((1, 58), (56, 56), heads=1)
    inputs = qkv, *rest, (56, 56), (0, 28)
    prepared = triton_attention.prepare(*rest)
    out, _ = triton_attention.triton_forward(qkv, prepared, *inputs[3:])
    reference = reference_window_attention(
        *(x.double() for x in inputs[:3]), *inputs[3:], 0.0
    )
    torch.testing.assert_close(out.double(), reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", [ONE_TILE[0], SEVERAL_TILES[4]])
def test_gradients_are_the_same_in_every_run(case):
    size, *geometry = case
    inputs = *make_inputs(size, geometry[0], torch.float16), *geometry
    for first, second in zip(run(*inputs), run(*inputs), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("case", [ONE_TILE[1], SEVERAL_TILES[4]])
def test_tokens_without_a_direction_get_no_gradient_of_it(case):
    """1 / length of a zero query or key would overflow fp16."""
    size, *geometry = case
    qkv, *rest = make_inputs(size, geometry[0], torch.float16)
    q, k, _ = qkv.chunk(3, -1)
    q[:, 0] = 0
    k[:, :, 1] = 1e-6
    results = run(qkv, *rest, *geometry)
    assert all(x.isfinite().all() for x in results)
    assert not results[1][:, 0].any()
    assert not results[2][:, :, 1].any()
    assert_near(results, expected(qkv, *rest, *geometry), 2e-2)


@pytest.mark.parametrize("case", [ONE_TILE[3], ((9, 9), (9, 8), (0, 4))])
def test_nan_stays_in_its_window_and_picture(case):
    """On all sides of the seams of the shift, which the kernels do not part for it."""
    size, window, shift = case
    qkv, *rest = make_inputs(size, window, heads=1, batch=2)
    clean = run(qkv, *rest, window, shift)
    given = qkv.clone()
    given[1, size[0] - 1, size[1] - 1, -1] = torch.nan  # of a value
    y, x = (
        (torch.arange(n) - s) % (n + -n % w) // w
        for n, w, s in zip(size, window, shift, strict=True)
    )
    in_window = (y == y[-1])[:, None] & (x == x[-1])
    for name, before, after in zip("oqkv", clean, run(given, *rest, window, shift)):
        touched = ~after.isfinite().all(-1).cpu()
        assert touched[1, -1, -1] or name != "o"
        assert not touched[0].any() and not touched[1, ~in_window].any()
        torch.testing.assert_close(after[0], before[0])
        torch.testing.assert_close(after[1, ~in_window], before[1, ~in_window])


def test_bias_gradient_of_few_heads_at_a_time(monkeypatch):
    size, *geometry = SEVERAL_TILES[4]
    inputs = *make_inputs(size, geometry[0]), *geometry
    grad_table = run(*inputs)[4]
    monkeypatch.setattr(triton_attention, "SCRATCH_BYTES", 4 * 65**2)
    torch.testing.assert_close(run(*inputs)[4], grad_table)


def test_inputs_and_gradients_may_be_views():
    size, window, shift = ONE_TILE[5]
    qkv, table, scale = make_inputs(size, window, batch=2)
    views = qkv.transpose(1, 2).contiguous().transpose(1, 2), table.mT.contiguous().mT
    ones = torch.ones(2, *size, qkv.shape[-1] // 3).to(qkv)

    def grads(qkv, table, grad_out):
        leaves = [x.detach().requires_grad_() for x in (qkv, table, scale)]
        out = attend(*leaves, window, shift, "triton")
        return torch.autograd.grad(out, leaves, grad_out)

    expanded = grads(*views, ones[:1, :1, :1, :1].expand_as(ones))
    for grad, other in zip(expanded, grads(qkv, table, ones), strict=True):
        assert torch.equal(grad, other)


@pytest.mark.parametrize(
    ("qkv", "reason"),
    [
        (torch.zeros(1, 4, 4, 3 * 2 * 24), "channels per head, got 24"),
        (torch.zeros(1, 4, 4, 96, dtype=torch.float64), "got torch.float64"),
        (torch.zeros(1).expand(1, 2**14, 2**13, 96), r"2\*\*31 or more"),
    ],
)
def test_says_why_it_cannot_run(qkv, reason):
    table, scale = torch.zeros(2, 7, 7), torch.ones(2)
    with pytest.raises(RuntimeError, match=f"cannot run here: .*{reason}"):
        window_attention(qkv, table, scale, window=(4, 4), implementation="triton")


def test_says_that_triton_or_a_gpu_is_missing(monkeypatch):
    qkv, *_ = (x.cpu() for x in make_inputs((4, 4), (4, 4)))
    assert why_not_triton(qkv, 2, (4, 4)) is None
    assert "220 x 220 tokens is too large" in why_not_triton(qkv, 2, (220, 220))
    assert "1 x 30000 tokens is too large" in why_not_triton(qkv, 2, (1, 30000))
    clip = qkv[:, None]
    assert why_not_triton(clip, 2, (8, 24, 24)) is None
    assert "2 x 24000 x 1 tokens" in why_not_triton(clip, 2, (2, 24000, 1))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert "CUDA" in why_not_triton(qkv, 2, (4, 4))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "not installed" in why_not_triton(qkv, 2, (4, 4))


def test_images_and_clips_need_the_proof_of_their_own_kernels(monkeypatch):
    asked = []
    monkeypatch.setattr(dispatch, "_judge", lambda kernel, *_: asked.append(kernel))
    qkv, *_ = make_inputs((4, 4), (4, 4))
    why_not_triton(qkv, 2, (4, 4))
    why_not_triton(qkv[:, None], 2, (1, 4, 4))
    assert asked == ["window_attention", "window_attention_3d"]


def test_programs_that_share_windows_fill_the_processors_of_a_gpu(monkeypatch):
    properties = SimpleNamespace(multi_processor_count=132)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    device = torch.device("cuda:9")
    assert [triton_attention._parts(n, 12, device, 3) for n in (20, 100)] == [20, 33]


def test_auto_takes_what_can_where_the_kernels_failed(monkeypatch, logs):
    """One warning with the reason; the same features and gradients."""
    dispatch._warn_once.cache_clear()
    dispatch._log_once.cache_clear()
    leaves = [x.requires_grad_() for x in make_inputs((9, 9), (4, 4))]
    options = dict(window=(4, 4), shift=(2, 2))
    exact = window_attention(*leaves, **options, implementation="reference")
    logs.clear()

    monkeypatch.setattr(dispatch, "_judge", lambda *_: "its check failed: a crash")
    monkeypatch.setitem(dispatch.AUTO, leaves[0].device.type, "triton")
    for _ in range(2):
        out = window_attention(*leaves, **options)
        grads = torch.autograd.grad(out.sum(), leaves)
        with torch.no_grad():
            window_attention(*leaves, **options)
    torch.testing.assert_close(out, exact, rtol=1e-4, atol=1e-4)
    expected = torch.autograd.grad(exact.sum(), leaves)
    for grad, truth in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, truth, rtol=1e-3, atol=1e-3)
    (warning,) = (text for text in logs if "cannot run 'triton'" in text)
    assert "its check failed: a crash" in warning and "check_gpu.py" in warning
    assert [text.split(" runs ")[1] for text in logs if " runs '" in text] == [
        "'sdpa, backward in pieces'", "'sdpa'"
    ]  # fmt: skip

    with pytest.raises(RuntimeError, match="cannot run here: its check failed"):
        window_attention(*leaves, **options, implementation="triton")


def test_compiles_for_a_gpu_and_spills_few_registers(tmp_path):
    """Compilation is stricter than the interpreter, and needs no GPU."""
    script = Path(__file__).parents[2] / "benchmarks" / "attention"
    command = [sys.executable, script / "compile_kernels.py"]
    command += ["--window", "8", "16", "8x16x16", "--gpu", "90"]
    env = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    names = [line.split()[1] for line in done.stdout.splitlines() if " / " in line]
    large = ["forward", "query", "key", "bias"]
    assert names[1:] == ["forward", "window", *large, *large]


def test_hundreds_of_image_sizes_need_a_few_kernels():
    script = Path(__file__).parents[2] / "benchmarks" / "attention" / "count_kernels.py"
    command = [sys.executable, script, "--window", "16", "32", "--images", "1000"]
    command += ["--fit", "shrink", "divide", "--dtype", "bf16", "fp32", "--most", "16"]
    env = {**os.environ, "TRITON_INTERPRET": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if " 32 | " in line]
    assert [row[2] for row in rows] == ["shrink", "divide"] * 2
    assert all(int(row[3]) > 200 for row in rows)  # windows that occur
