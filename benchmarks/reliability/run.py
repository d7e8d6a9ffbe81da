"""Damages files, networks, data and runs, and counts what becomes of it.

Every part makes its faulty inputs itself, from a seed. Ends in a table of counts, with
every case that has to be mended below it, and in report.json; the exit code is 1 if
there is such a case.

Examples:
    >>> python benchmarks/reliability/run.py
    >>> python benchmarks/reliability/run.py mutations pickles --scale 0.01
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # works uninstalled

from outcomes import Kind, Outcome  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402
from rich.table import Table  # noqa: E402

# Modules beside this file. Each has COUNT, how many cases it has in full, and
# outcomes(count, seed, folder), which yields an Outcome for each of count cases.
PARTS = ("pickles", "mutations", "downloads", "data_sets", "precision", "kills")


def run_part(name: str, scale: float, seed: int, console: Console) -> list[Outcome]:
    """Outcomes of one part."""
    part = importlib.import_module(name)
    count = max(1, round(part.COUNT * scale))
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        found = part.outcomes(count, seed, Path(folder))
        return [*track(found, name, total=count, console=console, transient=True)]


def show(counts: dict[str, Counter], console: Console) -> None:
    """Print one row per part, with the kinds that occurred."""
    kinds = [kind for kind in Kind if any(part[kind] for part in counts.values())]
    table = Table("part", "cases", *(kind.value for kind in kinds))
    for name, part in counts.items():
        numbers = [str(part.total()), *(str(part[kind]) for kind in kinds)]
        table.add_row(name, *numbers)
    console.print(table)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--scale", type=float, default=1.0, help="of all counts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "work_dirs" / "reliability")
    args = parser.parse_args()
    if unknown := [name for name in args.parts if name not in PARTS]:
        parser.error(f"no part is called {unknown[0]!r}; expected {', '.join(PARTS)}")
    return args


def main() -> int:
    """Run the parts; return the exit code."""
    args = parse_args()
    console = Console(highlight=False)
    logging.disable(logging.WARNING)  # of thousands of faults
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "report.json"
    counts: dict[str, Counter] = {}
    report: dict[str, dict] = {}
    bad: list[Outcome] = []
    for name in args.parts or PARTS:
        start = time.perf_counter()
        found = run_part(name, args.scale, args.seed, console)
        counts[name] = Counter(outcome.kind for outcome in found)
        bad += (wrong := [outcome for outcome in found if not outcome.kind.good])
        report[name] = {
            "seconds": round(time.perf_counter() - start),
            "counts": {kind.value: n for kind, n in counts[name].items()},
            "to_mend": [[o.kind.value, o.case, o.detail] for o in wrong],
        }
        content = json.dumps(dict(seed=args.seed, parts=report), indent=1)
        file.write_text(content + "\n")  # after each part, as all take long
    show(counts, console)
    for outcome in bad:
        text = f"{outcome.kind.value}: {outcome.case}: {outcome.detail}"
        console.print(text, markup=False)
    console.print(f"wrote {file}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
