"""Changes one operator, number or condition at a time and asks the tests.

A sample of cosmic-ray's mutants of ``mmswinv2/ops`` and ``mmswinv2/checkpoints``,
each tried with the tests that reach its line, fastest first, up to the first that
fails. What is committed is tried, in a clone below ``--out``; a call goes on where the
last one ended. Prints mutants and outcomes per module, then survivors with their
differences.

Examples:
    >>> python benchmarks/mutation/run.py
    >>> python benchmarks/mutation/run.py --again    # survivors, with the tests of now
"""

from __future__ import annotations

import argparse
import difflib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "1"  # read where kernels are defined
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import (
    MutationSpec,
    TestOutcome,
    WorkerOutcome,
    WorkItem,
    WorkResult,
)
from rich.console import Console
from rich.table import Table
from sample import draw, mutate
from trials import Tests, preload

ROOT = Path(__file__).resolve().parents[2]
MUTATED = ("mmswinv2/ops", "mmswinv2/checkpoints")
AGAIN = "survived before: "


def git(folder: Path, *words: str) -> None:
    """Run git quietly."""
    subprocess.run(["git", "-C", str(folder), *words], check=True, stdout=-3, stderr=-3)


def clone(sources: Path) -> None:
    """Make the clone, or undo the mutation that an ended call left in it."""
    if sources.exists():
        git(sources, "checkout", "--", "mmswinv2")
    else:
        git(ROOT, "clone", "--shared", str(ROOT), str(sources))


def renew_tests(sources: Path) -> None:
    """Take over the tests of now, and no more."""
    git(sources, "fetch", str(ROOT), "HEAD")
    git(sources, "checkout", "FETCH_HEAD", "--", "tests")


def attempt(
    spec: MutationSpec, tests: Tests, seconds: float, before: str
) -> WorkResult:
    """Try a mutant."""
    module = str(spec.module_path)
    chosen = tests.chosen(module, spec.start_pos[0], seconds)
    if not chosen:
        return WorkResult(WorkerOutcome.NO_TEST, test_outcome=TestOutcome.SURVIVED)
    operator = get_operator(spec.operator_name)(**spec.operator_args)
    with use_mutation(tests.sources / module, operator, spec.occurrence):
        status, failed = tests.run(chosen)
    outcome = TestOutcome.SURVIVED if status in (0, 5) else TestOutcome.KILLED
    output = "timeout" if status == "timeout" else f"{status}: {failed}"
    return WorkResult(WorkerOutcome.NORMAL, before + output, outcome)


def difference(spec: MutationSpec, sources: Path) -> str:
    """The lines that a mutant changes."""
    source = (sources / spec.module_path).read_text()
    lines = source.splitlines(), mutate(source, spec).splitlines()
    changed = [*difflib.unified_diff(*lines, lineterm="", n=0)][3:]
    return "\n".join([f"{spec.module_path}:{spec.start_pos[0]}", *changed])


def place_of(found: tuple[WorkItem, WorkResult]) -> tuple[str, tuple[int, int]]:
    """The order of a report."""
    spec = found[0].mutations[0]
    return str(spec.module_path), spec.start_pos


def show(db: WorkDB, sources: Path, console: Console) -> None:
    """Print outcomes per module, and survivors."""
    counts: dict[str, Counter] = {}
    survivors = []
    for item, result in sorted(db.completed_work_items, key=place_of):
        spec = item.mutations[0]
        kinds = counts.setdefault(str(spec.module_path), Counter())
        kinds["mutants"] += 1
        if result.worker_outcome == WorkerOutcome.NO_TEST:
            kinds["no test"] += 1
        elif not result.is_killed:
            kinds["survived"] += 1
        elif result.output.endswith("timeout"):
            kinds["timed out"] += 1
        elif result.output.startswith(AGAIN):
            kinds["killed since"] += 1
        else:
            kinds["killed"] += 1
        if not result.is_killed:
            survivors.append(difference(spec, sources))
    kinds = ("mutants", "killed", "timed out", "killed since", "survived", "no test")
    table = Table("module", *kinds)
    for module, found in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        table.add_row(module, *(str(found[kind]) for kind in kinds))
    console.print(table)
    for survivor in survivors:
        console.print(survivor, markup=False)
    if pending := len(db.pending_work_items):
        console.print(f"{pending} mutants were not tried yet")


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--count", type=int, default=200, help="of mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--seconds", type=float, default=60, help="of tests for a mutant, fastest first"
    )
    parser.add_argument(
        "--again", action="store_true", help="try survivors with the tests of now"
    )
    parser.add_argument(
        "--report", action="store_true", help="only print what is known"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "work_dirs" / "mutation")
    return parser.parse_args()


def main() -> None:
    """Draw, try, report."""
    args = parse_args()
    console = Console(highlight=False, soft_wrap=True)
    folder = args.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    sources = folder / "sources"
    clone(sources)
    with use_db(str(folder / "session.sqlite")) as db:
        if not db.num_work_items:
            os.chdir(sources)
            modules = sorted(x for part in MUTATED for x in Path(part).rglob("*.py"))
            draw(db, modules, args.count, args.seed)
        if not args.report:
            try_all(db, folder, sources, args, console)
        show(db, sources, console)


def try_all(
    db: WorkDB, folder: Path, sources: Path, args: argparse.Namespace, console: Console
) -> None:
    """Try what was not tried yet, or what survived."""
    preload()
    tests = Tests(folder, sources)
    items = db.pending_work_items
    if args.again:
        renew_tests(sources)
        tests.seconds_file.unlink(missing_ok=True)
        items = [item for item, x in db.completed_work_items if not x.is_killed]
    tests.learn()
    before = AGAIN if args.again else ""
    for number, item in enumerate(items, 1):
        spec = item.mutations[0]
        result = attempt(spec, tests, args.seconds, before)
        db.set_result(item.job_id, result)
        place = f"{spec.module_path}:{spec.start_pos[0]}"
        outcome = result.test_outcome.value
        console.print(f"{number}/{len(items)} {place} {outcome}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
