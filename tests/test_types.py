"""mypy finds nothing, by the hosts and the torch that are installed."""

import sys

import pytest
from mypy import api
from tiny import ROOT


def test_the_package_has_no_type_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `make types`; the first time in a clone it reads torch, half a minute."""
    monkeypatch.chdir(ROOT)
    out, err, status = api.run(["--python-executable", sys.executable])
    assert status == 0, out + err


def test_a_tensor_in_the_wrong_place_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    """The settings are such that torch and the package's own types are known."""
    monkeypatch.chdir(ROOT)
    file = tmp_path / "wrong.py"
    file.write_text(
        "import torch\n"
        "from mmswinv2.ops.linear import linear\n"
        "linear(torch.ones(2), weight='no tensor')\n"
    )
    command = ["--python-executable", sys.executable, str(file)]
    out, _, status = api.run(command)
    assert status == 1
    assert 'Argument "weight"' in out and '"Tensor"' in out
