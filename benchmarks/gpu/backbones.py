"""Whole backbones of several projects, with the models of ``benchmarks/backbone``."""

from __future__ import annotations

import gc
import time
from argparse import Namespace
from collections.abc import Iterable
from functools import partial

import torch
from measuring import take_turns
from record import Case, Table
from section import arguments, backend, open_record
from torch import nn

from contenders import ARCHITECTURES, CONTENDERS  # isort: skip  section lets these be found
from mmswinv2.architectures import Architecture  # isort: skip
from run import Case as Work  # isort: skip
from run import memory, step  # isort: skip

SMALLEST = "smoke"  # of all sections that build a model
ARCHITECTURES[SMALLEST] = Architecture(16, (2, 1, 1, 1), (1, 1, 2, 4))
QUANTITIES = ("ms", "over ours", "wall ms", "host ms", "GiB", "first call s")


class Models:
    """The contenders for one image size and window, built when first asked for."""

    def __init__(self, args: Namespace) -> None:
        self.args = args
        self.arch = SMALLEST if args.smoke else "base"
        self.kind: tuple = ()
        self.built: dict[str, nn.Module] = {}

    def get(self, name: str, work: Work) -> nn.Module:
        """A contender in the mode of ``work``."""
        if self.kind != (work.size, work.window):
            self.kind = work.size, work.window
            self.built.clear()
            gc.collect()
        if name not in self.built:
            model = CONTENDERS[name](self.arch, *self.kind)
            self.built[name] = model.to(self.args.device)
        return self.built[name].train(work.mode == "training")


def works(
    kinds: Iterable[tuple[int, int]], batches: Iterable[int], *, compiled: bool
) -> dict[str, Work]:
    """Cases by name, of pairs of image side and window; in the given order."""
    found = {}
    for side, window in kinds:
        for batch in batches:
            for mode in ("forward", "training"):
                name = f"{mode}, {side} x {side}, window {window}, batch {batch}"
                found[name] = Work(mode, (side, side), window, batch, compiled)
    return found


def measure(case: Case, work: Work, models: Models) -> None:
    """Time and memory of every contender."""
    args, on_gpu = models.args, models.args.device == "cuda"
    dtype = torch.bfloat16 if on_gpu else torch.float32
    image = torch.randn(work.batch, 3, *work.size, device=args.device)
    torch.compiler.reset()  # or shapes of the case before make these symbolic
    steps = {}
    for name in case.contenders():
        with case.attempt(name):
            model = run_model = models.get(name, work)
            if work.compiled:
                run_model = torch.compile(model, backend=backend(args))
            run = partial(step, run_model, image, work, dtype)
            begin = time.perf_counter()
            run()
            if on_gpu:
                torch.cuda.synchronize()
            case.put(name, "first call s", time.perf_counter() - begin)
            if on_gpu or not work.compiled:  # hooks on tensors would compile again
                case.put(name, "GiB", memory(run, model, args.device) / 2**30)
            steps[name] = run
    options = dict(rounds=1, seconds=1) if args.smoke else dict(rounds=10, seconds=3)
    times = take_turns(case, steps, args.device, **options)
    for name, own in times.items():
        case.put(name, "ms", own.wall if own.gpu is None else own.gpu)
        case.put(name, "wall ms", own.wall)
        if own.host is not None:
            case.put(name, "host ms", own.host)
        if ours := times.get("ours"):
            ratio = own.gpu / ours.gpu if ours.gpu else own.wall / ours.wall
            case.put(name, "over ours", ratio)


def run_section(
    kinds: list[tuple[int, int]], contenders: list[str], *, compiled: bool
) -> None:
    """The command line of a section of backbones.

    Args:
        kinds (list[tuple[int, int]]): Image side in px and window in tokens.
        contenders (list[str]): Names in ``CONTENDERS``, 'ours' first.
        compiled (bool): Whether ``torch.compile`` runs them.
    """
    args = arguments()
    plan = works([(64, 4)], [1], compiled=compiled)
    if not args.smoke:
        # Compiled, what a GPU takes is asked first; eager, also what the host takes.
        plan = works(kinds, (4, 1) if compiled else (1, 4), compiled=compiled)
    table = Table(
        "Compiled backbones" if compiled else "Eager backbones",
        "'base' in bf16 (on CPU fp32, smoke smaller); training is forward and backward "
        "without an optimizer. On a GPU ms are between CUDA events with launches "
        "queued ahead, wall is what a caller waits for one step alone, host what its "
        "launches take, and GiB the peak over the model's own. Over ours: above 1 ours "
        "is faster.",
        cases=plan,
        contenders=contenders,
        quantities=QUANTITIES,
    )
    record = open_record(args, [table])
    models = Models(args)
    for case in table.pending():
        measure(case, plan[case.name], models)
    record.finish()
