"""One run of the benchmark: all phases of a position bias and a seed, in one process.

``run.py`` starts it. Phases that have a result are skipped.
"""

import argparse
from pathlib import Path

import torch
from protocol import SIZES, phases, run_phase


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--bias", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    size = SIZES[args.size]
    for phase in phases(args.bias, args.seed, size):
        if phase.result(args.out, size) is None:
            run_phase(phase, args.out, size)


if __name__ == "__main__":
    main()
