import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file

from mmswinv2.checkpoints import read_checkpoint
from mmswinv2.models import SwinTransformerV2


class Harmful:
    """A pickle that would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def save(content, path):
    torch.save(content, path)
    return path


def test_a_checkpoint_of_mmengine_is_read_safely(tmp_path):
    """With the log of scalars that mmengine keeps beside the weights."""
    hub = MessageHub("test")
    hub.update_scalar("loss", 1.5)
    hub.update_scalar("lr", np.float64(0.1))
    hub.update_info("shapes", np.arange(3))
    content = dict(state_dict={"w": torch.ones(2)}, message_hub=hub.state_dict())
    checkpoint = read_checkpoint(save(content, tmp_path / "epoch_1.pth"))
    assert checkpoint["state_dict"]["w"].tolist() == [1, 1]
    restored = MessageHub("restored")
    restored.load_state_dict(checkpoint["message_hub"])
    assert restored.get_scalar("loss").current() == 1.5


def test_published_weights_come_back_under_the_name_of_a_backbone(tmp_path):
    weights = SwinTransformerV2("nano").state_dict()
    weights.pop("window_record")
    for content in (weights, {"model": weights, "epoch": 299}):
        checkpoint = read_checkpoint(save(content, tmp_path / "official.pth"))
        assert set(checkpoint["state_dict"]) == {f"backbone.{name}" for name in weights}


def test_safetensors_are_read(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"w": torch.arange(3)}, path)
    assert read_checkpoint(path)["w"].tolist() == [0, 1, 2]


def test_mmengine_reads_files_through_it(tmp_path):
    path = save({"w": torch.ones(1)}, tmp_path / "weights.pth")
    assert CheckpointLoader.load_checkpoint(str(path))["w"] == 1


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path):
    made = tmp_path / "made"
    path = save({"model": Harmful(str(made))}, tmp_path / "harmful.pth")
    with pytest.raises(ValueError, match=r"needs Python code.*mkdir.*was refused"):
        read_checkpoint(path)
    assert not made.exists()


def test_getattr_serves_mmengines_log_only(tmp_path):
    """``getattr`` is in every log of mmengine: allowed for public parts of it."""

    class Getter:
        def __reduce__(self):
            return getattr, (HistoryBuffer, "__init__")

    path = tmp_path / "getter.pth"
    torch.save({"x": Getter()}, path)
    with pytest.raises(ValueError, match=r"getter\.pth"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>Not found</html>", "is an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"weights", "is no checkpoint"),
        (pickle.dumps([1, 2]), "(damaged or truncated|holds a list)"),
    ],
)
def test_what_is_no_checkpoint_is_named_for_what_it_looks_like(
    content, message, tmp_path
):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"weights.pth.*{message}"):
        read_checkpoint(path)


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_truncated_file_is_said_to_be_damaged(keep, suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    tensors = {"w": torch.rand(1000)}
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ValueError, match="damaged or truncated"):
        read_checkpoint(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.pth' does not exist"):
        read_checkpoint(tmp_path / "absent.pth")
    with pytest.raises(FileNotFoundError, match="is no file"):
        read_checkpoint(tmp_path)


def test_a_model_in_place_of_its_weights_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs Python code"):
        read_checkpoint(save(torch.nn.Linear(1, 1), tmp_path / "model.pth"))
    with pytest.raises(ValueError, match="holds a Tensor, expected a dict"):
        read_checkpoint(save(torch.ones(1), tmp_path / "tensor.pth"))
