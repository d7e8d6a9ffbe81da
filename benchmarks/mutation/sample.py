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

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, WorkItem

# Not mutated, as no test could or should tell:
LOGS = {"print_log"}  # the text of logs
CACHES = {"cache", "lru_cache", "kept"}  # decorators that keep results: only speed
# How a GPU works on a tile: only speed.
SCHEDULES = {"num_warps", "num_stages", "maxnreg"}

Place = tuple[tuple[int, int], tuple[int, int]]
Mutant = tuple[str, int]  # operator, occurrence in the module


def draw(db: WorkDB, modules: list[Path], count: int, seed: int) -> None:
    """Fill a session with ``count`` mutants of ``modules``."""
    places = {module: _places(module) for module in modules}
    quotas = _quotas({module: len(found) for module, found in places.items()}, count)
    for module, quota in quotas.items():
        sound = _sound(module, places[module], Random(f"{seed} {module}"))
        db.add_work_items([item for _, item in zip(range(quota), sound)])


def _places(module: Path) -> dict[Place, list[Mutant]]:
    """Mutants by the place that they change, without those that are not tried."""
    source = module.read_text()
    excluded = [*_excluded(ast.parse(source))]
    nodes = [*ast_nodes(get_ast(source))]
    places = defaultdict(list)
    for name in operator_names():
        if (operator := get_operator(name)).arguments():
            continue
        positions = (p for node in nodes for p in operator().mutation_positions(node))
        for occurrence, (start, end) in enumerate(positions):
            if not any(first <= start < last for first, last in excluded):
                places[start, end].append((name, occurrence))
    return places


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
    module: Path, places: dict[Place, list[Mutant]], random: Random
) -> Iterator[WorkItem]:
    """One mutant of each place in turn that is Python and another program."""
    source = module.read_text()
    tree = ast.dump(ast.parse(source))
    for place in random.sample(sorted(places), len(places)):
        for name, occurrence in random.sample(places[place], len(places[place])):
            spec = MutationSpec(module, name, occurrence, *place)
            mutated = mutate(source, spec)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", SyntaxWarning)
                    compile(mutated, str(module), "exec")
            except SyntaxError:
                continue
            if ast.dump(ast.parse(mutated)) != tree:
                yield WorkItem.single(f"{module}:{place[0]} {name}", spec)
                break


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
            start = part.lineno, max(0, part.col_offset - 1)  # the '@' of a decorator
            yield start, (part.end_lineno, part.end_col_offset)


def _name(node: ast.expr) -> str:
    function = node.func if isinstance(node, ast.Call) else node
    return function.id if isinstance(function, ast.Name) else ""
