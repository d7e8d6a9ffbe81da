"""Measures what loading a picture of the paper's runs costs one thread.

Writes results/loading.json, which tables.py and docs/large_models.md quote.

Examples:
    >>> python benchmarks/scale/loading.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
sys.path.insert(0, str(Path(__file__).resolve().parent))

from tables import LOADING, RUNS, read

from mmswinv2.planning.loading import processor, seconds_per_picture


def main() -> None:
    """Runs the command."""
    times = {}
    for name in dict.fromkeys(run.config for run in RUNS):
        try:
            seconds = seconds_per_picture(read(name))
        except (ImportError, ValueError) as error:
            print(f"{name}: not measured, {error}")
            continue
        times[name] = round(1000 * seconds, 1)
        print(f"{name}: {times[name]} ms")
    LOADING.parent.mkdir(exist_ok=True)
    result = dict(processor=processor(), threads=1, ms=times)
    LOADING.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
