"""``--quick``: one case of every test function that is not slow.

``slow_tests.txt`` names the slow ones: files first, the longest at the top, then test
functions of over two seconds. Files at the top also begin first in a whole run, so that
no worker is left alone with one of them at the end.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SLOW = (ROOT / "tests" / "slow_tests.txt").read_text().split()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help=__doc__.splitlines()[0])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    def file_of(item: pytest.Item) -> str:
        return item.nodeid.split("::")[0]

    places = {name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: places.get(file_of(item), len(SLOW)))
    if not config.getoption("quick"):
        return
    chosen: dict[str, pytest.Item] = {}
    for item in items:
        function = item.nodeid.split("[")[0]
        if function not in places and file_of(item) not in places:
            chosen.setdefault(function, item)
    kept = {*chosen.values()}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = chosen.values()
