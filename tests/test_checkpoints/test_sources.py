"""Checkpoints by path, folder, index, URL and name, and the windows found there."""

import json
import re

import pytest
import torch
from file_server import serve
from mmengine.runner import CheckpointLoader, load_checkpoint
from safetensors.torch import save, save_file
from torch import nn

from mmswinv2.checkpoints import read_checkpoint, read_swin_weights, sources, zoo
from mmswinv2.checkpoints.convert import convert
from mmswinv2.checkpoints.layouts import LAYOUTS
from mmswinv2.checkpoints.locate import SwinWeights
from mmswinv2.checkpoints.windows import effective_windows
from mmswinv2.models import SwinTransformerV2

WINDOWS = [*zip(effective_windows(24, 384), effective_windows(12, 192))]


@pytest.fixture
def weights(trained_like):
    model = trained_like(SwinTransformerV2("nano"))
    tensors = {
        k: v
        for k, v in model.state_dict().items()
        if not re.match("norm[012]|window_record", k)
    }
    return SwinWeights("mmswinv2", tensors, WINDOWS)


class Detector(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.backbone = SwinTransformerV2("nano", window_size=32, **options)


def assert_loaded(backbone, weights):
    assert [*backbone.pretrained_window_size] == [unit for _, unit in WINDOWS]
    assert [window for window, _ in backbone.loaded.windows] == [w for w, _ in WINDOWS]
    own = backbone.state_dict()
    for name, tensor in weights.tensors.items():
        assert torch.equal(own[name], tensor), name


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        *((layout, "weights.safetensors") for layout in LAYOUTS),
        *(
            (name, "weights.pth")
            for name, layout in LAYOUTS.items()
            if layout.buffers or name == "mmswinv2"  # which tell the windows
        ),
        ("hf", "folder"),
        ("timm", "folder"),
    ],
)
def test_every_layout_and_kind_of_file_loads_with_its_windows(
    layout, file, weights, tmp_path, logs
):
    path = tmp_path / file
    convert(weights, layout).save(path)
    detector = Detector()
    load_checkpoint(detector, str(path))  # as load_from does
    assert_loaded(detector.backbone, weights)
    assert f"Loaded {layout} Swin V2 weights" in "\n".join(logs)
    bare = SwinTransformerV2(
        "nano", init_cfg=dict(type="Pretrained", checkpoint=str(path))
    )
    bare.init_weights()
    assert_loaded(bare, weights)
    prefixed = dict(type="Pretrained", checkpoint=str(path), prefix="backbone.")
    nested = Detector(init_cfg=prefixed)
    nested.backbone.init_weights()
    assert_loaded(nested.backbone, weights)
    read = read_swin_weights(path)
    assert read.windows == WINDOWS
    assert read.layout == layout


def split(folder, names):
    """Spread the weights of a folder over two files and an index."""
    content = sources.read_file(folder / "model.safetensors", "model")
    (folder / "model.safetensors").unlink()
    shards = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in names}
    for shard in set(shards.values()):
        own = {n: content[n] for n in content if shards[n] == shard}
        save_file(own, folder / shard)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    return index


@pytest.fixture
def sharded(weights, tmp_path):
    folder = tmp_path / "hf"
    converted = convert(weights, "hf")
    converted.save(folder)
    return split(folder, [*enumerate(converted.tensors)])


def test_sharded_weights_load_from_the_index_and_from_the_folder(sharded, weights):
    for path in (sharded, sharded.parent):
        detector = Detector()
        load_checkpoint(detector, str(path))
        assert_loaded(detector.backbone, weights)


