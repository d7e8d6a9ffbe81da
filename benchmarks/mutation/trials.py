"""Runs of tests in processes that fork once all but the package is imported."""

from __future__ import annotations

import ast
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from coverage import CoverageData

TESTS = (
    *("tests/test_ops", "tests/test_checkpoints"),
    "tests/test_export/test_portable.py",  # which alone runs some of the operators
)
COMPILES = "::test_compiles_for_a_gpu"  # kernels, in subprocesses: reach no line here
MEMORY = 16 * 2**30  # bytes of address space: a mutant may ask for any size
# What the tests import, which takes longer than most of them; never the package.
PRELOADED = (
    *("torch", "torch._dynamo", "torch._inductor", "triton", "triton.language"),
    *("torch.utils.checkpoint", "torchvision", "timm", "transformers"),
    *("safetensors.torch", "hypothesis", "hypothesis.strategies", "filelock"),
    *("mmengine.runner", "mmcv.ops", "mmdet.apis", "mmseg.apis", "mmpretrain.apis"),
)


class Outcome(NamedTuple):
    """How a run ended: pytest's status, or 'timeout'; and the first failed test."""

    status: int | str
    failed: str


class Tests:
    """The tests, how long each takes and which lines it reaches.

    Args:
        folder (Path): Where what was found out is kept.
        sources (Path): A copy of the repository.
    """

    def __init__(self, folder: Path, sources: Path) -> None:
        self.folder, self.sources = folder, sources
        self.seconds_file = folder / "seconds.json"
        self.coverage_file = folder / "coverage.sqlite"

    def learn(self) -> None:
        """Run all tests, unless that was done before."""
        if not self.seconds_file.exists():
            self.coverage_file.unlink(missing_ok=True)
            options = [*TESTS, "--cov=mmswinv2/ops", "--cov=mmswinv2/checkpoints"]
            options += ["--cov-context=test", "--cov-report="]
            recorder = _Recorder()
            os.environ["COVERAGE_FILE"] = str(self.coverage_file)
            self._run(options, recorder, 3600, self.seconds_file)
        self.seconds = json.loads(self.seconds_file.read_text())
        data = CoverageData(str(self.coverage_file))
        data.read()
        # Module -> line -> tests; contexts are 'test|phase', and '' of imports.
        self.reached = {
            file.removeprefix(f"{self.sources}/"): {
                line: {context.rpartition("|")[0] for context in contexts}
                for line, contexts in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }

    def reaching(self, module: str, line: int) -> list[str]:
        """Tests that reach a statement, else what is around it; fastest first."""
        by_line = self.reached.get(module, {})
        for start, end in _around(ast.parse((self.sources / module).read_text()), line):
            tests = set().union(*(by_line.get(i, ()) for i in range(start, end + 1)))
            tests &= self.seconds.keys()
            if tests:
                return sorted(tests, key=lambda test: (self.seconds[test], test))
        return []

    def chosen(self, module: str, line: int, seconds: float) -> list[str]:
        """Those that reach a line, as many as take so long, and what compiles it."""
        chosen = self.within(self.reaching(module, line), seconds)
        if "@triton.jit" in (self.sources / module).read_text():
            chosen += [test for test in self.seconds if COMPILES in test]
        return chosen

    def within(self, tests: list[str], seconds: float) -> list[str]:
        """The first tests, as many as take so long, but one at least."""
        total, kept = 0.0, tests[:1]
        for test in tests:
            total += self.seconds[test]
            if total > seconds:
                break
            kept.append(test)
        return [*dict.fromkeys(kept)]

    def run(self, tests: list[str]) -> Outcome:
        """Run some tests up to the first that fails."""
        expected = sum(self.seconds[test] for test in tests)
        files = [*dict.fromkeys(test.partition("::")[0] for test in tests)]
        return self._run([*files, "-x"], _Selection(tests), 30 + 4 * expected)

    def _run(
        self, options: list[str], plugin: object, limit: float, kept: Path | None = None
    ) -> Outcome:
        log = self.folder / "log.txt"
        own = self.folder / "tests"
        options = ["-q", "-p", "no:cacheprovider", f"--basetemp={own}", *options]
        options += ["--hypothesis-seed=0", "-p", "no:xdist"]
        child = os.fork()
        if not child:
            with suppress(BaseException):
                os.setsid()
                _enter(self.sources, own, log, limit, trial=kept is None)
                status = int(pytest.main(options, plugins=[plugin]))
                if kept:
                    kept.write_text(json.dumps(plugin.seconds, indent=1))
                sys.stdout.flush()
                os._exit(status)
            os._exit(70)
        status = _wait(child, 60 + 8 * limit)
        lines = log.read_text(errors="replace").splitlines()
        failed = [x for x in lines if x.startswith(("FAILED", "ERROR"))]
        return Outcome(status, failed[0] if failed else "\n".join(lines[-3:]))


def preload() -> None:
    """Import what the tests import."""
    for name in PRELOADED:
        with suppress(ImportError):
            import_module(name)
    assert "mmswinv2" not in sys.modules


def _enter(sources: Path, own: Path, log: Path, limit: float, *, trial: bool) -> None:
    """Prepare the process of a run, of which nothing may stay."""
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(sources)
    sys.path.insert(0, str(sources))
    sys.dont_write_bytecode = trial
    os.environ.update(
        PYTHONPATH=str(sources),
        XDG_CACHE_HOME=str(own.with_name("cache")),
        HYPOTHESIS_STORAGE_DIRECTORY=str(own.with_name("hypothesis")),
    )
    if trial:
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _wait(child: int, seconds: float) -> int | str:
    """Wait for a process; end it and what it has left behind."""
    end = time.monotonic() + seconds
    status: int | str = "timeout"
    while time.monotonic() < end:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if time.monotonic() < end and code != -signal.SIGXCPU:
        status = code
    return status


def _around(tree: ast.Module, line: int) -> Iterator[tuple[int, int]]:
    """Lines of the statement at a line, and of ever larger ones around it."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt | ast.ExceptHandler):
            continue
        decorators = getattr(node, "decorator_list", [])
        start = min([node.lineno, *(x.lineno for x in decorators)])
        spans = [(start, node.end_lineno)]
        if body := getattr(node, "body", None):  # the head of a compound statement
            spans.append((start, max(node.lineno, body[0].lineno - 1)))
        found += [span for span in spans if span[0] <= line <= span[1]]
    yield from sorted(found, key=lambda span: span[1] - span[0])
    yield 1, 1_000_000


class _Recorder:
    """Keeps the processor time of the tests that pass, and their subprocesses'."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        start = sum(os.times()[:4])
        yield
        if item.nodeid not in self.failed:
            self.seconds[item.nodeid] = round(sum(os.times()[:4]) - start, 2)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.failed.add(report.nodeid)


class _Selection:
    """Runs the tests named, in their order."""

    def __init__(self, tests: list[str]) -> None:
        self.rank = {test: rank for rank, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self.rank]
        items.sort(key=lambda item: self.rank[item.nodeid])
