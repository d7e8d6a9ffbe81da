"""The fused residual norm beside the plain modules: errors and time under autocast.

At the four stages of 'base' at 1024 px, batch 1, with stochastic depth.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import torch
from measuring import take_turns
from record import Case, Table
from section import arguments, open_record
from torch import Tensor
from torch.nn.functional import layer_norm

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.ops.residual_norm import residual_norm

FUSED, PLAIN = "fused", "plain modules"
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
QUANTITIES = ("relative error", "ms", "with backward, ms", "host us", "GB/s")
ALLOWED = {"bf16": 2e-2, "fp16": 2e-3}
EPS = 1e-5


def plan(smoke: bool) -> dict[str, tuple[int, int, str]]:
    """Side of the map, channels and type by name."""
    width = ARCHITECTURES["base"].embed_dims
    stages = [(4, 96)] if smoke else [(256 // 2**i, width * 2**i) for i in range(4)]
    return {
        f"map {side} x {side}, {channels} channels, {dtype}": (side, channels, dtype)
        for dtype in DTYPES
        for side, channels in stages
    }


def fused(
    x: Tensor, branch: Tensor, weight: Tensor, bias: Tensor, keep: Tensor
) -> list:
    """One kernel: the sum, and its copy for the next product."""
    return [*residual_norm(x, branch, weight, bias, EPS, keep, branch.dtype)]


def plain(
    x: Tensor, branch: Tensor, weight: Tensor, bias: Tensor, keep: Tensor
) -> list:
    """What autocast makes of norm, stochastic depth, sum and the next cast."""
    normed = layer_norm(branch.float(), weight.shape, weight, bias, EPS)
    y = x + normed * keep[:, None, None, None]
    return [y, y.to(branch.dtype)]


def measure(case: Case, side: int, channels: int, dtype: str, args: Namespace) -> None:
    """Errors against fp64, then time."""
    torch.manual_seed(0)
    kind, device = DTYPES[dtype], args.device
    x = torch.randn(1, side, side, channels, device=device)
    branch = torch.randn_like(x).to(kind)
    weight, bias = torch.randn(2, channels, device=device)
    keep = torch.full((1,), 1.25, device=device)
    leaves = [t.requires_grad_() for t in (x, branch, weight, bias)]
    grads = [torch.randn_like(x), torch.randn_like(branch)]
    exact = [t.detach().double().requires_grad_() for t in leaves]
    normed = layer_norm(exact[1], (channels,), *exact[2:], EPS)
    truth = exact[0] + normed * keep.double()[:, None, None, None]
    whole = grads[0].double() + grads[1].double()  # of the sum, which both copies are
    truth = [truth, truth, *torch.autograd.grad(truth, exact, whole)]

    forwards, trainings = {}, {}
    for name, run in ((FUSED, fused), (PLAIN, plain)):

        def forward(run: Callable = run) -> None:
            with torch.no_grad():
                run(*leaves, keep)

        def training(run: Callable = run) -> None:
            torch.autograd.grad(run(*leaves, keep), leaves, grads)

        with case.attempt(name):
            outs = run(*leaves, keep)
            found = [*outs, *torch.autograd.grad(outs, leaves, grads)]
            errors = ((a - b).norm() / b.norm() for a, b in zip(found, truth))
            error = max(error.item() for error in errors)
            case.put(name, "relative error", error, wrong=not error < ALLOWED[dtype])
            forward()
            forwards[name], trainings[name] = forward, training

    options = dict(rounds=1, seconds=1) if args.smoke else dict(rounds=20, seconds=2)
    moved = x.numel() * (4 + 2 + 4 + 2)  # x, branch, the sum, its copy
    for quantity, steps in (("ms", forwards), ("with backward, ms", trainings)):
        for name, times in take_turns(case, steps, device, **options).items():
            ms = times.wall if times.gpu is None else times.gpu
            case.put(name, quantity, ms)
            if quantity == "ms":
                case.put(name, "GB/s", moved / ms / 1e6)
                if times.host is not None:
                    case.put(name, "host us", 1e3 * times.host)


def main() -> None:
    """Run the command line."""
    args = arguments()
    shapes = plan(args.smoke)
    table = Table(
        "Residual norm",
        "Main branch in fp32, branch and copy in 16 bits. The error is the largest of "
        "outputs and gradients. GB/s count what one kernel reads and writes.",
        cases=shapes,
        contenders=(FUSED, PLAIN),
        quantities=QUANTITIES,
        judged=True,
    )
    record = open_record(args, [table])
    for case in table.pending():
        measure(case, *shapes[case.name], args)
    record.finish()


if __name__ == "__main__":
    main()