def test_an_index_that_does_not_fit_its_files_is_refused(sharded, tmp_path):
    index = json.loads(sharded.read_text())
    index["weight_map"]["extra"] = "model-00001-of-00002.safetensors"
    sharded.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"1 tensors that its files lack.*'extra'"):
        read_checkpoint(sharded)
    index["weight_map"]["extra"] = "../secret.bin"
    sharded.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"'../secret.bin': expected a file beside it"):
        read_checkpoint(sharded)
    index["weight_map"]["extra"] = "model-00003-of-00002.safetensors"
    sharded.write_text(json.dumps(index))
    with pytest.raises(FileNotFoundError, match="00003"):
        read_checkpoint(sharded)
    sharded.write_text("[]")
    with pytest.raises(ValueError, match="is no index of sharded weights"):
        read_checkpoint(sharded)


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="as a folder it has none of"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        # A published configuration: 0 stands for the window itself.
        (
            dict(
                model_type="swinv2",
                window_size=16,
                image_size=256,
                pretrained_window_sizes=[0, 0, 0, 0],
                depths=[2, 2, 4, 2],
            ),
            [*zip(effective_windows(16, 256), effective_windows(16, 256))],
        ),
        (
            dict(
                model_type="swinv2",
                window_size=16,
                image_size=256,
                pretrained_window_sizes=[[8, 0]] * 3 + [0],
                depths=[2, 2, 4, 2],
            ),
            [((16, 16), (8, 16))] * 3 + [((8, 8), (8, 8))],
        ),
        (
            {"architecture": "swinv2_base_window12to24_192to384.ms_in22k_ft_in1k"},
            WINDOWS,
        ),
        (
            {"architecture": "swinv2_tiny_window8_256"},
            [*zip(effective_windows(8, 256), effective_windows(8, 256))],
        ),
        ({"model_type": "swin", "window_size": 7}, None),
        ({"architecture": "resnet50"}, None),
    ],
)
def test_windows_come_from_the_configuration_beside_a_file(
    config, expected, weights, tmp_path
):
    folder = tmp_path / "timm"
    folder.mkdir()
    save_file(convert(weights, "timm").tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    assert read_swin_weights(folder).windows == expected


def test_a_configuration_tells_timm_the_size_of_images(weights, tmp_path):
    convert(weights, "timm").save(tmp_path / "timm")
    config = json.loads((tmp_path / "timm" / "config.json").read_text())
    assert config["pretrained_cfg"]["input_size"] == [3, 384, 384]


def test_the_decoder_of_a_simmim_file_has_its_name_in_a_model(weights, tmp_path):
    state = {f"encoder.{k}": v for k, v in weights.tensors.items()}
    state = {k.replace(".norm3.", ".norm."): v for k, v in state.items()}
    path = tmp_path / "w.pth"
    torch.save({"model": {**state, "decoder.0.bias": torch.ones(1)}}, path)
    assert "neck.decoder.0.bias" in read_checkpoint(path)["state_dict"]


def test_a_configuration_that_contradicts_its_file_is_refused(weights, tmp_path):
    folder = tmp_path / "timm"
    convert(weights, "timm").save(folder)
    config = json.dumps({"architecture": "swinv2_tiny_window8_256"})
    (folder / "config.json").write_text(config)
    with pytest.raises(ValueError, match=r"config\.json has the windows .*\(24, 24\)"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    "config", [{}, dict(window_size=[8, 8, 8], image_size=256, depths=[2, 2, 4, 2])]
)
def test_a_broken_configuration_is_named(config, weights, tmp_path):
    folder = tmp_path / "hf"
    convert(weights, "hf").save(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "swinv2", **config}))
    with pytest.raises(ValueError, match=r"config\.json does not tell the windows"):
        read_checkpoint(folder)


def test_without_any_word_on_windows_the_backbone_asks_for_them(weights, tmp_path):
    path = tmp_path / "renamed.safetensors"
    save_file(convert(weights, "timm").tensors, path)
    with pytest.raises(ValueError, match="write pretrained_window_size=8"):
        load_checkpoint(Detector(), str(path))
    explicit = Detector(pretrained_window_size=[12, 12, 12, 6])
    load_checkpoint(explicit, str(path))
    assert explicit.backbone.pretrained_window_size[3] == (6, 6)


