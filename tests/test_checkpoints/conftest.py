"""A local server of weights, and places for its files."""

import pytest
from file_server import serve
from weights_server import CONTENT

from mmswinv2.checkpoints import transfer


@pytest.fixture
def home(monkeypatch, tmp_path):
    """The cache."""
    monkeypatch.setattr(transfer, "CHUNK", 1000)
    monkeypatch.delenv("MMSWINV2_OFFLINE", raising=False)
    monkeypatch.setenv("MMSWINV2_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home" / "weights"


@pytest.fixture
def server(home):
    """Has /w.pth."""
    with serve() as server:
        server.files["/w.pth"] = CONTENT
        yield server


@pytest.fixture
def file(home, tmp_path):
    """For /w.pth, in a folder that is not there yet."""
    return tmp_path / "folder" / "w.pth"
