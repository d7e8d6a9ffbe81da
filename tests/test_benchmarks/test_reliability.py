"""The campaign against faulty inputs, in small."""

import importlib
import os
import sys
import time
from collections import Counter

import pytest
from tiny import ROOT

FOLDER = ROOT / "benchmarks" / "reliability"
sys.path.insert(0, str(FOLDER))

from isolation import Isolation  # noqa: E402
from outcomes import Kind, Outcome, refusal  # noqa: E402

# Cases of every part that a test can afford
SMALL = {
    "pickles": 120,
    "mutations": 60,
    "downloads": 49,
    "data_sets": 8,
    "precision": 30,
    "kills": 2,
}


@pytest.fixture
def importable(monkeypatch):
    """Other processes find the campaign's modules."""
    paths = (str(FOLDER), str(ROOT), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.mark.parametrize("name", SMALL)
def test_nothing_has_to_be_mended(name, tmp_path, importable):
    part = importlib.import_module(name)
    found = [*part.outcomes(SMALL[name], 0, tmp_path)]
    assert len(found) == SMALL[name] <= part.COUNT
    assert [outcome for outcome in found if not outcome.kind.good] == []
    most = Kind.RIGHT if name in ("precision", "kills") else Kind.REFUSED
    assert Counter(outcome.kind for outcome in found)[most]


def test_a_case_may_die_or_hang(importable):
    with Isolation(seconds=20) as isolated:
        died = isolated(os._exit, 3, case="dies")
        assert (died.kind, died.detail) == (Kind.CRASH, "exit code 3")
        right = isolated(Outcome, Kind.RIGHT, "lives", case="lives")
        assert right == Outcome(Kind.RIGHT, "lives")
        isolated.seconds = 0.5
        assert isolated(time.sleep, 60, case="sleeps").kind is Kind.HANG


def test_only_sentences_of_this_package_are_refusals():
    from mmswinv2.models.window_fit import parse_windows

    kinds = []
    for function, arguments in ((parse_windows, ("x", 4)), (int, ("x",))):
        try:
            function(*arguments)
        except ValueError as error:
            kinds.append(refusal(error, "").kind)
    assert kinds == [Kind.REFUSED, Kind.RAW]
