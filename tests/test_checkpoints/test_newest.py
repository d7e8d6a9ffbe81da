"""The checkpoint that a run goes on from, where no run can be made of it here."""

import os
from pathlib import Path

import pytest
import torch

from mmswinv2.checkpoints.newest import newest_checkpoint


def save(path, **meta):
    torch.save(dict(state_dict={}, meta=meta), path)
    return str(path)


def test_times_of_mmengine_count_where_there_is_no_other(tmp_path):
    save(tmp_path / "iter_1.pth", time="20250102_030406", iter=1)
    newest = save(tmp_path / "iter_2.pth", time="20250102_030406", iter=2)
    save(tmp_path / "epoch_9.pth", time="20250102_030405", iter=9)
    assert newest_checkpoint([tmp_path]) == newest
    newest = save(tmp_path / "iter_3.pth")  # nothing but the file's own time
    assert newest_checkpoint([tmp_path]) == newest


def test_a_file_that_is_no_checkpoint_of_a_run_is_passed_over(tmp_path):
    save(tmp_path / "iter_1.pth", saved=1.0)
    torch.save(dict(state_dict={}), tmp_path / "iter_2.pth")
    assert newest_checkpoint([tmp_path]) == str(tmp_path / "iter_1.pth")


def test_folders_of_deepspeed_are_whole_when_it_says_so(tmp_path):
    """It writes ``latest`` last, and mmengine ``last_checkpoint`` after that."""
    for epoch in (1, 2, 3):
        (tmp_path / f"epoch_{epoch}.pth").mkdir()
        (tmp_path / f"epoch_{epoch}.pth" / "mp_rank_00_model_states.pt").touch()
        os.utime(tmp_path / f"epoch_{epoch}.pth", (epoch, epoch))
    (tmp_path / "latest").write_text("epoch_2.pth")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "epoch_1.pth"))
    assert newest_checkpoint([tmp_path]) == str(tmp_path / "epoch_2.pth")
    (tmp_path / "latest").unlink()
    assert newest_checkpoint([tmp_path]) == str(tmp_path / "epoch_1.pth")


@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to(path),
        lambda path: path.symlink_to("gone.pth"),
    ],
    ids=["folder", "pipe", "loop", "dangling link"],
)
def test_what_is_no_file_is_passed_over(tmp_path, make):
    whole = save(tmp_path / "iter_1.pth", saved=1.0)
    make(tmp_path / "iter_2.pth")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_2.pth"))
    assert newest_checkpoint([tmp_path]) == whole


def test_a_copied_folder_goes_on_from_its_own_files(tmp_path):
    """Its ``last_checkpoint`` names those of the original, which went on."""
    for name, saved in (("original", 2.0), ("copy", 1.0)):
        (tmp_path / name).mkdir()
        file = save(tmp_path / name / "iter_1.pth", saved=saved)
        named = tmp_path / "original/iter_1.pth"
        (tmp_path / name / "last_checkpoint").write_text(str(named))
    assert newest_checkpoint([tmp_path / "copy"]) == file


def test_a_store_is_believed(tmp_path):
    (tmp_path / "last_checkpoint").write_text("s3://bucket/run/epoch_1.pth")
    assert newest_checkpoint([tmp_path]) == "s3://bucket/run/epoch_1.pth"
