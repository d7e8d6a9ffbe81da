"""Tests on mmpretrain, whatever framework the tests before them left as default."""

from collections.abc import Iterator

import pytest
from mmengine.registry import init_default_scope
from tiny import fresh_globals


@pytest.fixture(autouse=True)
def _in_scope_of_mmpretrain() -> Iterator[None]:
    with fresh_globals():
        init_default_scope("mmpretrain")
        yield
