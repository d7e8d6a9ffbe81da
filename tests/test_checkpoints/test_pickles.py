"""Pickles are read for what they hold; nothing that they name is called."""

import sys
import tarfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.optim import MultiStepLR, OptimWrapper
from tiny import ROOT
from torch import nn

from mmswinv2.checkpoints import read_checkpoint
from mmswinv2.checkpoints.pickles import MAX_STEPS

sys.path.insert(0, str(ROOT / "benchmarks" / "reliability"))

from pickle_programs import (
    Call,
    Global,
    Raw,
    encode,
    program,
    storage,
    tensor,
    write_legacy,
    write_zip,
)

NUMPY = "numpy.core.multiarray"
ORDERED = Global("collections", "OrderedDict")


@pytest.fixture(params=["zip", "legacy"])
def refused(request, tmp_path):
    """The message over a file with some pickle in it."""

    def read(content):
        path = tmp_path / "hostile.pth"
        if request.param == "zip":
            write_zip(path, program(content), {"0": 256})
        else:
            write_legacy(path, program(content), {"0": 256}, 4)
        with pytest.raises(ValueError, match=r"hostile\.pth") as caught:
            read_checkpoint(path)
        return str(caught.value)

    return read


def array(name="f8", shape=(1,), data=bytes(8), state=None):
    """An array of numpy, as pickled."""
    dtype = Call(Global("numpy", "dtype"), (name, False, True), state)
    made = (Global("numpy", "ndarray"), (0,), b"b")
    return Call(Global(NUMPY, "_reconstruct"), made, (1, shape, dtype, False, data))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (array("O8"), "array of 'O8' in 'x', expected plain numbers"),
        (array("V8"), "array of 'V8'"),
        (array(shape=(2,)), r"of shape (2,) has 1 numbers"),
        (array(shape=(2**62,)), "has 1 numbers"),
        (array(data=bytes(7)), "no whole numbers"),
        (array(shape=(-1,)), "has no shape"),
        (Call(Global("numpy", "ndarray"), ((9,), "f8", b"x", -64)), "damaged, or does"),
        (tensor(size=(65,), stride=(1,)), "reaches beyond its data of 64 numbers"),
        (tensor(offset=2**62), "reaches beyond its data"),
        (tensor(offset=-1), "has no shape or no data"),
        (tensor(stride=(8, -1)), "has no shape or no data"),
        (tensor(size=(2**20, 2**20), stride=(0, 0)), "far more memory than the file"),
        (tensor(storage(count=10**12)), "damaged"),
        (tensor(storage(kind=Global("torch", "DoubleStorage"))), "damaged"),
        (Call(Global("torch", "FloatTensor"), (10**12,)), "torch.FloatTensor"),
        (Call(Global("torch.storage", "UntypedStorage"), (9,)), "needs Python code"),
        (Call(Global("__builtin__", "bytearray"), (10**12,)), "needs Python code"),
        (Call(Global("torch._utils", "_rebuild_qtensor"), ()), "has quantized tensors"),
        (Call(Global("_codecs", "encode"), ("x", "idna")), "encoding 'idna'"),
        (Raw(encode(tensor()) + encode((tensor(), 9)) + b"b"), "damaged, or does"),
        (Raw(encode(Global("torch", "Size")) + b"}b"), "gives a function a state"),
        (Raw(b"](" * 101 + b"e" * 101), "more than 100 containers in each other"),
        (Raw(b"]q\x01(h\x01e"), "more than 100 containers in each other"),
        (Raw(b"Nr\xff\xff\xff\x7f"), "counts what it has not got"),
        (Raw(b"(" + b"N" * MAX_STEPS + b"t"), "more than 1,000,000 steps"),
        (Raw(b"(NNo"), "has a pickle with the step OBJ"),
        ({Global("torch", "float32"): 1}, "has a key in 'x' that is no name"),
        (Call(ORDERED, (), {"items": 1}), "a dict with attributes"),
        (Call(ORDERED, (), {"_metadata": 1}), "a dict with attributes"),
    ],
    ids=range(29),
)
def test_what_no_checkpoint_holds_is_refused(content, message, refused):
    assert message in refused({"x": content})


def test_lists_that_double_take_no_time(tmp_path):
    """Sixty lists of which each has the one before twice."""
    bomb = Raw(b"](]q\x01" + b"h\x01h\x01\x86q\x01" * 60 + b"e")
    write_zip(tmp_path / "bomb.pth", program({"x": bomb}), {})
    assert len(read_checkpoint(tmp_path / "bomb.pth")["x"]) == 61


