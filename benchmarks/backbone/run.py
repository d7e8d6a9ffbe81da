"""Compares Swin V2 backbones of five projects: time and memory, interleaved in one run.

Every case is measured in rounds; in a round every contender runs once, in changing
order, so that what else the machine does hits all alike. Finished cases are kept: a
second call goes on where the first was, and writes the table and the plot again. On CPU
a contender that needs more memory than is free fails like one that cannot be built.

Examples:
    >>> python benchmarks/backbone/run.py --threads 2
    >>> python benchmarks/backbone/run.py --device cuda --dtype bf16 --compile
    >>> python benchmarks/backbone/run.py --sizes 16x224x224 --windows 8x7x7  # clips
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import re
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from contenders import (
    CONTENDERS,
    CONTENDERS_OF_CLIPS,
    Size,
    parse_size,
    write_size,
)
from rich.console import Console
from torch import Tensor, nn

from mmswinv2.ops.linear import linear

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
# With them a processor does without instructions that it has.
LIMITS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SIZES = ["256x256", "512x512", "800x1344", "1024x1024", "1536x1536"]
FAILURES = (Exception,)  # projects and compilers raise what they like
FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Case:
    """What all contenders do.

    Attributes:
        mode (str): 'forward' (no gradients, eval) or 'training' (forward, backward).
        size (tuple[int, ...]): Image height and width in px, of clips frames before.
        window (int | tuple[int, ...]): Window in tokens, of clips of every axis.
        batch (int): Images or clips at a time.
        compiled (bool): Whether torch.compile runs them.
    """

    mode: str
    size: Size
    window: int | Size
    batch: int
    compiled: bool

    @property
    def name(self) -> str:
        """Name of the file of results."""
        size, window = write_size(self.size), write_size(self.window)
        kind = "compiled" if self.compiled else "eager"
        return f"{self.mode}-{size}-w{window}-b{self.batch}-{kind}"

    @property
    def contenders(self) -> dict[str, Callable[..., nn.Module]]:
        """Who can take part."""
        return CONTENDERS if len(self.size) == 2 else CONTENDERS_OF_CLIPS


def step(model: nn.Module, image: Tensor, case: Case, dtype: torch.dtype) -> None:
    """One forward pass, or forward and backward."""
    device = image.device.type
    with torch.autocast(device, dtype, enabled=dtype != torch.float32):
        if case.mode == "forward":
            with torch.no_grad():
                model(image)
            return
        loss = sum(out.float().mean() for out in model(image))
    model.zero_grad()
    loss.backward()


def seconds(run: Callable[[], None], device: str, clock: str) -> float:
    """Time of one call: of the wall, or of the CPU in all threads of this process."""
    if device == "cuda":
        torch.cuda.synchronize()
    now = CLOCKS[clock]
    start = now()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return now() - start


def memory(run: Callable[[], None], model: nn.Module, device: str) -> int:
    """Bytes: on a GPU the peak over the model, on CPU what autograd keeps."""
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated() - before
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(kept.values())


def reason(error: Exception) -> str:
    """First line of what went wrong."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return "out of memory" if "memory" in lines[0] else lines[0][:200]


def measure(case: Case, args: argparse.Namespace, say: Callable[[str], None]) -> dict:
    """Time and memory of every contender, or why it has none."""
    image = torch.randn(case.batch, 3, *case.size, device=args.device)
    dtype = DTYPES[args.dtype]
    models, result = {}, {}
    if case.compiled:
        torch.compiler.reset()  # or shapes of the case before make these symbolic
    for name in filter(case.contenders.get, args.contenders):
        say(f"{case.name}: {name}")
        try:
            model = case.contenders[name](args.arch, case.size, case.window)
            model.to(args.device)
            model.train(case.mode == "training")
            if case.compiled:
                model = torch.compile(model)
            run = lambda model=model: step(model, image, case, dtype)  # noqa: E731
            if case.compiled:
                run()  # autograd's hooks are not for the compiler
            result[name] = {"bytes": memory(run, model, args.device)}
            models[name] = model
        except FAILURES as error:
            result[name] = {"error": reason(error)}
            gc.collect()  # what the failed step held
    times: dict[str, list[float]] = {name: [] for name in models}
    end = time.monotonic() + args.seconds
    for round_ in range(args.rounds):
        if round_ >= 2 and time.monotonic() > end:
            break
        say(f"{case.name}: round {round_ + 1} of {args.rounds}")
        order = list(models)
        for name in order if round_ % 2 else reversed(order):
            run = lambda: step(models[name], image, case, dtype)  # noqa: E731, B023
            try:
                times[name].append(seconds(run, args.device, args.clock))
            except FAILURES as error:
                result[name] = {"error": reason(error)}
                del models[name], times[name]
                gc.collect()  # what the failed step held
    for name, own in times.items():
        result[name] |= {
            "rounds": len(own),
            "seconds": min(own),
            "median": statistics.median(own),
        }
        if "ours" in times:
            pairs = zip(times["ours"], own)
            result[name]["ratio"] = statistics.median(b / a for a, b in pairs)
    models.clear()
    gc.collect()
    return result


