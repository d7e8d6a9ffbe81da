"""Output and all gradients of the operator against the fp64 reference, in the corners.

Types, windows, shifts, maps that the window does not divide, head widths, memory
layouts, values that overflow or are no numbers, and what must repeat bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from attention import Axes, make_inputs, train
from record import Case, Table
from section import NEEDS_GPU, arguments, open_record
from torch import Tensor

CONTENDERS = ("triton", "sdpa", "chunked")
TOLERANCE = {torch.bfloat16: 5e-2, torch.float16: 1e-2, torch.float32: 1e-4}
# The gradient of a head's scale sums terms of both signs, most of which cancel.
SCALE_TOLERANCE = 4  # times the others'
ERROR, SCALE_ERROR = "error", "scale"
SHORT = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
LARGE_GRADIENT = 6e4  # fp16 ends at 65504


@dataclass(frozen=True)
class Inputs:
    """What the operator gets.

    Attributes:
        size (tuple[int, ...]): Map in tokens, of an image or a clip.
        window (tuple[int, ...]): In tokens.
        shift (tuple[int, ...]): In tokens.
        batch (int): Maps.
        heads (int): Attention heads.
        channels (int): Per head.
        largest_scale (float): Logit scale of the last head.
        layout (str): 'dense', 'transposed' or 'unaligned', of qkv and the gradient.
        content (str): 'random', 'nan' (one token) or 'zeros' (rows of q, columns of k).
        gradient (float, optional): Size of all gradients, of random sign; else random.
    """

    size: Axes
    window: Axes
    shift: Axes
    batch: int = 2
    heads: int = 3
    channels: int = 32
    largest_scale: float = 50.0
    layout: str = "dense"
    content: str = "random"
    gradient: float | None = None

    def make(self, dtype: torch.dtype, device: str) -> tuple[list[Tensor], Tensor]:
        """Qkv, table and scale, which require gradients, and the output's gradient."""
        options = dict(channels=self.channels, largest_scale=self.largest_scale)
        sizes = self.batch, self.size, self.heads, self.window
        qkv, *rest = make_inputs(*sizes, dtype, device, **options)
        qkv = qkv.detach()
        q, k, _ = qkv.chunk(3, -1)
        if self.content == "nan":
            qkv[0, 0, 0] = torch.nan
        if self.content == "zeros":
            q[:, 0] = 0
            k[:, :, -1] = 1e-6
        grad = torch.randn_like(q)
        if self.gradient:
            grad = grad.sign() * self.gradient
        return [self._laid_out(qkv).requires_grad_(), *rest], self._laid_out(grad)

    def _laid_out(self, x: Tensor) -> Tensor:
        if self.layout == "transposed":
            return x.transpose(1, 2).contiguous().transpose(1, 2)
        if self.layout == "unaligned":  # by one number
            return x.new_empty(x.numel() + 1)[1:].view(x.shape).copy_(x)
        return x


def relative_errors(
    results: list[Tensor], exact: list[Tensor], overflows: bool
) -> list[float]:
    """Of output, grad of qkv, of table and of scale, over finite numbers.

    Raises:
        ValueError: If a result has another shape than the exact one or, unless it may
            overflow, is no number where that is one, or the reverse.
    """
    errors = []
    for result, expected in zip(results, exact, strict=True):
        if result.shape != expected.shape:
            raise ValueError(
                f"shape {tuple(result.shape)}, not {tuple(expected.shape)}"
            )
        if not overflows and not torch.equal(result.isnan(), expected.isnan()):
            raise ValueError("NaN in other places than the reference's")
        finite = result.isfinite() & expected.isfinite()
        result, expected = result[finite].double(), expected[finite].double()
        # An exact gradient may be zero everywhere: then the error counts as it is.
        size = expected.norm() or max(len(expected), 1) ** 0.5
        errors.append(float((result - expected).norm() / size))
    return errors


Found = dict[str, float]


def compare(name: str, inputs: Inputs, dtype: torch.dtype, device: str) -> Found:
    """Relative errors: the largest, and that of the scale's gradient."""
    leaves, grad = inputs.make(dtype, device)
    exact = [x.detach().double().requires_grad_() for x in leaves]
    geometry = inputs.window, inputs.shift
    expected = train("reference", exact, *geometry, grad)
    results = train(name, leaves, *geometry, grad)
    overflows = inputs.gradient is not None
    *errors, of_scale = relative_errors(results, expected, overflows)
    return {ERROR: max(errors), SCALE_ERROR: of_scale}


def overflow(name: str, inputs: Inputs, dtype: torch.dtype, device: str) -> Found:
    """Share of gradients of qkv that are not finite where the exact ones fit."""
    leaves, grad = inputs.make(dtype, device)
    exact = [x.detach().double().requires_grad_() for x in leaves]
    geometry = inputs.window, inputs.shift
    fits = train("reference", exact, *geometry, grad)[1].to(dtype).isfinite()
    lost = ~train(name, leaves, *geometry, grad)[1].isfinite()
    return {ERROR: float(lost[fits].double().mean())}


def repeat(name: str, inputs: Inputs, dtype: torch.dtype, device: str) -> Found:
    """How many numbers differ between two runs."""
    leaves, grad = inputs.make(dtype, device)
    runs = [train(name, leaves, inputs.window, inputs.shift, grad) for _ in range(2)]
    return differing(*runs)


