"""Blocks with the fused residual norm against blocks of plain modules."""

import pytest
import torch
from torch import nn
from torch.nn.modules import module as torch_module

from mmswinv2.planning import saved_tensors

pytest.importorskip("triton", "3.2", reason="needs triton 3.2 or newer")

from mmswinv2.models import SwinTransformerV2, blocks, res_post_norm
from mmswinv2.models.attention import WindowAttention
from mmswinv2.models.blocks import Mlp

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

# 5 blocks, an extra norm behind the second and fourth of the last stage
SIZES = dict(embed_dims=16, depths=(1, 4), num_heads=(1, 2), window_size=4)
SIZES |= dict(out_indices=(0, 1), drop_path_rate=0.5, extra_norm_every_n_blocks=2)
BLOCKS, IMAGE = 5, (3, 3, 40, 24)
fp16, bf16, fp32 = torch.float16, torch.bfloat16, torch.float32


@pytest.fixture
def model(trained_like):
    return trained_like(SwinTransformerV2(**SIZES)).train().to(DEVICE)


@pytest.fixture
def calls(monkeypatch):
    """Fused calls, each with the dtype of its copy; they run from here on."""
    calls = []

    def residual_norm(*args):
        outs = fused(*args)
        calls.append(outs[1].dtype)
        return outs

    fused = res_post_norm.residual_norm
    monkeypatch.setattr(res_post_norm, "residual_norm", residual_norm)
    monkeypatch.setenv("MMSWINV2_RESIDUAL_NORM", "triton")
    return calls


def train(model, low_dtype=None):
    """Maps and gradients of an iteration, under CUDA's autocast on any device."""
    model.zero_grad()
    torch.manual_seed(0)
    image = torch.rand(IMAGE).to(DEVICE)
    torch.manual_seed(1)  # of stochastic depth
    autocast = torch.autocast(DEVICE, low_dtype, enabled=low_dtype is not None)
    with saved_tensors.CudaAutocast(), autocast:
        maps = model(image)
    sum(out.float().square().mean() for out in maps).backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    return [x.detach().clone() for x in (*maps, *grads)]


def difference(found, expected):
    return max(
        ((a.float() - b.float()).norm() / b.float().norm().clamp(min=1e-6)).item()
        for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("low_dtype", [None, fp16, bf16], ids=str)
def test_training_is_that_of_plain_modules(low_dtype, model, calls, monkeypatch):
    """Stochastic depth drops the same branches; no farther from fp32 than theirs."""
    fused = train(model, low_dtype)
    assert len(calls) == 2 * BLOCKS
    monkeypatch.setenv("MMSWINV2_RESIDUAL_NORM", "plain")
    plain, exact = train(model, low_dtype), train(model)
    assert len(calls) == 2 * BLOCKS
    assert [x.dtype for x in fused] == [x.dtype for x in plain]
    assert difference(fused, exact) < 1.5 * difference(plain, exact) + 2e-5


def test_products_take_the_copy(model, calls, monkeypatch):
    """But the first of a stage, and the first behind an extra norm."""
    taken = {WindowAttention: [], Mlp: []}
    for kind, dtypes in taken.items():

        def forward(self, x, *args, real=kind.forward, dtypes=dtypes, **kwargs):
            dtypes.append(x.dtype)
            return real(self, x, *args, **kwargs)

        monkeypatch.setattr(kind, "forward", forward)
    train(model, bf16)
    assert taken[Mlp] == BLOCKS * [bf16]
    assert taken[WindowAttention] == [fp32, fp32, bf16, fp32, bf16]
    last = [fp32, bf16, bf16, bf16, fp32]  # no product comes behind the last
    assert calls == [dtype for dtypes in zip(taken[Mlp], last) for dtype in dtypes]


@pytest.mark.parametrize("low_dtype", [None, fp16], ids=str)
@pytest.mark.parametrize("checkpoint", ["block", "mlp"])
def test_recomputation_changes_no_bit(checkpoint, low_dtype, model, calls):
    expected = train(model, low_dtype)
    for stage in model.layers:
        stage.with_cp, stage.checkpoint = True, checkpoint
    found = train(model, low_dtype)
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)
    again = len(calls) - 2 * (2 * BLOCKS)  # whole blocks until all is there again
    assert again >= BLOCKS if checkpoint == "block" else again == 0


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_stages(frozen, trained_like, calls, monkeypatch):
    model = SwinTransformerV2(**SIZES, frozen_stages=frozen)
    model = trained_like(model).train().to(DEVICE)
    if frozen == 2:
        with torch.no_grad():
            found = model(torch.rand(IMAGE).to(DEVICE))
        assert len(calls) == 2 * BLOCKS and not found[0].requires_grad
        return
    found = train(model)
    monkeypatch.setenv("MMSWINV2_RESIDUAL_NORM", "plain")
    assert difference(found, train(model)) < 2e-5


