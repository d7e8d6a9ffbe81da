"""Files that are not what they seem end in a sentence of this package, never a bug."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from mmswinv2.apis import load_trained_weights
from mmswinv2.checkpoints import read_checkpoint, read_swin_weights
from mmswinv2.checkpoints.convert import convert
from mmswinv2.checkpoints.locate import SwinWeights
from mmswinv2.models import SwinTransformerV2

MARKER = "layers.0.blocks.0.attn.logit_scale"
CONFIG = dict(model_type="swinv2", window_size=8, image_size=64, depths=[1, 1])
SIZE = dict(embed_dims=4, depths=(1, 1), num_heads=(1, 1), out_indices=(0, 1))


def own_words(path, function=read_checkpoint):
    """The message of this package, over a file that must be refused."""
    with pytest.raises((ValueError, RuntimeError, FileNotFoundError)) as caught:
        function(path)
    assert "mmswinv2" in str(caught.traceback[-1].path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": None}, "has a NoneType in 'state_dict', expected a dict"),
        ({"state_dict": [1], "meta": {}}, "has a list in 'state_dict'"),
        ({MARKER: torch.ones(1), "meta": None}, "has a NoneType in 'meta'"),
        ({"meta": []}, "has a list in 'meta'"),
        ({1: torch.ones(1)}, "has a tensor by the name '1'"),
        ({(1, 2): torch.ones(1)}, "has a tensor by the name"),
        ({"a\n\x1b[31mb": torch.ones(1)}, r"has a tensor by the name 'a\n\x1b[31mb'"),
        ({"a" * 1000: torch.ones(1)}, "has a tensor by the name 'aaaa"),
        ([torch.ones(1)], "holds a list, expected a dict of tensors"),
    ],
)
def test_contents_that_are_no_checkpoint(content, message, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    assert message in own_words(tmp_path / "w.pth")


def test_tensors_without_dimensions(tmp_path):
    model = SwinTransformerV2(**SIZE)
    state = {name: torch.tensor(1.0) for name in model.state_dict()}
    del state["window_record"]
    with pytest.raises(RuntimeError, match="the weights do not fit"):
        model.load_state_dict(state)
    torch.save(state, tmp_path / "w.pth")
    read = read_swin_weights(tmp_path / "w.pth")
    read.windows = [((8, 8), (8, 8))] * 2
    with pytest.raises(RuntimeError, match="no complete Swin V2 weights"):
        convert(read, "official")


def test_odd_parts_of_a_trained_checkpoint(tmp_path):
    model = torch.nn.Linear(2, 2)
    for content, message in (
        ({"model": [1]}, "has a list in 'model'"),
        (
            {"state_dict": model.state_dict(), "meta": {"dataset_meta": [1]}},
            "has a list in meta.dataset_meta",
        ),
    ):
        torch.save(content, tmp_path / "w.pth")
        given = own_words(tmp_path / "w.pth", lambda p: load_trained_weights(model, p))
        assert message in given


@pytest.mark.parametrize("suffix", [".pth", ".bin", ""])
def test_safetensors_are_known_by_their_content(suffix, tmp_path):
    save_file({"w": torch.arange(3)}, tmp_path / f"w{suffix}")
    assert read_checkpoint(tmp_path / f"w{suffix}")["w"].tolist() == [0, 1, 2]
    torch.save({"w": torch.arange(3)}, tmp_path / "w.safetensors")
    assert read_checkpoint(tmp_path / "w.safetensors")["w"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("s3://bucket/w.pth", "s3:// cannot be read, expected a file"),
        ("file:///tmp/w.pth", "file:// cannot be read"),
        ("ftp://user:secret@host/w.pth", "ftp:// cannot be read"),
        ("a" * 300 + ".pth", "does not exist"),
        ("w.pth\0", "does not exist"),
        ("~nobody-here/w.pth", "does not exist"),
        ("", "as a folder it has none of"),
    ],
)
def test_names_that_are_no_files(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = own_words(name)
    assert message in text
    assert "secret" not in text


@pytest.mark.parametrize(
    "config",
    [
        [],
        None,
        "swinv2",
        CONFIG | {"window_size": "8"},
        CONFIG | {"window_size": 0},
        CONFIG | {"image_size": 1.5},
        CONFIG | {"depths": 4},
        CONFIG | {"depths": [1] * 99},
        {"architecture": 5},
        {"architecture": "swinv2_tiny_window8_256", "model_args": [1]},
    ],
    ids=range(10),
)
def test_odd_configurations(config, tmp_path):
    save_file({MARKER: torch.ones(1, 1, 1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "config.json does not tell the windows" in own_words(tmp_path)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": None}, "has no weight_map"),
        ({"weight_map": {"a": 1}}, "names 1: expected a file beside it"),
        ({"weight_map": {"a": None}}, "names None"),
        ({"weight_map": {"a": ""}}, "names ''"),
        ({"weight_map": {str(i): f"{i}.bin" for i in range(1001)}}, "over 1,000"),
        ("[" * 100_000, "is no JSON file"),
    ],
    ids=range(6),
)
def test_odd_indices(index, message, tmp_path):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(index if isinstance(index, str) else json.dumps(index))
    assert message in own_words(path)


@pytest.mark.parametrize("record", ["", "x", "[]", "[[[8,8],[8,8]]]", "[" * 100_000])
def test_odd_windows_in_metadata(record, tmp_path):
    state = SwinTransformerV2(**SIZE).state_dict()
    del state["window_record"]
    save_file(state, path := tmp_path / "w.safetensors", {"mmswinv2.windows": record})
    own_words(path, read_swin_weights)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A checkpoint of every kind: folder that is to be given, file in it, content."""
    root = tmp_path_factory.mktemp("sound")
    model = SwinTransformerV2(**SIZE)
    state = {k: v for k, v in model.state_dict().items() if k != "window_record"}
    windows = [((4, 4), (4, 4)), ((2, 2), (2, 2))]
    weights = SwinWeights("mmswinv2", state, windows)
    for kind in ("w.pth", "w.safetensors"):
        convert(weights, "official").save(root / kind)
    convert(weights, "hf").save(root / "folder")
    content = torch.load(root / "w.pth", weights_only=True)
    torch.save(content, root / "old.pth", _use_new_zipfile_serialization=False)
    folder = root / "folder"
    return weights, {
        **{path: (path, path.read_bytes()) for path in root.glob("*.*")},
        **{path: (folder, path.read_bytes()) for path in folder.iterdir()},
    }


