"""A forward pass as one CUDA graph, and what a step spends its time on."""

from __future__ import annotations

from argparse import Namespace
from functools import partial

import torch
from measuring import take_turns
from record import Case, Table
from section import NEEDS_GPU, arguments, open_record
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from backbones import SMALLEST  # isort: skip  section lets these be found
from contenders import ours  # isort: skip
from run import Case as Work  # isort: skip
from run import step  # isort: skip

WINDOW = 16
LONGEST = 15
RANKS = [str(rank + 1) for rank in range(LONGEST)]
PROFILE = ("kernel", "ms", "of all", "calls")
ROUNDS = 3  # that the profiler sees


def graphed(model: nn.Module, image: Tensor) -> tuple[torch.cuda.CUDAGraph, list]:
    """The forward pass on ``image`` as a graph, and the maps that it writes."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            forward(model, image)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        maps = forward(model, image)
    return graph, maps


@torch.no_grad()
def forward(model: nn.Module, image: Tensor) -> list[Tensor]:
    """Maps under autocast; its cache of weights must not outlive a capture."""
    with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
        return [*model(image)]


def measure_graph(case: Case, batch: int, model: nn.Module, args: Namespace) -> None:
    """Eager and replayed, in turns; the replay must give the same maps."""
    if args.device == "cpu":
        for name in case.contenders():
            case.skip(name, NEEDS_GPU)
        return
    model.eval()
    image = torch.randn(batch, 3, 1024, 1024, device=args.device)
    steps = {}
    for name in case.contenders():
        with case.attempt(name):
            run = partial(forward, model, image)
            if name == "CUDA graph":
                graph, maps = graphed(model, image)
                image.copy_(torch.randn_like(image))
                graph.replay()
                error = max(
                    float((a - b).norm() / b.norm()) for a, b in zip(maps, run())
                )
                case.put(name, "relative error", error, wrong=not error < 1e-2)
                run = graph.replay
            steps[name] = run
    for name, own in take_turns(case, steps, args.device, rounds=20, seconds=3).items():
        case.put(name, "ms", own.gpu)
        case.put(name, "wall ms", own.wall)
        case.put(name, "host ms", own.host)


def measure_profile(case: Case, model: nn.Module, args: Namespace) -> None:
    """The kernels (on CPU: operators) that take longest, in all."""
    mode = case.name.partition(",")[0]
    model.train(mode == "training")
    on_gpu = args.device == "cuda"
    size = (64, 64) if args.smoke else (1024, 1024)
    dtype = torch.bfloat16 if on_gpu else torch.float32
    work = Work(mode, size, WINDOW, 1, False)
    image = torch.randn(1, 3, *size, device=args.device)
    activities = [ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]
    step(model, image, work, dtype)
    with profile(activities=activities) as watched:
        for _ in range(ROUNDS):
            step(model, image, work, dtype)
        if on_gpu:
            torch.cuda.synchronize()
    time = f"self_{'device' if on_gpu else 'cpu'}_time_total"
    found = sorted(watched.key_averages(), key=lambda e: -getattr(e, time))
    total = sum(getattr(event, time) for event in found)
    for rank, event in zip(RANKS, found):
        with case.attempt(rank):
            own = getattr(event, time)
            case.put(rank, "kernel", event.key[:90])
            case.put(rank, "ms", own / ROUNDS / 1e3)
            case.put(rank, "of all", own / total)
            case.put(rank, "calls", event.count / ROUNDS)


def main() -> None:
    """Run the command line."""
    args = arguments()
    batches = {f"forward, 1024 x 1024, window 16, batch {n}": n for n in (1, 4)}
    graph = Table(
        "Forward pass as a CUDA graph",
        "'base' in bf16, eval; clocks as for eager backbones. The error is that of a "
        "replay on another image against the eager maps.",
        cases=batches,
        contenders=("eager", "CUDA graph"),
        quantities=("ms", "wall ms", "host ms", "relative error"),
    )
    longest = Table(
        "Longest kernels of a step",
        "'base' at 1024 x 1024, window 16, batch 1, eager (smoke smaller; on CPU "
        "operators of torch): time of all calls in a step, and its share.",
        cases=("training, one step", "forward, one step"),
        contenders=RANKS,
        quantities=PROFILE,
    )
    record = open_record(args, [graph, longest])
    size = (64, 64) if args.smoke else (1024, 1024)
    model = ours(SMALLEST if args.smoke else "base", size, WINDOW).to(args.device)
    for case in graph.pending():
        measure_graph(case, batches[case.name], model, args)
    for case in longest.pending():
        measure_profile(case, model, args)
    record.finish()


if __name__ == "__main__":
    main()