def test_inference_is_that_of_plain_modules(model, calls, monkeypatch):
    model.eval()
    image = torch.rand(IMAGE).to(DEVICE)
    with torch.no_grad():
        fused = model(image)
        assert len(calls) == 2 * BLOCKS
        monkeypatch.setenv("MMSWINV2_RESIDUAL_NORM", "plain")
        assert difference(fused, model(image)) < 1e-5


# Who watches


def test_a_hook_sees_what_the_norm_gives(model, calls):
    seen = []
    norm = model.layers[1].blocks[2].norm2
    norm.register_forward_hook(lambda _, args, out: seen.append((args[0], out)))
    train(model, fp16)
    assert len(calls) == 2 * BLOCKS - 1
    ((branch, out),) = seen
    expected = nn.functional.layer_norm(
        branch.float(), norm.normalized_shape, norm.weight, norm.bias, norm.eps
    )
    torch.testing.assert_close(out, expected)


def test_a_hook_on_stochastic_depth_is_called(model, calls):
    drop_path = model.layers[1].blocks[1].drop_path
    seen = []
    drop_path.register_forward_hook(lambda _, args, out: seen.append(out))
    train(model)
    assert len(calls) == 2 * BLOCKS - 2 and len(seen) == 2


def test_hooks_of_all_modules_see_all_norms(model, calls):
    seen = []
    handle = torch_module.register_module_forward_hook(
        lambda module, *_: seen.append(module)
    )
    try:
        train(model)
    finally:
        handle.remove()
    norms = [m for m in model.modules() if isinstance(m, nn.LayerNorm)]
    assert not calls and set(norms) <= set(seen)


def test_who_watches_a_part_gets_maps_in_full(model, calls):
    """A tensor of a block, and what an MLP or attention is given, in fp32."""
    seen = []
    stage = model.layers[1]
    parts = stage.blocks[1], stage.blocks[1].mlp, stage.blocks[2].attn
    for part in parts:
        part.register_forward_hook(
            lambda _, args, out: seen.append((args[0].dtype, type(out)))
        )
    fused = train(model, fp16)
    assert seen == 3 * [(fp32, torch.Tensor)]
    for part in parts:
        part._forward_hooks.clear()
    assert difference(fused, train(model, fp16)) < 5e-3


def test_what_a_block_gives_may_be_changed_by_a_hook(model, calls):
    """No copy of the old map goes on beside the new one."""
    handle = model.layers[1].blocks[0].register_forward_hook(lambda _, __, out: 0 * out)
    found = train(model, fp16)
    handle.remove()
    model.layers[1].blocks[1].register_forward_pre_hook(
        lambda _, args: (0 * args[0], *args[1:])
    )
    assert difference(found, train(model, fp16)) == 0


# Where plain modules stay


@pytest.fixture
def stage():
    return blocks.SwinStage(
        16,
        num_heads=1,
        drop_path_rates=[0.0, 0.0],
        downsample=False,
        window=(4, 4),
        pretrained_window=(4, 4),
        window_fit="shrink",
        with_cp=False,
        extra_norm_every_n_blocks=0,
        position_bias="log_cpb",
        mlp_ratio=2.0,
        drop_rate=0.0,
    ).to(DEVICE)


def test_compiled_and_traced_blocks_keep_plain_modules(stage, calls):
    torch.compiler.reset()
    x = torch.rand(1, 4, 4, 16).to(DEVICE)
    with torch.autocast(DEVICE, bf16):
        torch.compile(stage, backend="eager", fullgraph=True)(x)
    torch.jit.trace(stage, x, check_trace=False)
    assert not calls


def test_a_sum_of_another_dtype_stays_plain(stage, calls):
    """Of a bf16 main branch and the fp32 norm of autocast."""
    x = torch.randn(1, 4, 4, 16).to(DEVICE, bf16)
    with saved_tensors.CudaAutocast(), torch.autocast(DEVICE, bf16):
        assert stage(x).dtype == fp32
    assert calls == [bf16, bf16, fp32]  # all but the first


def test_on_a_cpu_plain_modules_are_the_default(model, calls, monkeypatch):
    monkeypatch.delenv("MMSWINV2_RESIDUAL_NORM")
    model.cpu()(torch.rand(1, 3, 32, 32))
    assert not calls
