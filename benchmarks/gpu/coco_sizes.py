"""Sizes as multi-scale training on COCO meets them: what each new one costs."""

from __future__ import annotations

import time
from argparse import Namespace
from itertools import product

import torch
from compilations import watched
from record import Case, Table
from section import NEEDS_GPU, arguments, backend, open_record

from backbones import SMALLEST  # isort: skip  section lets these be found
from contenders import ours  # isort: skip
from run import Case as Work  # isort: skip
from run import step  # isort: skip

# Short sides of 480 to 800 px, long sides of at most 1333, padded to multiples of 32.
SIZES = [
    (800, 1344), (480, 640), (640, 864), (1344, 800), (704, 1056), (576, 768),
    (512, 1344), (736, 736), (608, 832), (864, 640), (672, 1024), (544, 832),
]  # fmt: skip
SMOKE_SIZES = [(32, 64)]
QUANTITIES = ("first call ms", "second call ms", "Triton kernels", "graphs")


def measure(case: Case, window: int, compiled: bool, args: Namespace) -> None:
    """All sizes, one after the other, as a training meets them."""
    on_gpu = args.device == "cuda"
    dtype = torch.bfloat16 if on_gpu else torch.float32
    torch.compiler.reset()
    model = ours(SMALLEST if args.smoke else "tiny", (64, 64), window).to(args.device)
    run = torch.compile(model, backend=backend(args)) if compiled else model
    for name in case.contenders():
        size = tuple(map(int, name.split(" x ")))
        image = torch.randn(1, 3, *size, device=args.device)
        work = Work("training", size, window, 1, compiled)
        before = _graphs()
        with case.attempt(name), watched() as kernels:
            for quantity in QUANTITIES[:2]:
                begin = time.perf_counter()
                step(run, image, work, dtype)
                if on_gpu:
                    torch.cuda.synchronize()
                case.put(name, quantity, 1e3 * (time.perf_counter() - begin))
            case.put(name, "graphs", _graphs() - before)
            if on_gpu:
                case.put(name, "Triton kernels", len(kernels))
            else:
                case.skip(name, NEEDS_GPU)


def _graphs() -> int:
    """Graphs that dynamo has compiled in this process since its last reset."""
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def main() -> None:
    """Run the command line."""
    args = arguments()
    windows, sizes = ([4], SMOKE_SIZES) if args.smoke else ([16, 32], SIZES)
    plan = {
        f"window {window}, {'compiled' if compiled else 'eager'}": (window, compiled)
        for compiled, window in product((False, True), windows)
    }
    table = Table(
        "COCO sizes",
        "'tiny', forward and backward of one image, sizes one after the other in one "
        "process: wall time of the first and of the second call, kernels of this "
        "project that Triton compiled or loaded, and graphs of torch.compile.",
        cases=plan,
        contenders=[f"{h} x {w}" for h, w in sizes],
        quantities=QUANTITIES,
    )
    record = open_record(args, [table])
    for case in table.pending():
        measure(case, *plan[case.name], args)
    record.finish()


if __name__ == "__main__":
    main()
