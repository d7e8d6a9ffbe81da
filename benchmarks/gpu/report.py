"""One Markdown page of what all sections have measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from record import read

NOT_MEASURED = "not measured"
FACTS = (
    "python", "torch", "triton", "timm", "transformers", "torchvision", "driver",
    "capability", "GiB", "processors", "threads",
)  # fmt: skip


def write_report(out: Path, titles: dict[str, str], machine: dict) -> Counter:
    """Write ``report.md``.

    Args:
        out (Path): Folder of the sections' files.
        titles (dict[str, str]): Heading of every section, by its file's stem.
        machine (dict): Facts of the machine.

    Returns:
        Counter: How many cells have a number, are 'wrong', an 'error' or not measured.
    """
    counts: Counter = Counter()
    body = []
    for name, title in titles.items():
        content = read(out / f"{name}.json")
        body += [f"## {title}", ""]
        if "error" in content:
            counts["error"] += 1
            body += [f"Error: {escape(content['error'])}", ""]
        elif not content["tables"]:
            body += [f"{NOT_MEASURED.capitalize()}.", ""]
        for table in content["tables"]:
            if table["name"] != title:
                body += [f"### {table['name']}", ""]
            body += [table["note"], ""]
            body += [*_rows(table, counts), ""]
    (out / "report.md").write_text("\n".join([*_head(machine, counts), *body]))
    return counts


def summary(counts: Counter) -> str:
    """The counts as a sentence."""
    return (
        f"{counts['measured']} cells measured, {counts['wrong']} wrong, "
        f"{counts['error']} errors, {counts[NOT_MEASURED]} not measured"
    )


def escape(text: str) -> str:
    """Text for a cell of a table."""
    return text.replace("|", "/").replace("\n", " ")


def _head(machine: dict, counts: Counter) -> list[str]:
    known = [f"{fact} {machine[fact]}" for fact in FACTS if fact in machine]
    lines = [f"# Benchmark on {machine['name']}", "", ", ".join(known) + ".", ""]
    if machine["smoke"]:
        lines += ["A smoke run: sizes are tiny, and no number here means speed.", ""]
    return [*lines, summary(counts) + ".", ""]


def _rows(table: dict, counts: Counter) -> Iterable[str]:
    """Lines by case and contender; of a single quantity, contenders are columns."""
    contenders, quantities = table["contenders"], table["quantities"]
    matrix = len(quantities) == 1
    named = ["", *contenders] if matrix else ["", "", *quantities]
    yield "| " + " | ".join(named) + " |"
    yield "| " + " | ".join(["---"] * len(named)) + " |"
    for case in table["cases"]:
        entries = table["cells"].get(case, {})
        line = []
        for contender in contenders:
            entry = entries.get(contender, {})
            cells = [_cell(entry, q, table["judged"], counts) for q in quantities]
            if matrix:
                line += cells
            else:
                yield "| " + " | ".join([escape(case), contender, *cells]) + " |"
        if matrix:
            yield "| " + " | ".join([escape(case), *line]) + " |"


def _cell(entry: dict, quantity: str, judged: bool, counts: Counter) -> str:
    """Number, error or 'not measured'."""
    values = entry.get("values", {})
    if quantity in values:
        wrong = quantity in entry.get("wrong", [])
        counts["wrong" if wrong else "measured"] += 1
        value = values[quantity]
        text = escape(value) if isinstance(value, str) else f"{value:.4g}"
        return f"**wrong: {text}**" if wrong else text
    if "error" in entry:
        counts["wrong" if judged else "error"] += 1
        text = f"error: {escape(entry['error'])[:100]}"
        return f"**wrong: {text}**" if judged else text
    counts[NOT_MEASURED] += 1
    reason = entry.get("skipped")
    return f"{NOT_MEASURED} ({reason})" if reason else NOT_MEASURED