def replay(name: str, inputs: Inputs, dtype: torch.dtype, device: str) -> Found:
    """How many numbers of a replayed CUDA graph differ from those of a plain run.

    The graph is of forward and backward; what it reads is changed before the replay.
    """
    leaves, grad = inputs.make(dtype, device)
    step = lambda: train(name, leaves, inputs.window, inputs.shift, grad)  # noqa: E731
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = step()
    with torch.no_grad():
        leaves[0].copy_(leaves[0].flip(1))
    graph.replay()
    return differing([x.clone() for x in results], step())


def differing(first: list[Tensor], second: list[Tensor]) -> Found:
    """Number of values that are not equal."""
    return {ERROR: float(sum((a != b).sum() for a, b in zip(first, second)))}


Check = tuple[Callable[..., Found], Inputs, torch.dtype]


def checks(smoke: bool) -> dict[str, Check]:
    """All cases by name, the most telling first."""
    grid = [
        Inputs((32, 32), (8, 8), (4, 4)),  # divides
        Inputs((50, 84), (16, 16), (8, 8)),  # padded and wrapped
        Inputs((25, 42), (12, 12), (0, 0)),
        Inputs((49, 61), (24, 24), (12, 12)),
        Inputs((30, 70), (14, 32), (7, 0)),  # rectangular
        Inputs((60, 60), (56, 56), (0, 0)),  # the paper's largest
        Inputs((8, 25, 42), (8, 7, 7), (0, 3, 3)),  # clips
        Inputs((7, 25, 30), (4, 12, 12), (2, 6, 6)),
        Inputs((8, 20, 20), (8, 20, 20), (0, 0, 0), batch=1, heads=2),
    ]
    plain = dict(size=(25, 42), window=(12, 12), shift=(6, 6))
    tiny, types = (3, 5), [*TOLERANCE]
    if smoke:
        small = dict(batch=1, heads=1, channels=16)
        grid = [Inputs((5, 4), (4, 4), (2, 0), **small)]
        grid += [Inputs((2, 3, 4), (2, 2, 4), (0, 1, 0), **small)]
        plain = dict(size=(4, 6), window=(4, 3), shift=(0, 1), **small)
        tiny, types = (1, 2), [torch.float32]
    corners = {
        "16 channels per head": plain | dict(channels=16),
        "64 channels per head": plain | dict(channels=64),
        "window 1": plain | dict(size=tiny, window=(1, 1), shift=(0, 0)),
        "batch 0": plain | dict(batch=0),
        "not contiguous": plain | dict(layout="transposed"),
        "storage not aligned": plain | dict(layout="unaligned"),
        "a token of NaN": plain | dict(shift=(0, 0), content="nan"),
        "tokens of zeros": plain | dict(content="zeros"),
        "logit scale 100": plain | dict(largest_scale=100.0),
    }
    found: dict[str, Check] = {}
    for dtype in types:
        kind = SHORT[dtype]
        for x in grid:
            size, window = (" x ".join(map(str, axes)) for axes in (x.size, x.window))
            found[f"{kind}, map {size}, window {window}, shift {x.shift[0]}"] = (
                compare, x, dtype,
            )  # fmt: skip
        for name, options in corners.items():
            found[f"{kind}, {name}"] = compare, Inputs(**options), dtype
        found[f"{kind}, run twice: values that differ"] = repeat, Inputs(**plain), dtype
        name = f"{kind}, CUDA graph replayed: values that differ"
        found[name] = replay, Inputs(**plain), dtype
        if dtype is torch.float16 or smoke:
            large = Inputs(**plain, gradient=LARGE_GRADIENT)
            found["fp16, gradients of 6e4"] = compare, large, torch.float16
            name = "fp16, gradients of 6e4: share that overflows"
            found[name] = overflow, large, torch.float16
    return found


def measure(case: Case, check: Check, device: str) -> None:
    """Fill the cells of a case."""
    run, inputs, dtype = check
    for name in case.contenders():
        if device == "cpu" and run is replay:
            case.skip(name, NEEDS_GPU)
            continue
        if device == "cpu" and name == "triton" and dtype is torch.bfloat16:
            case.skip(name, NEEDS_GPU)  # products of bf16 are wrong in the interpreter
            continue
        if run is replay and name == "chunked":
            case.skip(name, "it is for CPUs")
            continue
        with case.attempt(name):
            found = run(name, inputs, dtype, device)
            limit = TOLERANCE[dtype] if run is compare else 0
            # Gradients that overflow are the loss scaler's to mend; that those of
            # torch's own attention repeat, nobody promises.
            judged = run is not overflow
            judged &= name != "sdpa" or run not in (repeat, replay)
            for quantity, value in found.items():
                most = limit * (SCALE_TOLERANCE if quantity == SCALE_ERROR else 1)
                case.put(name, quantity, value, wrong=judged and not value <= most)


def main() -> None:
    """Run the command line."""
    args = arguments()
    found = checks(args.smoke)
    table = Table(
        "Attention operator against the fp64 reference",
        "Relative error (Euclidean norm): the largest of output and gradients of qkv "
        "and table, and that of the scale's gradient. Wrong is more than "
        + ", ".join(f"{x:g} in {SHORT[d]}" for d, x in TOLERANCE.items())
        + f", for the scale {SCALE_TOLERANCE} times that.",
        cases=found,
        contenders=CONTENDERS,
        quantities=[ERROR, SCALE_ERROR],
        judged=True,
    )
    record = open_record(args, [table])
    for case in table.pending():
        measure(case, found[case.name], args.device)
    record.finish()


if __name__ == "__main__":
    main()