def same(given, expected):
    """Whether two checkpoints hold the same, of the same types."""
    if isinstance(expected, HistoryBuffer):
        return all(map(same, given.data, expected.data)) and (
            given.max_length == expected.max_length
        )
    if isinstance(expected, torch.Tensor):
        return given.dtype == expected.dtype and given.equal(expected)
    if isinstance(expected, np.ndarray):  # in this machine's order of bytes
        dtype = expected.dtype.newbyteorder("=")
        return given.dtype == dtype and given.tolist() == expected.tolist()
    if type(given) is not type(expected):
        return False
    if isinstance(expected, dict):
        alike = all(map(same, given.values(), expected.values()))
        return [*given] == [*expected] and alike
    if isinstance(expected, (list, tuple)):
        return len(given) == len(expected) and all(map(same, given, expected))
    return given == expected


def training_checkpoint():
    """What mmengine's hooks save of a run, and users beside it."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters())
    wrapper = OptimWrapper(optimizer=optimizer)
    scheduler = MultiStepLR(wrapper, milestones=[8, 11])
    model(torch.rand(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    hub = MessageHub("test")
    hub.update_scalar("loss", 1.5)
    hub.update_scalar("lr", np.float64(0.1))
    hub.update_scalar("grad_norm", float("inf"))
    hub.update_info("shapes", np.arange(6, dtype=np.int32).reshape(2, 3))
    hub.update_info("fortran", np.asfortranarray(np.ones((2, 3), ">f4")))
    hub.get_info("absent")
    return dict(
        meta=dict(
            epoch=1,
            iter=4,
            cfg="a = 1",
            dataset_meta=dict(classes=("a",), palette=np.zeros((1, 3), np.uint8)),
            random_state=np.random.RandomState(0).get_state(),
            shape=torch.Size([1, 2]),
            device=torch.device("cpu"),
            names={"a"},
            large=10**30,
            data=b"\x00\xff",
            nothing=b"",
        ),
        state_dict=model.state_dict(),
        ema_state_dict=OrderedDict(steps=torch.tensor(3)),
        half={"x": torch.ones(2).half(), "y": torch.ones(2).bfloat16()},
        message_hub=hub.state_dict(),
        optimizer=wrapper.state_dict() | dict(loss_scaler=dict(scale=512.0)),
        param_schedulers=[scheduler.state_dict()],
        counts=Counter({"a": 2}),
        best_score=np.float32(0.5),
        tied=(shared := torch.arange(4.0), shared[1:3]),
        bare={"w": nn.Parameter(torch.ones(2)).data},
        rng=torch.get_rng_state(),
    )


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_training_checkpoint_comes_back_as_it_was(zipped, tmp_path):
    expected = training_checkpoint()
    path = tmp_path / "epoch_1.pth"
    torch.save(expected, path, _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(path)
    wrong = [k for k in expected if not same(found[k], expected[k])]
    assert wrong == []
    weight = found["state_dict"]["0.weight"]
    assert weight.is_contiguous(memory_format=torch.channels_last)
    whole, part = found["tied"]
    whole[1] = 7
    assert part[0] == 7
    assert found["state_dict"]._metadata == expected["state_dict"]._metadata


def test_a_parameter_with_attributes_is_read_as_its_tensor(tmp_path):
    parameter = nn.Parameter(torch.ones(2))
    parameter.group = "head"
    plain = torch.ones(2)
    plain.note = 1
    torch.save({"a": parameter, "b": plain}, tmp_path / "w.pth")
    found = read_checkpoint(tmp_path / "w.pth")
    assert found["a"].tolist() == found["b"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (torch._neg_view(torch.ones(2)), {}, "numbers are negated"),
        (torch.ones(2), {"pickle_protocol": 4}, "without pickle_protocol"),
    ],
    ids=["negated", "protocol 4"],
)
def test_what_torch_saves_by_other_ways_is_refused(content, options, message, tmp_path):
    torch.save({"w": content}, tmp_path / "w.pth", **options)
    with pytest.raises(ValueError, match=message):
        read_checkpoint(tmp_path / "w.pth")


def test_a_log_brings_no_methods(tmp_path):
    """Mmengine would take over statistics from the pickle, for all of its logs."""
    log = {"statistics_methods": {"max": 1}, "max_length": 9}
    log |= {key: array() for key in ("_log_history", "_count_history")}
    history = Global("mmengine.logging.history_buffer", "HistoryBuffer")
    content = {"x": Call(history, (), log, new=True)}
    write_zip(tmp_path / "log.pth", program(content), {})
    assert read_checkpoint(tmp_path / "log.pth")["x"].statistics("max") == 0


def test_a_tar_of_old_torch_is_named(tmp_path):
    (tmp_path / "storages").write_bytes(b"x")
    with tarfile.open(tmp_path / "w.pth", "w") as archive:
        archive.add(tmp_path / "storages", "storages")
    with pytest.raises(ValueError, match="is a tar archive, no weights"):
        read_checkpoint(tmp_path / "w.pth")
