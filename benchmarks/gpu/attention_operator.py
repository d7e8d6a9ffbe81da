"""Time of the attention operator alone, at the four stages of 'base' at 1024 px.

The implementations of this project, then FlexAttention and the compiled reference.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from itertools import product

import torch
from attention import Pair, call, make_inputs
from flex import flex_window_attention, regions
from measuring import take_turns
from record import Case, Table
from section import NEEDS_GPU, arguments, backend, open_record
from torch import Tensor

from mmswinv2.architectures import ARCHITECTURES

HEADS = ARCHITECTURES["base"].num_heads
CHANNELS = 32  # per head
FLEX, REFERENCE = "FlexAttention", "compiled reference"
QUANTITIES = [
    f"{mode}{unit}"
    for mode in ("", "with backward, ")
    for unit in ("ms", "host us", "1e9 logits/s", "GB/s")
]
Shape = tuple[int, int, int, int]  # batch, side of the map, heads, window


def plan(smoke: bool) -> dict[str, Shape]:
    """Cases by name, the default window first."""
    shapes: list[Shape] = [
        (batch, 1024 // 4 // 2**stage, HEADS[stage], window)
        for window, batch, stage in product((16, 24, 32, 8), (1, 4), range(4))
    ]
    found = {}
    for batch, side, heads, window in [(1, 4, 1, 4)] if smoke else shapes:
        window = min(window, side)
        name = f"map {side} x {side}, {heads} heads, window {window}, batch {batch}"
        found[name] = batch, side, heads, window
    return found


def operator(
    name: str, side: int, window: Pair, shift: Pair, args: Namespace
) -> Callable[..., Tensor]:
    """What a contender does with qkv, table and scale."""
    if name == FLEX:
        region = regions((side, side), window, shift, torch.device(args.device))
        run = torch.compile(flex_window_attention, backend=backend(args), dynamic=False)
        return partial(run, window=window, shift=shift, region=region)
    if name == REFERENCE:
        run = torch.compile(call, backend=backend(args), dynamic=False)
        return partial(run, "reference", window=window, shift=shift)
    return partial(call, name, window=window, shift=shift)


def measure(case: Case, shape: Shape, args: Namespace) -> None:
    """One shifted block, without gradients and with all of them."""
    batch, side, heads, w = shape
    window, shift = (w, w), (0 if w == side else w // 2,) * 2
    dtype = torch.bfloat16 if args.device == "cuda" else torch.float32
    inputs = make_inputs(batch, (side, side), heads, window, dtype, args.device)
    grad = torch.randn_like(inputs[0][..., : heads * CHANNELS])
    torch.compiler.reset()

    forwards, trainings = {}, {}
    for name in case.contenders():
        if name == FLEX and args.device == "cpu":
            case.skip(name, NEEDS_GPU)
            continue
        run = operator(name, side, window, shift, args)

        def forward(run: Callable = run) -> None:
            with torch.no_grad():
                run(*inputs)

        def training(run: Callable = run) -> None:
            torch.autograd.grad(run(*inputs), inputs, grad)

        with case.attempt(name):
            forward()
            forwards[name] = forward
            training()
            trainings[name] = training

    options = dict(rounds=1, seconds=1) if args.smoke else dict(rounds=20, seconds=3)
    logits = batch * side**2 * heads * w**2
    # Read qkv, write the output; then read both and the output's gradient, write one.
    once = inputs[0].nbytes / 3
    for mode, steps, moved in (
        ("", forwards, 4 * once),
        ("with backward, ", trainings, (4 + 8) * once),
    ):
        for name, times in take_turns(case, steps, args.device, **options).items():
            ms = times.wall if times.gpu is None else times.gpu
            case.put(name, f"{mode}ms", ms)
            case.put(name, f"{mode}1e9 logits/s", logits / ms / 1e6)
            case.put(name, f"{mode}GB/s", moved / ms / 1e6)
            if times.host is not None:
                case.put(name, f"{mode}host us", 1e3 * times.host)


def main() -> None:
    """Run the command line."""
    args = arguments()
    shapes = plan(args.smoke)
    note = (
        "One shifted block in bf16 (on CPU fp32). On a GPU ms are between CUDA events, "
        "with launches queued ahead and L2 emptied; host is the time until the call "
        "returns. GB/s count each input once and each output once."
    )
    tables = [
        Table(
            "Attention operator",
            note,
            cases=shapes,
            contenders=("triton", "sdpa"),
            quantities=QUANTITIES,
        ),
        Table(
            "Attention operator beside compiled ones",
            note,
            cases=[name for name, (batch, *_) in shapes.items() if batch == 1],
            contenders=("triton", FLEX, REFERENCE),
            quantities=QUANTITIES,
        ),
    ]
    record = open_record(args, tables)
    for table in tables:
        for case in table.pending():
            measure(case, shapes[case.name], args)
    record.finish()


if __name__ == "__main__":
    main()
