"""Checkpoints that survive whatever ends a run, at any moment."""

import errno
import os
from pathlib import Path

import pytest
import torch
from noisy_runs import noisy
from test_repeatable_hook import assert_same
from toy import Killed

from mmswinv2.checkpoints.whole_files import UnsavedError

ONE = dict(max_keep_ckpts=1)
ITERS = dict(by_epoch=False, max_iters=6, val_interval=3)


def names(folder, pattern="*.pth"):
    return sorted(path.name for path in folder.glob(pattern))


def cut(path, share=0.5):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def meta(path):
    return torch.load(path, weights_only=False)["meta"]


@pytest.mark.parametrize("call", range(4))
@pytest.mark.parametrize(
    "where", [(Path, "write_bytes"), (os, "fsync"), (os, "replace"), (os, "remove")]
)
def test_a_kill_while_saving_loses_nothing(where, call, tmp_path, monkeypatch):
    """With one kept checkpoint; whatever is done to files, it may be the last thing."""
    noisy(tmp_path / "whole", train_cfg=ITERS, checkpoint=ONE)
    calls = []
    act = getattr(*where)

    def die(path, *arguments):
        if str(tmp_path) in str(path) or isinstance(path, int):
            calls.append(path)
            if len(calls) > call:
                if where[1] == "write_bytes":
                    act(path, arguments[0][:99])
                monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
                raise Killed
        return act(path, *arguments)

    monkeypatch.setattr(*where, die)
    noisy(tmp_path / "cut", train_cfg=ITERS, checkpoint=ONE, kill=99)
    before = names(tmp_path / "cut")
    monkeypatch.undo()
    assert len(calls) == call + 1
    assert len(before) == 2 or where[1] != "remove"
    noisy(tmp_path / "cut", train_cfg=ITERS, checkpoint=ONE, resume=True)
    assert_same(tmp_path / "whole", tmp_path / "cut", "iter_6.pth")
    assert names(tmp_path / "cut") == ["iter_6.pth"]
    assert not names(tmp_path / "cut", ".*unfinished")


@pytest.mark.parametrize("text", [None, "", "iter_1.pth", "\0\0\0"])
def test_last_checkpoint_may_be_lost_or_wrong(text, tmp_path):
    """A run never starts anew over its checkpoints."""
    noisy(tmp_path, kill=5)
    last = tmp_path / "last_checkpoint"
    assert last.read_text() == str(tmp_path / "iter_4.pth")
    last.unlink()
    if text is not None:
        last.write_text(text.replace("iter", str(tmp_path / "iter")))
    rest = noisy(tmp_path, resume=True)
    assert len(rest.model.seen) == 4


def test_damaged_ones_are_passed_over_and_named(tmp_path, capfd):
    noisy(tmp_path, kill=6)
    cut(tmp_path / "iter_5.pth", 0.9)
    (tmp_path / "iter_4.pth").write_bytes(b"")
    rest = noisy(tmp_path, resume=True)
    assert len(rest.model.seen) == 5
    text = "".join(capfd.readouterr())
    assert "iter_5.pth' is damaged" in text
    assert "iter_4.pth' is empty" in text
    assert f"Goes on with {tmp_path / 'iter_3.pth'}" in text


def test_a_run_without_a_whole_checkpoint_is_no_new_run(tmp_path):
    noisy(tmp_path, kill=2)
    cut(tmp_path / "iter_1.pth")
    with pytest.raises(ValueError, match=r"no checkpoint is whole: .*iter_1\.pth"):
        noisy(tmp_path, resume=True)
    (tmp_path / "iter_1.pth").unlink()
    with pytest.raises(FileNotFoundError, match=r"names .*iter_1\.pth, which does not"):
        noisy(tmp_path, resume=True)


def test_a_first_run_may_be_told_to_resume(tmp_path):
    assert len(noisy(tmp_path, resume=True).model.seen) == 8


def test_a_new_run_over_an_old_one_is_warned_of(tmp_path, capfd):
    noisy(tmp_path, kill=3)
    assert "an earlier run" not in "".join(capfd.readouterr())
    noisy(tmp_path, kill=3)
    text = "".join(capfd.readouterr())
    assert "checkpoints of an earlier run, such as iter_2.pth" in text
    noisy(tmp_path, resume=True)
    assert "an earlier run" not in "".join(capfd.readouterr())


def test_folders_and_names_of_the_user_are_found(tmp_path):
    options = dict(
        checkpoint=dict(out_dir=str(tmp_path / "o"), filename_tmpl="c{}.pth")
    )
    work_dir = tmp_path / "run"
    noisy(work_dir, kill=5, **options)
    assert names(tmp_path / "o/run") == ["c1.pth", "c2.pth", "c3.pth", "c4.pth"]
    (work_dir / "last_checkpoint").unlink()
    assert len(noisy(work_dir, resume=True, **options).model.seen) == 4


def test_the_newest_is_the_one_saved_last(tmp_path):
    """Neither the time of the file nor the number in its name."""
    noisy(tmp_path, kill=5)
    os.utime(tmp_path / "iter_2.pth")
    os.rename(tmp_path / "iter_4.pth", tmp_path / "epoch_1.pth")
    (tmp_path / "last_checkpoint").unlink()
    assert len(noisy(tmp_path, resume=True).model.seen) == 4


def test_the_best_goes_when_a_better_one_is_there(tmp_path, monkeypatch):
    checkpoint = dict(save_best="acc", max_keep_ckpts=1)
    seen = []
    remove = os.remove

    def look(path):
        seen.append(names(tmp_path))
        remove(path)

    monkeypatch.setattr(os, "remove", look)
    train_cfg = dict(by_epoch=False, max_iters=6, val_interval=2)
    noisy(tmp_path, train_cfg=train_cfg, checkpoint=checkpoint)
    assert ["best_acc_iter_2.pth", "best_acc_iter_4.pth", "iter_4.pth"] in seen
    assert names(tmp_path) == ["best_acc_iter_6.pth", "iter_6.pth"]
    saved = torch.load(tmp_path / "iter_6.pth", weights_only=False)
    info = saved["message_hub"]["runtime_info"]
    assert info["best_ckpt"] == str(tmp_path / "best_acc_iter_6.pth")
    assert saved["meta"]["iter"] == 6


def test_a_full_disk_leaves_the_one_before(tmp_path, monkeypatch):
    write = Path.write_bytes

    def fill(path, data):
        write(path, data[:1000])
        if "iter_3" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(UnsavedError) as caught:
        noisy(tmp_path, checkpoint=ONE)
    text = str(caught.value)
    assert f"{tmp_path / 'iter_3.pth'} could not be saved: No space left" in text
    assert f"The last whole checkpoint is {tmp_path / 'iter_2.pth'}" in text
    assert meta(tmp_path / "iter_2.pth")["iter"] == 2
    assert names(tmp_path) == ["iter_2.pth"]
    assert not names(tmp_path, ".*unfinished")


def test_published_files_are_whole(tmp_path, monkeypatch):
    replaced = []
    replace = os.replace

    def look(source, path):
        replaced.append(Path(path).name)
        replace(source, path)

    monkeypatch.setattr(os, "replace", look)
    noisy(tmp_path, checkpoint=dict(published_keys=["meta", "state_dict"], interval=8))
    assert {*names(tmp_path), "last_checkpoint"} == {*replaced}
    assert len(replaced) == 3
