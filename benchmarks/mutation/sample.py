"""Which mutants are tried: a sample of those that cosmic-ray can make.

One mutant at most is drawn of a place in the source, whatever number of operators could
stand there, and of each file in proportion to its places.
"""

from __future__ import annotations

import ast
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, WorkItem

# Not mutated, as no test could or should tell:
LOGS = {"print_log"}  # the text of logs
CACHES = {"cache", "lru_cache", "kept"}  # decorators that keep results: only speed
# How a GPU works on a tile: only speed.
SCHEDULES = {"num_warps", "num_stages", "maxnreg"}

Place = tuple[tuple[int, int], tuple[int, int]]


def draw(db: WorkDB, modules: list[Path], count: int, seed: int) -> None:
    """Fill a session with ``count`` mutants of ``modules``."""
    with use_db(":memory:") as every:
        init(modules, every, {})
        items = every.work_items
    places: dict[Path, dict[Place, list[WorkItem]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for item in items:
        spec = item.mutations[0]
        places[spec.module_path][spec.start_pos, spec.end_pos].append(item)
    for module, of_module in places.items():
        spans = [*_excluded(ast.parse(module.read_text()))]
        for place in [*of_module]:
            if any(start <= place[0] and place[1] <= end for start, end in spans):
                del of_module[place]
    quotas = _quotas({module: len(found) for module, found in places.items()}, count)
    for module, quota in quotas.items():
        random = Random(f"{seed} {module}")
        sound = _sound(module, places[module], random)
        db.add_work_items([item for _, item in zip(range(quota), sound)])


def _quotas(sizes: dict[Path, int], count: int) -> dict[Path, int]:
    """Shares of ``count`` in proportion to sizes, by largest remainders."""
    total = sum(sizes.values())
    exact = {module: count * size / total for module, size in sorted(sizes.items())}
    quotas = {module: int(share) for module, share in exact.items()}
    by_rest = sorted(exact, key=lambda module: quotas[module] - exact[module])
    for module in by_rest[: count - sum(quotas.values())]:
        quotas[module] += 1
    return quotas


def _sound(
    module: Path, places: dict[Place, list[WorkItem]], random: Random
) -> Iterator[WorkItem]:
    """One mutant of each place in turn that is Python and another program."""
    source = module.read_text()
    tree = ast.dump(ast.parse(source))
    for place in random.sample(sorted(places), len(places)):
        items = sorted(places[place], key=_key)
        for item in random.sample(items, len(items)):
            mutated = mutate(source, item.mutations[0])
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", SyntaxWarning)
                    compile(mutated, str(module), "exec")
            except SyntaxError:
                continue
            if ast.dump(ast.parse(mutated)) != tree:
                yield item
                break


def _key(item: WorkItem) -> tuple[str, int]:
    return item.mutations[0].operator_name, item.mutations[0].occurrence


def mutate(source: str, spec: MutationSpec) -> str:
    """A source with a mutation."""
    operator = get_operator(spec.operator_name)(**spec.operator_args)
    return mutate_code(source, operator, spec.occurrence)


def _excluded(tree: ast.Module) -> Iterator[Place]:
    """Spans of what is not mutated."""
    for node in ast.walk(tree):
        parts: list[ast.expr | None] = []
        if isinstance(node, ast.arg | ast.AnnAssign):
            parts = [node.annotation]
        elif isinstance(node, ast.FunctionDef):
            parts = [node.returns]
            parts += [d for d in node.decorator_list if _name(d) in CACHES]
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            parts = [*node.exc.args]  # the text of an error
        elif isinstance(node, ast.Call) and _name(node) in LOGS:
            parts = [*node.args]
        elif isinstance(node, ast.keyword) and node.arg in SCHEDULES:
            parts = [node.value]
        for part in filter(None, parts):
            # From the '@' of a decorator on.
            start = part.lineno, max(0, part.col_offset - 1)
            yield start, (part.end_lineno, part.end_col_offset)


def _name(node: ast.expr) -> str:
    function = node.func if isinstance(node, ast.Call) else node
    return function.id if isinstance(function, ast.Name) else ""