@settings(max_examples=150)
@given(data=st.data())
def test_any_damage_is_refused_in_our_words_or_does_not_matter(data, sound):
    """Bytes that are other ones, missing or too many, anywhere in any kind of file."""
    weights, files = sound
    file = data.draw(st.sampled_from([*files]))
    given_path, content = files[file]
    edit = st.tuples(
        st.floats(0, 1) | st.floats(0, 0.02),  # where, of the file
        st.sampled_from([0, 1, 1, 4, 100, 10**9]),
        st.binary(max_size=8),
    )
    damaged = bytearray(content)
    for place, length, new in data.draw(st.lists(edit, min_size=1, max_size=3)):
        at = int(place * len(damaged))
        damaged[at : at + length] = new
    file.write_bytes(damaged)
    try:
        found = read_swin_weights(given_path).tensors
    except (ValueError, RuntimeError, FileNotFoundError) as error:
        frame = error.__traceback__
        while frame.tb_next:
            frame = frame.tb_next
        assert "mmswinv2" in frame.tb_frame.f_code.co_filename
    else:
        common = found.keys() & weights.tensors.keys()
        equal = all(found[name].equal(weights.tensors[name]) for name in common)
        assert equal or file.name == "old.pth"  # which has no checksum
    finally:
        file.write_bytes(content)
