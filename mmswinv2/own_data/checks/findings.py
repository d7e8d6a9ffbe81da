"""What a check of data or a config found, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import track

SHOWN = 3  # examples of each finding that are named
LONG = 20_000  # items whose checks take seconds, so that a bar shows how far they are

Severity = Literal["error", "warning"]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Finding:
    """One fault of data or of a config.

    Attributes:
        severity (str): 'error' where a run would fail or learn nonsense, else
            'warning'.
        where (str): The file, folder or key of the config.
        what (str): What was found there and, where it is not plain, what follows.
        cure (str): What to change.
        count (int): How often it was found; 0 where counting says nothing.
        examples (tuple[str, ...]): The first files or ids.
    """

    severity: Severity
    where: str
    what: str
    cure: str
    count: int = 0
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.short()}; {self.cure}"

    def short(self) -> str:
        """One line without the cure."""
        times = f"{self.count} " if self.count else ""
        such_as = f" ({', '.join(self.examples)})" if self.examples else ""
        return f"{self.where}: {times}{self.what}{such_as}"


class Tally:
    """Counts faults of many records by kind, and keeps the first examples of each."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.examples: dict[str, list[str]] = {}

    def add(self, kind: str, example: object) -> None:
        """Counts one more fault of a kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= SHOWN:
            self.examples.setdefault(kind, []).append(str(example))

    def finding(
        self, kind: str, where: str, what: str, cure: str, severity: Severity = "error"
    ) -> Iterable[Finding]:
        """The finding of a kind, if it was counted."""
        if count := self.counts.get(kind, 0):
            examples = tuple(self.examples[kind])
            yield Finding(severity, where, what, cure, count, examples)


def first(names: Iterable[object]) -> tuple[str, ...]:
    """The first few of some names, as the examples of a finding."""
    return tuple(map(str, sorted(names, key=str)[:SHOWN]))


def watch(items: Sequence[Item], doing: str) -> Iterable[Item]:
    """The items, with a bar on the terminal where there are many."""
    return track(
        items,
        description=doing,
        console=Console(stderr=True),
        transient=True,
        disable=len(items) < LONG or not Console(stderr=True).is_terminal,
    )


def raise_errors(findings: Iterable[Finding]) -> None:
    """Raises ValueError with all errors among the findings."""
    errors = [str(finding) for finding in findings if finding.severity == "error"]
    if len(errors) == 1:
        raise ValueError(errors[0])
    if errors:
        lines = "\n".join(f"  {i}. {text}" for i, text in enumerate(errors, 1))
        raise ValueError(
            f"{len(errors)} faults that a run would stumble over:\n{lines}"
        )


def print_page(findings: Sequence[Finding], console: Console) -> None:
    """Prints a page of findings, errors first."""
    for finding in sorted(findings, key=lambda f: f.severity):
        colour = "red" if finding.severity == "error" else "yellow"
        line = f"[{colour}]{finding.severity}[/] {escape(finding.short())}"
        console.print(line, soft_wrap=True, highlight=False)
        console.print(
            f"  do: {escape(finding.cure)}\n", soft_wrap=True, highlight=False
        )
    errors = sum(finding.severity == "error" for finding in findings)
    console.print(f"{errors} errors, {len(findings) - errors} warnings")
