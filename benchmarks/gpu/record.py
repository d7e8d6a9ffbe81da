"""What a section has measured: tables, kept on disk after every number.

Knows neither torch nor the package, so that a report can be written without them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

Value = float | int | str | list


class Case:
    """One line of work in a table, and what its contenders give.

    Args:
        table (Table): The table that it is in.
        name (str): Its name there.
    """

    def __init__(self, table: Table, name: str) -> None:
        self.table, self.name = table, name
        self.entries: dict[str, dict] = table.cells.setdefault(name, {})

    def contenders(self) -> list[str]:
        """Those that have not failed in this case, here or in an earlier process."""
        known = self.table.contenders
        return [name for name in known if "error" not in self._entry(name)]

    @contextmanager
    def attempt(self, contender: str) -> Iterator[None]:
        """Mark who is at work, should the process die of it; keep what it raises."""
        record = self.table.record
        record.at_work(self, contender)
        try:
            yield
            record.settle()
        except Exception as error:
            self.fail(contender, error)
        record.at_work(self, None)

    def put(
        self, contender: str, quantity: str, value: Value, *, wrong: bool = False
    ) -> None:
        """Keep a number, or a short text; ``wrong`` if it should not be so."""
        entry = self._entry(contender)
        entry.setdefault("values", {})[quantity] = value
        if wrong:
            entry.setdefault("wrong", []).append(quantity)
        self.table.record.save()

    def skip(self, contender: str, reason: str) -> None:
        """Say why a contender is not measured here."""
        self._entry(contender)["skipped"] = reason
        self.table.record.save()

    def fail(self, contender: str, error: Exception) -> None:
        """Keep what a contender raised, and free what it held."""
        self._entry(contender)["error"] = describe(error)
        self.table.record.save()
        self.table.record.recover()

    def _entry(self, contender: str) -> dict:
        return self.entries.setdefault(contender, {})


class Table:
    """Cases, in the order of their worth, by contenders and quantities.

    Args:
        name (str): Heading.
        note (str): What is measured and how, in a sentence or two.
        cases (Iterable[str]): Names of the cases.
        contenders (Iterable[str]): Names of what is compared.
        quantities (Iterable[str]): Names of what is measured, with units.
        judged (bool): Whether an error here is a defect of this project, and not of
            the machine or of another project.
    """

    def __init__(
        self,
        name: str,
        note: str,
        *,
        cases: Iterable[str],
        contenders: Iterable[str],
        quantities: Iterable[str],
        judged: bool = False,
    ) -> None:
        self.name, self.note, self.judged = name, note, judged
        self.cases, self.contenders = [*cases], [*contenders]
        self.quantities = [*quantities]
        self.cells: dict[str, dict[str, dict]] = {}
        self.finished: list[str] = []
        self.record: Record | None = None

    def pending(self) -> Iterator[Case]:
        """Cases to work on; one counts as finished when the next is asked for.

        What another process was stopped in comes last, or it might stop this one too.
        """
        left = [name for name in self.cases if name not in self.finished]
        for name in sorted(left, key=lambda name: name in self.cells):
            case = Case(self, name)
            self.record.at_work(case, None)
            yield case
            self.finished.append(name)
            self.record.at_work(None, None)

    def as_dict(self) -> dict:
        """What the file holds of it."""
        return {name: x for name, x in vars(self).items() if name != "record"}


class Record:
    """The file of a section; it goes on from what the file already has.

    Args:
        file (Path): Where to keep it.
        tables (Iterable[Table]): What is to be measured.
        machine (dict): What it is measured on.
        settle (Callable): Waits for what has been started; raises what it raised.
        recover (Callable): Called after a contender has failed.
    """

    def __init__(
        self,
        file: Path,
        tables: Iterable[Table],
        machine: dict,
        settle: Callable[[], object],
        recover: Callable[[], object],
    ) -> None:
        self.file, self.machine = file, machine
        self.settle, self.recover = settle, recover
        self.tables = [*tables]
        self.working: list[str] | None = None
        self.complete = False
        kept = {t["name"]: t for t in read(file)["tables"]}
        for table in self.tables:
            table.record = self
            if before := kept.get(table.name):
                table.cells, table.finished = before["cells"], before["finished"]
        self.save()

    def at_work(self, case: Case | None, contender: str | None) -> None:
        """Keep what is being measured, for whoever finds the process dead."""
        self.working = case and [case.table.name, case.name, contender]
        self.save()

    def finish(self) -> None:
        """Nothing is left to measure."""
        self.complete = True
        self.save()

    def save(self) -> None:
        """Replace the file in one step: it is whole even if the process is killed."""
        content = {
            "machine": self.machine,
            "complete": self.complete,
            "working": self.working,
            "tables": [table.as_dict() for table in self.tables],
        }
        write(self.file, content)


def read(file: Path) -> dict:
    """A section's file, or an empty one where there is none."""
    if not file.exists():
        return {"machine": None, "complete": False, "working": None, "tables": []}
    return json.loads(file.read_text())


def write(file: Path, content: dict) -> None:
    """Keep a section's file."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(new, file)


def describe(error: Exception) -> str:
    """Kind and beginning of an error, on one line."""
    text = " ".join(str(error).split())
    if "out of memory" in text:
        return "out of memory"
    return f"{type(error).__name__}: {text}"[:300]


def forget_work(file: Path) -> None:
    """What ran out of time is not to blame for how a later process ends."""
    if file.exists():
        write(file, read(file) | {"working": None})


def blame(file: Path, reason: str, machine: dict) -> bool:
    """Write down that a process died, beside what it was working on.

    Returns:
        bool: Whether the section can go on without that.
    """
    content = read(file)
    working, content["working"] = content["working"], None
    content["machine"] = content["machine"] or machine
    if working is None:
        content["error"] = reason
    else:
        name, case, contender = working
        table = next(t for t in content["tables"] if t["name"] == name)
        blamed = [contender] if contender else table["contenders"]
        for one in blamed:
            entry = table["cells"].setdefault(case, {}).setdefault(one, {})
            entry.setdefault("error", reason)
        if contender is None:
            table["finished"].append(case)
    write(file, content)
    return working is not None
