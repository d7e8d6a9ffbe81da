"""Hostile pickles, as checkpoints: code, lies about memory, bombs, damaged steps.

A case goes well if the file is refused with a sentence, or if what comes of it is plain
data whose tensors hold the file's bytes and no others.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import torch
from hostile_pickles import FAMILIES, damaged, sound
from isolation import Isolation
from mmengine.logging import HistoryBuffer
from outcomes import Kind, Outcome, refusal
from pickle_programs import BYTE, program, tensor, write_legacy, write_zip

from mmswinv2.checkpoints import read_checkpoint
from mmswinv2.checkpoints.sources import load_checkpoint_safely
from mmswinv2.cli.training_state import check_training_state

COUNT = 1000
MEMORY = 2**31  # bytes that no case may take
DATA = {"0": 256, "1": 256}


def outcomes(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """Outcomes of ``count`` files; the seed makes them."""
    canary, path = folder / "canary", folder / "hostile.pth"
    write_zip(path, program(sound(None)), DATA)
    with Isolation(seconds=60) as isolated:
        found = isolated(read, path, canary, "sound", case="sound")
        if found.kind is not Kind.RIGHT:
            raise RuntimeError(f"what is made hostile does not load itself: {found}")
        for number in range(count):
            family = FAMILIES[number % len(FAMILIES)]
            rng = Random(f"{seed} {number}")
            hostile = family(rng, str(canary))
            if family is not damaged:
                place = rng.randrange(4)
                hostile = (
                    hostile,
                    {"state_dict": {"w": tensor(), "x": hostile}, "meta": {}},
                    sound(hostile),
                    sound(None) | {"optimizer": hostile},
                )[place]
            legacy = rng.random() < 0.3
            case = f"{family.__name__} {seed} {number}, {'legacy' if legacy else 'zip'}"
            write = (lambda *a: write_legacy(*a, 4)) if legacy else write_zip
            write(path, program(hostile), DATA)
            yield isolated(read, path, canary, case, case=case)


def read(path: Path, canary: Path, case: str) -> Outcome:
    """Read a file as weights, as mmengine does, and as a run that goes on."""
    found = []
    for function in (read_checkpoint, load_checkpoint_safely, check_training_state):
        try:
            content = function(str(path))
            flaw = harm(content)
            found.append(Outcome(Kind.SILENT if flaw else Kind.RIGHT, case, flaw))
        except Exception as error:
            found.append(refusal(error, case))
    if canary.exists():
        return Outcome(Kind.CODE, case)
    if (used := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) > MEMORY:
        found.append(Outcome(Kind.CRASH, case, f"took {used:,} bytes of memory"))
    bad = [outcome for outcome in found if not outcome.kind.good]
    return bad[0] if bad else found[0]


def harm(content: object) -> str:
    """What is in a checkpoint besides plain data of its own file; '' if nothing."""
    seen: dict[int, object] = {}
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, dict):
            waiting += [
                *value.keys(),
                *value.values(),
                *getattr(value, "__dict__", {}).values(),
            ]
        elif isinstance(value, (list, tuple, set)):
            waiting += value
        elif isinstance(value, torch.Tensor):
            data = value.detach().contiguous().as_strided((value.numel(),), (1,))
            if not bool((data.view(torch.uint8) == BYTE[0]).all()):
                return "a tensor has bytes that its file has not"
        elif isinstance(value, HistoryBuffer):
            waiting += value.data
        elif isinstance(value, (np.ndarray, np.generic)):
            if value.dtype.hasobject:
                return "an array has objects"
        elif not isinstance(
            value, (str, int, float, bytes, torch.device, torch.dtype, type(None))
        ):
            return f"it holds a {type(value)}"
    return ""
