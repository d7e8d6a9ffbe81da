"""What sections share: their command line, their record, a device that was lost.

A section is a script of its own, ``python <section>.py --device cuda --out <file>``,
and a line in ``driver.py``. Whatever a contender raises stands in its cell; whatever
ends the process, the driver starts the section again behind it.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch
from machine import facts
from record import Record, Table

BENCHMARKS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BENCHMARKS.parent))  # works uninstalled
sys.path.append(str(BENCHMARKS / "backbone"))

NEEDS_GPU = "needs a GPU"
LOST = 75  # exit status


def arguments() -> argparse.Namespace:
    """The command line of a section."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--out", type=Path, required=True, help="the section's JSON")
    parser.add_argument("--smoke", action="store_true", help="tiny: checks the way")
    return parser.parse_args()


def open_record(args: argparse.Namespace, tables: Iterable[Table]) -> Record:
    """The file of a section, with what an earlier call measured."""
    machine = facts(args.device) | {"smoke": args.smoke}
    # Steps run on while the host goes on: an error must meet whoever made it.
    settle = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    recover = partial(_recover, args.device)
    return Record(args.out, tables, machine, settle, recover)


def backend(args: argparse.Namespace) -> str:
    """For ``torch.compile``: a smoke run traces, and compiles nothing."""
    return "eager" if args.smoke else "inductor"


def _recover(device: str) -> None:
    """Free what a failed step held; end the process if the GPU is lost to it.

    An illegal access makes every later call of the process fail, right ones too.
    """
    gc.collect()
    if device == "cpu":
        return
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        os._exit(LOST)  # nothing can be freed: no handlers
