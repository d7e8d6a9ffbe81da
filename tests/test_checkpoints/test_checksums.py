"""Whatever has a checksum is refused when its content has changed."""

import random
import zipfile

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mmswinv2.checkpoints import read_checkpoint, read_swin_weights
from mmswinv2.checkpoints.checksums import digest
from mmswinv2.checkpoints.convert import convert
from mmswinv2.checkpoints.locate import SwinWeights
from mmswinv2.models import SwinTransformerV2

WINDOWS = [((8, 8), (8, 8))] * 4


@pytest.fixture(scope="module")
def weights():
    model = SwinTransformerV2("nano")
    tensors = {k: v for k, v in model.state_dict().items() if k != "window_record"}
    return SwinWeights("mmswinv2", tensors, WINDOWS)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "folder"])
def test_no_flipped_bit_of_a_weight_is_loaded(name, weights, tmp_path):
    path = tmp_path / name
    convert(weights, "mmswinv2" if path.suffix else "hf").save(path)
    file = path / "model.safetensors" if path.is_dir() else path
    content = file.read_bytes()
    rng = random.Random(0)
    for _ in range(8):
        at = rng.randrange(len(content) // 3, len(content) * 2 // 3)
        flipped = bytes([content[at] ^ 1 << rng.randrange(8)])
        file.write_bytes(content[:at] + flipped + content[at + 1 :])
        with pytest.raises(ValueError, match="is damaged"):
            read_checkpoint(path)


@pytest.mark.parametrize("key", ["mmswinv2.windows", "mmswinv2.sha256"])
def test_the_checksum_is_of_the_windows_too(key, weights, tmp_path):
    path = tmp_path / "w.safetensors"
    convert(weights, "timm").save(path)
    with safe_open(path, "pt") as opened:
        metadata = opened.metadata()
    assert read_swin_weights(path).windows == WINDOWS
    metadata[key] = metadata[key].replace("8", "9")
    save_file(load_file(path), path, metadata=metadata)
    with pytest.raises(ValueError, match="another SHA-256 than when it was written"):
        read_checkpoint(path)


def test_what_protects_a_file_is_known(weights, tmp_path):
    for name, expected in (
        ("w.pth", "CRC-32 of every entry"),
        ("w.safetensors", "SHA-256 of mmswinv2"),
    ):
        convert(weights, "mmswinv2").save(tmp_path / name)
        assert read_swin_weights(tmp_path / name).protection == expected
    save_file(convert(weights, "mmswinv2").tensors, tmp_path / "other.safetensors")
    assert read_swin_weights(tmp_path / "other.safetensors").protection == "none"


def test_torch_may_have_been_told_to_write_no_checksums(weights, tmp_path):
    path = tmp_path / "w.pth"
    torch.serialization.set_crc32_options(False)
    try:
        convert(weights, "official").save(path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_swin_weights(path).protection == "none"


def test_an_archive_that_was_compressed_is_named(tmp_path):
    torch.save({"w": torch.zeros(1000)}, tmp_path / "w.pth")
    with (
        zipfile.ZipFile(tmp_path / "w.pth") as stored,
        zipfile.ZipFile(tmp_path / "z.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))
    with pytest.raises(ValueError, match="has compressed entries"):
        read_checkpoint(tmp_path / "z.pth")


def test_strides_are_not_part_of_the_content():
    plain, strided = torch.ones(1, 2), torch.ones(8).as_strided((1, 2), (7, 1))
    odd = torch.ones(8).as_strided((1,), (8,))
    assert digest({"w": plain}, {}) == digest({"w": strided}, {})
    assert digest({"w": odd}, {}) == digest({"w": torch.ones(1)}, {})
    assert digest({"w": odd}, {}) != digest({"w": odd.int()}, {})
