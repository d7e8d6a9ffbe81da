"""Attention and backbones in fp16 and bf16, against fp64.

Values lie up to the limit of fp16, queries and keys are near zero or huge, maps are odd
and padded. How far a result may be from fp64 is found by experiment: rounding errors of
the dtype are put into the fp64 computation where the other one rounds, and six times
of what they do is allowed. One picture of a batch may have a pixel that is not finite;
the others must not change by a bit.
"""
# B batch, H W map, T = H * W tokens, n heads, d head channels, u unit of rounding

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from unittest.mock import patch

import torch
from outcomes import Kind, Outcome, refusal
from torch import Tensor, nn

from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.blocks import SwinBlock
from mmswinv2.models.window_fit import fit_axis
from mmswinv2.ops.window_attention import window_attention
from mmswinv2.ops.window_attention.windows import unit_length

COUNT = 200
LIMIT = 6e4  # of fp16, which ends at 65504
MARGIN = 6  # of an error over what simulated rounding does; 1 is usual
FP32 = 2**-24
SMALL_SIZES = range(1, 19)
Named = dict[str, Tensor]
Errors = Callable[[Tensor], Tensor]


def outcomes(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """Attention and backbones in turns."""
    for number in range(count):
        random = Random(f"{seed}, {number}")
        choose, run = ((_attention_case, _attend), (_backbone_case, _encode))[
            number % 2
        ]
        case = choose(random)
        text = f"{number} of seed {seed}: {run.__name__[1:]} {case}"
        torch.manual_seed(random.getrandbits(32))
        try:
            faults = run(**case)
        except Exception as error:
            yield refusal(error, text)
        else:
            kind = Kind.SILENT if faults else Kind.RIGHT
            yield Outcome(kind, text, "; ".join(faults))


def _attention_case(random: Random) -> dict:
    window = [random.choice([1, 2, 3, 5, 8]) for _ in "hw"]
    size = [random.choice(SMALL_SIZES) for _ in "HW"]
    fits = [
        fit_axis(s, w, shifted=random.random() < 0.7, fit="pad")
        for s, w in zip(size, window)
    ]
    training = random.random() < 0.5
    return dict(
        implementation=random.choice(["chunked", "sdpa", "reference"]),
        dtype=random.choice(["float16", "bfloat16"]),
        size=size,
        window=[window for window, _ in fits],
        shift=[shift for _, shift in fits],
        heads=random.choice([1, 2, 3]),
        channels=random.choice([4, 16, 32]),
        qk=random.choice([0, 1e-6, 1e-3, 1, 1e3, 1 if training else LIMIT]),
        v=random.choice([1e-3, 1, 100 if training else LIMIT]),
        scale=random.choice([0.01, 5, 30, 100]),
        training=training,
        not_finite=random.choice([None, math.nan, math.inf]),
    )


def _attend(
    *,
    implementation: str,
    dtype: str,
    size: list[int],
    window: list[int],
    shift: list[int],
    heads: int,
    channels: int,
    qk: float,
    v: float,
    scale: float,
    training: bool,
    not_finite: float | None,
) -> list[str]:
    kind = getattr(torch, dtype)
    q_k_v = torch.randn(3, 2, *size, heads * channels)
    q_k_v *= torch.tensor([qk, qk, v]).view(3, 1, 1, 1, 1)
    q_k_v[:2, 0, 0, 0] = 0  # a token without a direction
    qkv = torch.cat([*q_k_v.clamp(-LIMIT, LIMIT)], -1).to(kind)
    table = 16 * torch.rand(heads, 2 * window[0] - 1, 2 * window[1] - 1)
    scales = torch.full((heads,), float(scale))
    grad = torch.randn(2, *size, heads * channels).to(kind)
    geometry = dict(window=tuple(window), shift=tuple(shift))

    def differentiate(attend: Callable[..., Tensor], *inputs: Tensor) -> Named:
        """Output and, in training, gradients by name."""
        inputs = [x.detach().requires_grad_(training) for x in inputs]
        out = attend(*inputs, **geometry)
        results = dict(out=out.detach())
        if training:
            grads = torch.autograd.grad(out, inputs, grad.to(out.dtype))
            results |= zip(("q", "k", "v"), grads[0].chunk(3, -1))
            results |= dict(table=grads[1], scale=grads[2])
        return results

    def ours(qkv: Tensor) -> Named:
        def attend(*inputs: Tensor, **geometry: tuple[int, int]) -> Tensor:
            return window_attention(*inputs, **geometry, implementation=implementation)

        return differentiate(attend, qkv, table, scales)

    def exact(errors: Errors | None) -> Named:
        def attend(*inputs: Tensor, **geometry: tuple[int, int]) -> Tensor:
            return _dense_attention(*inputs, **geometry, errors=errors)

        exact_inputs = (x.double() for x in (qkv, table, scales))
        return differentiate(attend, *exact_inputs)

    given = ours(qkv)
    tokens = grad[..., 0].numel()
    if implementation == "sdpa":  # rounds queries, keys, bias and weights
        faults = _compare(given, exact, kind, tokens)
    else:  # the output alone
        faults = _compare(given, exact, kind, tokens, [_random(8 * FP32)] * 3)
    if not_finite is not None:
        spoilt = qkv.clone()
        spoilt[1, -1, -1, -1] = not_finite
        faults += _spread(given["out"], ours(spoilt)["out"], 1)
    return faults


def _dense_attention(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    *,
    window: tuple[int, int],
    shift: tuple[int, int],
    errors: Errors | None,
) -> Tensor:
    """Attention over all pairs of tokens of a map that see each other.

    It knows neither padding nor windows as places, so that neither can leak. Errors are
    made where 16-bit attention rounds.
    """
    H, W = qkv.shape[1:3]
    y, x = torch.arange(H).repeat_interleave(W), torch.arange(W).repeat(H)  # (T,)
    seen = torch.ones(H * W, H * W, dtype=torch.bool)
    for token, length, w, s in zip((y, x), (H, W), window, shift):
        padded = length + -length % w
        for place in ((token - s) % padded // w, token < s):
            seen &= place[:, None] == place[None]

    def offsets(token: Tensor, w: int) -> Tensor:
        return (token[:, None] - token[None] + w - 1).clamp(0, 2 * w - 2)

    qkv = qkv.flatten(1, 2).unflatten(-1, (3, len(scale), -1))
    q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, n, T, d) each
    q, k = (_disturbed(unit_length(part), errors) for part in (q, k))
    bias = table[:, offsets(y, window[0]), offsets(x, window[1])]  # (n, T, T)
    bias = 8 + _disturbed(bias - 8, errors)  # softmax ignores a constant
    logits = scale[:, None, None] * (q @ k.mT) + bias
    weights = _disturbed(logits.masked_fill(~seen, -math.inf).softmax(-1), errors)
    out = (weights @ v).transpose(1, 2).flatten(-2)
    return out.unflatten(1, (H, W))


def _backbone_case(random: Random) -> dict:
    dims = random.choice([16, 32])
    depths = random.choice([(2,), (1, 2), (2, 2)])
    return dict(
        options=dict(
            embed_dims=dims,
            depths=depths,
            num_heads=[dims // 16 * 2**i for i in range(len(depths))],
            window_size=random.choice([2, 3, 5, (4, 7), 8]),
            window_fit=random.choice(["shrink", "pad", "divide"]),
            position_bias=random.choice(["log_cpb", "log_cpb", "linear_cpb", "table"]),
            patch_norm=random.random() < 0.8,
            drop_path_rate=0.0,
            out_indices=tuple(range(len(depths))),
        ),
        attention=random.choice(["chunked", "sdpa", "reference", "auto"]),
        dtype=random.choice(["float16", "bfloat16"]),
        autocast=random.random() < 0.5,
        pixels=[random.randint(1, 75) for _ in "HW"],
        magnitude=random.choice([1e-3, 1, 255, LIMIT]),
        factors={
            "qkv.weight": random.choice([1e-6, 1e-3, 1, 300]),
            "proj.weight": random.choice([1e-3, 1, 10]),
            "fc1.weight": random.choice([1e-2, 1, 30]),
            "fc2.weight": random.choice([1e-3, 1, 10]),
        },
        logit_scale=random.choice([-3.0, math.log(10), 9.0]),  # clamped at ln 100
        training=random.random() < 0.5,
        not_finite=random.choice([None, math.nan, math.inf]),
    )


def _encode(
    *,
    options: dict,
    attention: str,
    dtype: str,
    autocast: bool,
    pixels: list[int],
    magnitude: float,
    factors: dict[str, float],
    logit_scale: float,
    training: bool,
    not_finite: float | None,
) -> list[str]:
    kind = getattr(torch, dtype)
    model = SwinTransformerV2(attention=attention, **options).train(training)
    _randomise(model, factors, logit_scale)
    image = magnitude * torch.rand(2, 3, *pixels)
    if not options["patch_norm"]:
        image /= magnitude  # nothing else would bring it to the size of the norms
    stem = model.patch_embed.proj.weight.data
    stem *= min(1, LIMIT / 2 / (image.max() * stem.abs().flatten(1).sum(1).max()))
    if not autocast:
        model, image = model.to(kind), image.to(kind)
    truth = SwinTransformerV2(attention="reference", **options).train(training).double()
    truth.load_state_dict(model.state_dict())
    for stage, other in zip(truth.layers, model.layers):
        stage.pretrained_window = other.pretrained_window
    grads = None

    def differentiate(model: nn.Module, image: Tensor, low: bool) -> Named:
        nonlocal grads
        image = image.detach().requires_grad_(training)
        with torch.autocast("cpu", kind, enabled=low):
            outs = model(image)
        results = {f"map {i}": out.detach() for i, out in enumerate(outs)}
        if training:
            grads = grads or [torch.randn_like(out) for out in outs]
            loss = sum((o.double() * g.double()).sum() for o, g in zip(outs, grads))
            names, parameters = zip(*model.named_parameters())
            found = torch.autograd.grad(loss, (image, *parameters))
            results |= {f"gradient of {n}": g for n, g in zip(("image", *names), found)}
        return results

    def ours(image: Tensor) -> Named:
        return differentiate(model, image, autocast)

    def exact(errors: Errors | None) -> Named:
        with _inexact(truth, errors, kind):
            return differentiate(truth, image.double(), False)

    given = ours(image)
    faults = _compare(given, exact, kind, given["map 0"][:, 0].numel())
    if not_finite is not None:
        spoilt = image.clone()
        spoilt[1, 0, pixels[0] // 2, pixels[1] // 2] = not_finite
        again = ours(spoilt)
        for name in given:
            if name.startswith("map"):
                faults += _spread(given[name], again[name], 1, name)
    return faults


def _randomise(model: nn.Module, factors: dict[str, float], logit_scale: float) -> None:
    """Weights that keep the size of what they are given, times a factor of the case."""
    for name, parameter in model.named_parameters():
        value = torch.randn(parameter.shape)
        if "logit_scale" in name:
            value = logit_scale + 0.1 * value
        elif "norm" in name and name.endswith("weight"):
            value = 1 + 0.2 * value
        elif parameter.dim() < 2:
            value = 0.1 * value
        else:
            value /= math.sqrt(value[0].numel())
        for part, factor in factors.items():
            if name.endswith(f"attn.{part}") or name.endswith(f"mlp.{part}"):
                value = factor * value
        parameter.data.copy_(value)


@contextlib.contextmanager
def _inexact(
    model: nn.Module, errors: Errors | None, dtype: torch.dtype
) -> Iterator[None]:
    """Errors in weights, in what layers give and in its gradients, within."""

    def disturb(module: nn.Module, args: tuple, out: Tensor) -> Tensor:
        if out.isfinite().all() and out.abs().max() > torch.finfo(dtype).max / 2:
            raise AssertionError(f"{module} is out of range: {out.abs().max():g}")
        return _disturbed(out, errors)

    def attend(qkv: Tensor, table: Tensor, *args: object, **kwargs: object) -> Tensor:
        table = 8 + _disturbed(table - 8, errors)
        qkv = disturb(model, (), qkv)
        return _disturbed(window_attention(qkv, table, *args, **kwargs), errors)

    layers = [m for m in model.modules() if not [*m.children()]]
    layers += [m for m in model.modules() if isinstance(m, SwinBlock)]
    handles = [layer.register_forward_hook(disturb) for layer in layers]
    kept = {name: p.data for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.data = _disturbed(parameter.data, errors)
    try:
        with patch("mmswinv2.models.attention.window_attention", attend):
            yield
    finally:
        for handle in handles:
            handle.remove()
        for name, parameter in model.named_parameters():
            parameter.data = kept[name]


def _rounding(dtype: torch.dtype) -> Errors:
    return lambda x: x.to(dtype).to(x.dtype)


def _random(size: float) -> Errors:
    return lambda x: x * (1 + size * (2 * torch.rand_like(x) - 1))


def _disturbed(x: Tensor, errors: Errors | None) -> Tensor:
    """With errors, and later its gradient, too."""
    if errors is None:
        return x
    exact = x.detach()
    y = x + (errors(exact) - exact)
    if y.requires_grad:
        y.register_hook(errors)
    return y


def _compare(
    given: Named,
    exact: Callable[[Errors | None], Named],
    dtype: torch.dtype,
    tokens: int,
    usual: list[Errors] | None = None,
) -> list[str]:
    """What of the results is further from fp64 than rounding explains.

    Args:
        given (dict): Results by name.
        exact (Callable): Gives the same in fp64, with errors.
        dtype (torch.dtype): Of maps.
        tokens (int): Tokens of a batch: a gradient is a sum over them, and each of its
            terms may underflow.
        usual (list, optional): Errors that are made, if not those of the dtype.
    """
    limits = torch.finfo(dtype)
    unit = limits.eps / 2
    usual = usual or [_rounding(dtype), _random(unit), _random(unit)]
    underflow = limits.smallest_normal * limits.eps * tokens
    truth, *others = map(exact, (None, *usual))
    faults = []
    for name, value in truth.items():
        fits = value.abs() < limits.max / 2
        value = value[fits]
        error = (given[name][fits].double() - value).norm()
        moved = max((other[name][fits] - value).norm() for other in others)
        allowed = MARGIN * moved + 2 * unit * value.norm()
        allowed += underflow * math.sqrt(value.numel())
        if not error <= allowed:  # NaN is a fault, too
            faults.append(
                f"{name}: off by {error:.3g} of {value.norm():.3g}, allowed "
                f"{allowed:.3g}"
            )
    return faults


def _spread(
    before: Tensor, after: Tensor, picture: int, name: str = "output"
) -> list[str]:
    """Whether a picture that is not finite shows, and changes no other."""
    faults = []
    if after[picture].isfinite().all():
        faults.append(f"{name}: a number that is not finite got lost")
    others = [i for i in range(len(before)) if i != picture]
    if not torch.equal(before[others], after[others]):
        faults.append(f"{name}: a picture changes with another one")
    return faults