def test_a_published_file_by_its_own_name_has_the_windows_of_its_entry(
    weights, tmp_path
):
    entry = zoo.find_entry("base-w12to24-384-22k-ft1k")
    path = tmp_path / next(m.file for m in entry.mirrors if "timm" in m.url)
    save_file(convert(weights, "timm").tensors, path)
    assert read_swin_weights(path).windows == WINDOWS


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Puts weights where those of tiny-w8-256 belong; gives their path."""
    monkeypatch.setenv("MMSWINV2_HOME", str(tmp_path))
    monkeypatch.setenv("MMSWINV2_OFFLINE", "1")
    path = zoo.cache_folder() / zoo.find_entry("tiny-w8-256").mirrors[0].file
    path.parent.mkdir(parents=True)

    def put(arch):
        tensors = SwinTransformerV2(arch).state_dict()
        del tensors["window_record"]
        torch.save({"model": tensors}, path)
        return path

    return put


def test_a_name_loads_wherever_mmengine_takes_a_checkpoint(cached):
    cached("tiny")
    checkpoint = "swinv2://tiny-w8-256"
    model = SwinTransformerV2(
        "tiny", window_size=16, init_cfg=dict(type="Pretrained", checkpoint=checkpoint)
    )
    model.init_weights()
    assert model.pretrained_window_size == ((8, 8),) * 4
    assert (
        "backbone.window_record"
        in (CheckpointLoader.load_checkpoint(checkpoint)["state_dict"])
    )


def test_a_file_that_is_not_what_its_name_says_is_refused(cached, capsys):
    path = cached("nano")
    for content in ("embed_dims=32.*=96", "a ResNet"):
        with pytest.raises(ValueError, match="swinv2_tiny_patch4_window8_256"):
            read_checkpoint("swinv2://tiny-w8-256")
        assert re.search(f"is not 'swinv2://tiny.*{content}", capsys.readouterr().err)
        torch.save({"layer1.0.conv1.weight": torch.ones(1)}, path)


def test_a_name_without_network_says_which_file_to_put_where(cached):
    with pytest.raises(ValueError, match=r"swinv2_tiny_patch4_window8_256\.pth"):
        read_checkpoint("swinv2://tiny-w8-256")


def test_a_url_loads_with_the_windows_of_its_name(tmp_path, monkeypatch, weights):
    """The last part of its path alone tells them; torch's cache is not looked at."""
    monkeypatch.setenv("MMSWINV2_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    entry = zoo.find_entry("base-w12to24-384-22k-ft1k")
    known = next(m.file for m in entry.mirrors if "timm" in m.url)
    content = save(convert(weights, "timm").tensors)
    old = tmp_path / "hub" / "checkpoints" / known
    old.parent.mkdir(parents=True)
    old.write_bytes(b"of another URL")
    with serve() as server:
        other = f"/w.safetensors?name=/{known}"
        server.files |= {f"/a/{known}?download=true": content, other: content}
        for _ in range(2):
            url = f"{server.url}/a/{known}?download=true"
            assert read_swin_weights(url).windows == WINDOWS
            assert read_checkpoint(url, None).keys() == {"state_dict", "meta"}
        assert read_swin_weights(server.url + other).windows is None
        assert len(server.requests) == 2


def test_a_url_that_cannot_be_fetched_says_where_to_put_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSWINV2_HOME", str(tmp_path))
    with pytest.raises(
        ValueError, match=rf"(?s)put it into {tmp_path}/.*as \w+-w\.pth"
    ):
        read_checkpoint("http://127.0.0.1:9/w.pth")


@pytest.mark.parametrize("outer", ["module.", "_orig_mod.", "model."])
def test_a_whole_model_under_a_wrapper_loads_all_of_it(outer, weights, tmp_path):
    """Not the backbone alone: its neck would silently start from scratch."""
    state = convert(weights, "mmswinv2").tensors | {"neck.weight": torch.ones(2)}
    path = tmp_path / "wrapped.pth"
    content = {"state_dict": {outer + k: v for k, v in state.items()}, "epoch": 3}
    torch.save(content, path)
    checkpoint = read_checkpoint(path)
    assert checkpoint["state_dict"].keys() == state.keys()
    assert checkpoint["epoch"] == 3


def test_a_checkpoint_of_a_run_comes_back_as_it_is(weights, tmp_path):
    path = tmp_path / "epoch_1.pth"
    state = convert(weights, "mmswinv2").tensors
    torch.save({"state_dict": state, "meta": {"epoch": 1}, "optimizer": {}}, path)
    checkpoint = read_checkpoint(path)
    assert checkpoint.keys() == {"state_dict", "meta", "optimizer"}
    assert checkpoint["state_dict"].keys() == state.keys()
