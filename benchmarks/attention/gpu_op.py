"""Check and time the attention operator alone on a GPU, in one call.

1. Output and all gradients of 'triton' and 'sdpa' against the fp64 reference, over
   types, windows, shifts and maps that the window does not divide.
2. Milliseconds forward and forward + backward at the four stages of an architecture,
   triton and sdpa interleaved, beside the least time that bytes and exponentials take.

Prints Markdown; where a cell fails, the error stands in it.
"""

import argparse
from collections.abc import Callable
from functools import partial
from itertools import product
from statistics import median

import torch
from torch import Tensor

from mmswinv2.ops.window_attention import window_attention

CONTENDERS = ("triton", "sdpa")
TYPES = (torch.bfloat16, torch.float16, torch.float32)
TOLERANCE = {torch.bfloat16: 3e-2, torch.float16: 1e-2, torch.float32: 1e-4}
# (map, window, shift): dividing, padded, wrapped and padded, rectangular, large
GRID = [
    ((32, 32), (8, 8), (4, 4)),
    ((50, 84), (16, 16), (8, 8)),
    ((25, 42), (12, 12), (0, 0)),
    ((49, 61), (24, 24), (12, 12)),
    ((30, 70), (14, 32), (7, 0)),
    ((60, 60), (56, 56), (0, 0)),
]
HEAD_CHANNELS = 32
STEPS = 20


def make_inputs(
    batch: int,
    size: tuple[int, int],
    heads: int,
    window: tuple[int, int],
    dtype: torch.dtype,
    device: torch.device,
) -> list[Tensor]:
    """Random qkv, table and scale that require gradients."""
    torch.manual_seed(0)
    qkv = torch.randn(batch, *size, 3 * heads * HEAD_CHANNELS, device=device)
    table = 16 * torch.rand(heads, 2 * window[0] - 1, 2 * window[1] - 1, device=device)
    scale = torch.linspace(5, 50, heads, device=device)
    return [x.requires_grad_() for x in (qkv.to(dtype), table, scale)]


@torch.no_grad()
def infer(name: str, inputs: list[Tensor], window: tuple, shift: tuple) -> Tensor:
    """Forward pass."""
    options = dict(window=window, shift=shift, implementation=name)
    return window_attention(*inputs, **options)


def train(
    name: str, inputs: list[Tensor], window: tuple, shift: tuple, grad: Tensor
) -> list[Tensor]:
    """Output and gradients of qkv, table and scale."""
    options = dict(window=window, shift=shift, implementation=name)
    out = window_attention(*inputs, **options)
    return [out.detach(), *torch.autograd.grad(out, inputs, grad.to(out.dtype))]


def largest_error(
    name: str, dtype: torch.dtype, case: tuple, device: torch.device
) -> float:
    """Largest relative error of output, grad of qkv, of table and of scale."""
    size, window, shift = case
    inputs = make_inputs(2, size, 3, window, dtype, device)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    grad = torch.randn_like(inputs[0][..., : 3 * HEAD_CHANNELS])
    results = train(name, inputs, window, shift, grad)
    expected = train("reference", exact, window, shift, grad)
    pairs = zip(results, expected)
    return max(((a - b).norm() / b.norm()).item() for a, b in pairs)


def milliseconds(steps: dict[str, Callable[[], object]]) -> dict[str, float | str]:
    """Median time of every contender; their steps take turns."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    failed: dict[str, str] = {}
    flush = torch.empty(2**28, dtype=torch.int8, device="cuda")  # beyond the L2 cache
    for turn in range(STEPS + 3):
        for name, step in steps.items():
            if name in failed:
                continue
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            flush.zero_()
            try:
                start.record()
                step()
                stop.record()
            except RuntimeError as error:
                failed[name] = type(error).__name__
                continue
            torch.cuda.synchronize()
            if turn >= 3:  # the first compile
                times[name].append(start.elapsed_time(stop))
    return failed | {name: median(t) for name, t in times.items() if t}


def least_milliseconds(
    qkv: Tensor, window: tuple[int, int], args: argparse.Namespace
) -> float:
    """Reading qkv and writing the output, or one exponential per logit."""
    B, H, W, C3 = qkv.shape
    moved = qkv.nbytes * 4 / 3
    logits = B * H * W * C3 // (3 * HEAD_CHANNELS) * window[0] * window[1]
    return 1e3 * max(moved / args.bandwidth, logits / args.exponentials)


def check(device: torch.device) -> bool:
    """Print the table of errors; True if all are below the tolerance of their type."""
    print("| type | map | window | shift |", " | ".join(CONTENDERS), "|")
    print("|", " | ".join(["---"] * (4 + len(CONTENDERS))), "|")
    good = True
    for dtype, case in product(TYPES, GRID):
        errors = [largest_error(name, dtype, case, device) for name in CONTENDERS]
        good &= errors[0] < TOLERANCE[dtype]
        cells = [str(dtype)[6:], *map(str, case), *(f"{e:.1e}" for e in errors)]
        print("|", " | ".join(cells), "|", flush=True)
    return good


def time(args: argparse.Namespace, device: torch.device) -> None:
    """Print the table of milliseconds of one shifted block per stage."""
    header = ["map", "heads", "window", "least", *CONTENDERS]
    header += [f"{name}, with backward" for name in CONTENDERS]
    print("|", " | ".join(header), "|")
    print("|", " | ".join(["---"] * len(header)), "|")
    for w, stage in product(args.window, range(4)):
        side, heads = args.image // 4 // 2**stage, args.heads * 2**stage
        window = (min(w, side),) * 2
        shift = (0 if w >= side else w // 2,) * 2
        inputs = make_inputs(
            args.batch, (side, side), heads, window, torch.bfloat16, device
        )
        grad = torch.randn_like(inputs[0][..., : heads * HEAD_CHANNELS])
        case = inputs, window, shift
        results = [
            milliseconds({name: partial(infer, name, *case) for name in CONTENDERS}),
            milliseconds(
                {name: partial(train, name, *case, grad) for name in CONTENDERS}
            ),
        ]
        cells = [f"{side} x {side}", str(heads), str(window[0])]
        cells.append(f"{least_milliseconds(inputs[0], window, args):.3f}")
        for result, name in product(results, CONTENDERS):
            value = result[name]
            cells.append(value if isinstance(value, str) else f"{value:.3f}")
        print("|", " | ".join(cells), "|", flush=True)


def main() -> None:
    """Check, then time; exit with an error if a result is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=int, default=1024, help="side in pixels")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--heads", type=int, default=4, help="of stage 1; base has 4")
    parser.add_argument("--window", type=int, nargs="+", default=[8, 16, 24, 32])
    parser.add_argument("--bandwidth", type=float, default=4.3e12, help="bytes/s")
    parser.add_argument(
        "--exponentials", type=float, default=3.7e12, help="per second; H200"
    )
    parser.add_argument("--check-only", action="store_true", help="on any device")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not args.check_only:
        parser.error("no GPU here: nothing to time; --check-only runs without one")
    if device.type == "cuda":
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    good = check(device)
    if not args.check_only:
        print(f"\n{args.image} x {args.image} pixels, batch {args.batch}, bf16, ms:\n")
        time(args, device)
    if not good:
        raise SystemExit("triton differs from the reference")


if __name__ == "__main__":
    main()
