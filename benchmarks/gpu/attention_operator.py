"""Time of the attention operator alone: 'base' at 1024 px, stage by stage, and clips.

The implementations of this project, then FlexAttention and the compiled reference.
"""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from itertools import product

import torch
from attention import Axes, call, make_inputs
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
Shape = tuple[int, Axes, int, Axes]  # batch, map, heads, window
CLIPS: list[Shape] = [
    (4, (8, 14, 14), 12, (8, 7, 7)),  # 'tiny' at 16 frames of 224 px, stage 3
    (1, (8, 40, 40), 16, (8, 20, 20)),  # as the paper's 'giant' at 320 px, stage 2
]


def plan(smoke: bool) -> dict[str, Shape]:
    """Cases by name, the default window first."""
    shapes: list[Shape] = []
    for window, batch, stage in product((16, 24, 32, 8), (1, 4), range(4)):
        side = 1024 // 4 // 2**stage
        window = min(window, side)
        shapes.append((batch, (side, side), HEADS[stage], (window, window)))
    if smoke:
        shapes = [(1, (4, 4), 1, (4, 4)), (1, (2, 3, 3), 1, (2, 2, 2))]
    found = {}
    for shape in shapes if smoke else shapes + CLIPS:
        batch, size, heads, window = shape
        of = " x ".join(map(str, window)) if len(window) == 3 else window[0]
        name = " x ".join(map(str, size))
        found[f"map {name}, {heads} heads, window {of}, batch {batch}"] = shape
    return found


def operator(
    name: str, size: Axes, window: Axes, shift: Axes, args: Namespace
) -> Callable[..., Tensor]:
    """What a contender does with qkv, table and scale."""
    if name == FLEX:
        region = regions(size, window, shift, torch.device(args.device))
        run = torch.compile(flex_window_attention, backend=backend(args), dynamic=False)
        return partial(run, window=window, shift=shift, region=region)
    if name == REFERENCE:
        run = torch.compile(call, backend=backend(args), dynamic=False)
        return partial(run, "reference", window=window, shift=shift)
    return partial(call, name, window=window, shift=shift)


def measure(case: Case, shape: Shape, args: Namespace) -> None:
    """One shifted block, without gradients and with all of them."""
    batch, size, heads, window = shape
    shift = tuple(0 if w == side else w // 2 for w, side in zip(window, size))
    dtype = torch.bfloat16 if args.device == "cuda" else torch.float32
    inputs = make_inputs(batch, size, heads, window, dtype, args.device)
    grad = torch.randn_like(inputs[0][..., : heads * CHANNELS])
    torch.compiler.reset()

    forwards, trainings = {}, {}
    for name in case.contenders():
        if name == FLEX and args.device == "cpu":
            case.skip(name, NEEDS_GPU)
            continue
        run = operator(name, size, window, shift, args)

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
    logits = batch * math.prod(size) * heads * math.prod(window)
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
            cases=[
                name
                for name, (batch, size, *_) in shapes.items()
                if batch == 1 and len(size) == 2
            ],
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
