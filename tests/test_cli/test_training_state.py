"""A run goes on only from a whole state of training."""

import pytest
import torch
from mmengine.logging import MessageHub

from mmswinv2.checkpoints.sources import load_checkpoint_safely
from mmswinv2.cli.training_state import check_training_state


@pytest.fixture
def state():
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))])
    hub = MessageHub("state")
    hub.update_scalar("loss", 1.0)
    return dict(
        meta=dict(epoch=1, iter=2),
        state_dict={},
        optimizer=optimizer.state_dict(),
        message_hub=hub.state_dict(),
        param_schedulers=[{"last_step": 2}],
    )


def test_a_whole_one_is_taken(state, tmp_path):
    torch.save(state, path := tmp_path / "w.pth")
    check_training_state(str(path))
    several = state | {"optimizer": {"a": state["optimizer"], "b": state["optimizer"]}}
    several["param_schedulers"] = {"a": [{}], "b": []}
    torch.save(several, path)
    check_training_state(str(path))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("optimizer", None, "has a NoneType in optimizer"),
        ("optimizer.state", [], "has a list in optimizer.state"),
        ("optimizer.state", {7: {}}, "has states of other parameters"),
        ("optimizer.state", {0: None}, "has a NoneType in optimizer.state.0"),
        ("optimizer.param_groups", {}, "has a dict in optimizer.param_groups"),
        ("optimizer.param_groups", [{}], "NoneType in optimizer.param_groups.0.params"),
        ("message_hub", [], "has a list in message_hub"),
        ("message_hub.log_scalars", None, "has a NoneType in message_hub.log_scalars"),
        ("meta.iter", "2", "has a str in meta.iter, where a training run has a int"),
        ("meta.epoch", True, "has a bool in meta.epoch"),
        ("param_schedulers", 3, "has a int in param_schedulers"),
        ("param_schedulers", [3], "has a int in param_schedulers.0"),
        ("meta.config", "import os", "would run as code"),
    ],
)
def test_what_is_no_state_is_named(place, value, message, state, tmp_path):
    *parts, last = place.split(".")
    node = state
    for part in parts:
        node = node[part]
    node[last] = value
    torch.save(state, path := tmp_path / "w.pth")
    with pytest.raises(ValueError, match=message):
        check_training_state(str(path))


def test_mmengine_gets_no_config_to_run(state, tmp_path):
    """Also where checks before a run are switched off."""
    state["meta"]["config"] = "import os"
    torch.save(state, path := tmp_path / "w.pth")
    assert load_checkpoint_safely(str(path))["meta"].keys() == {"epoch", "iter"}