def limit_memory() -> None:
    """Let an allocation fail that the machine has no memory for, in place of a kill."""
    with open("/proc/meminfo") as file:
        kilobytes = {line.split(":")[0]: line.split()[1] for line in file}
    free = int(kilobytes["MemAvailable"]) * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(0.9 * free), hard))


def machine(args: argparse.Namespace) -> dict:
    """What it ran on, with the best rate of a matrix product as the roof."""
    dtype = DTYPES[args.dtype]
    side = 8192 if args.device == "cuda" else 2048
    a = torch.randn(side, side, device=args.device, dtype=dtype)
    tokens = a.view(1, side // 64, 64, side)  # a product by oneDNN on CPU
    with torch.no_grad():
        best = min(
            seconds(product, args.device, args.clock)
            for product in (lambda: a @ a, lambda: linear(tokens, a))
            for _ in range(5)
        )
    processor = platform.processor() or platform.machine()
    if args.device == "cuda":
        processor = torch.cuda.get_device_name()
    else:
        text = Path("/proc/cpuinfo").read_text()
        keys = ("model name", "cpu family", "model")  # the name alone hides much
        lines = [re.search(rf"^{key}\s*: (.*)", text, re.MULTILINE) for key in keys]
        if all(lines):
            processor = "{}, family {}, model {}".format(*(line[1] for line in lines))
    return {
        "processor": processor,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "limits": {name: os.environ[name] for name in LIMITS if name in os.environ},
        "threads": torch.get_num_threads(),
        "clock": args.clock,
        "torch": torch.__version__,
        "dtype": args.dtype,
        "matmul_flops_per_second": 2 * side**3 / best,
    }


def main() -> None:
    """Run the command line."""
    from report import write_report  # needs matplotlib, and measuring does not

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", default="fp32", choices=DTYPES)
    parser.add_argument("--arch", default="tiny")
    parser.add_argument("--contenders", nargs="+", default=[*CONTENDERS])
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="height x width, px")
    parser.add_argument(
        "--windows",
        nargs="+",
        default=["8", "16", "24", "32"],
        help="tokens; of clips, time x height x width",
    )
    parser.add_argument("--batch", nargs="+", type=int, default=[1])
    parser.add_argument("--modes", nargs="+", default=["forward", "training"])
    parser.add_argument("--compile", action="store_true", help="also compiled")
    parser.add_argument("--rounds", type=int, default=5, help="at most; at least 2")
    parser.add_argument("--seconds", type=float, default=60, help="of a case's rounds")
    parser.add_argument("--threads", type=int, help="of the CPU")
    parser.add_argument(
        "--clock",
        default="wall",
        choices=CLOCKS,
        help="cpu: CPU time of the process, for a machine that does other work too",
    )
    parser.add_argument(
        "--out", type=Path, help=f"default: {FOLDER}/<arch>-<device>-<dtype>"
    )
    args = parser.parse_args()
    if args.device == "cuda" and args.clock == "cpu":
        parser.error("--clock cpu does not see what a GPU does; use --clock wall")
    if args.contenders[0] != "ours":
        args.contenders = ["ours", *(n for n in args.contenders if n != "ours")]
    if args.threads:
        torch.set_num_threads(args.threads)
    out = args.out or FOLDER / f"{args.arch}-{args.device}-{args.dtype}"
    out.mkdir(parents=True, exist_ok=True)
    cases = [
        Case(mode, parse_size(size), parse_size(window), batch, compiled)
        for size in args.sizes
        for window in args.windows
        for mode in args.modes
        for batch in args.batch
        for compiled in ((False, True) if args.compile else (False,))
    ]
    if args.device == "cpu":
        limit_memory()
    console = Console()
    facts = machine(args)
    with console.status("") as status:
        for case in cases:
            file = out / f"{case.name}.json"
            if file.exists():
                continue
            result = measure(case, args, lambda text: status.update(text))
            record = {"case": asdict(case), "arch": args.arch, "machine": facts}
            file.write_text(json.dumps(record | {"result": result}, indent=1) + "\n")
            console.print(case.name, {n: r.get("ratio") for n, r in result.items()})
    write_report(out)
    console.print((out / "table.md").read_text())


if __name__ == "__main__":
    main()
