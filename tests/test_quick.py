"""The list of slow tests, by which a quick run leaves tests out."""

import ast

import pytest
from quick import ROOT, SLOW


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_test_exists(name):
    file, _, function = name.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert not function or function in names


def test_the_list_is_short_and_each_name_in_it_once():
    files = {name for name in SLOW if "::" not in name}
    assert len(SLOW) == len({*SLOW})
    assert not [name for name in SLOW if "::" in name and name.split("::")[0] in files]
    assert len(files) < 15  # a quick run looks into all other files
