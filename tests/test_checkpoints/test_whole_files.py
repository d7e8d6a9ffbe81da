"""Files that are there in whole or not at all."""

import errno
import os

import pytest
from mmengine import fileio
from mmengine.runner import save_checkpoint

from mmswinv2.checkpoints.whole_files import (
    UnsavedError,
    remove_unfinished,
    whole_file,
    writes_whole_files,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "a.pth"
    with whole_file(path) as unfinished:
        unfinished.write_bytes(b"half")
        assert not path.exists()
        assert unfinished.parent == path.parent
    assert names(path.parent) == ["a.pth"]
    assert path.read_bytes() == b"half"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, MemoryError])
def test_what_goes_wrong_leaves_what_was_there(error, tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(b"before")
    with pytest.raises(error), whole_file(path) as unfinished:
        unfinished.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["a.pth"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_the_system_says_why(code, tmp_path):
    with pytest.raises(UnsavedError) as caught, whole_file(tmp_path / "a") as file:
        file.write_bytes(b"half")
        raise OSError(code, os.strerror(code))
    assert f"{tmp_path / 'a'} could not be saved: {os.strerror(code)}" in str(
        caught.value
    )
    assert names(tmp_path) == []


def test_a_link_stays_one(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "a")
    with whole_file(tmp_path / "link") as unfinished:
        unfinished.write_text("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "a").read_text() == "x"


def test_mmengine_saves_so_where_it_is_told_to(tmp_path, monkeypatch):
    """And only there, whatever backends it has kept."""
    replaced = []
    replace = os.replace
    monkeypatch.setattr(
        os, "replace", lambda *paths: replaced.append(paths[1]) or replace(*paths)
    )
    for _ in range(2):
        with writes_whole_files(), writes_whole_files():
            save_checkpoint(dict(a=1), str(tmp_path / "a"))
        save_checkpoint(dict(a=1), str(tmp_path / "b"))
        fileio.put(b"3", tmp_path / "c")
    assert replaced == [tmp_path / "a"] * 2
    assert names(tmp_path) == ["a", "b", "c"]


def test_leftovers_of_a_kill_are_removed(tmp_path):
    for name in (".a.pth.unfinished", "b.pth", ".c"):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert names(tmp_path) == [".c", "b.pth"]
