"""tools/weights.py shows what is published and what is in a file."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from file_server import serve
from safetensors.torch import save as safetensors
from tiny import Tool

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.checkpoints import zoo, zoo_entries
from mmswinv2.checkpoints.locate import architecture_of
from mmswinv2.checkpoints.zoo import ENTRIES, find_entry
from mmswinv2.models import SwinTransformerV2

WEIGHTS = "tools/weights.py"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of fetched files, in a terminal of 80 columns without network."""
    monkeypatch.setenv("MMSWINV2_HOME", str(tmp_path))
    monkeypatch.setenv("MMSWINV2_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    folder = tmp_path / "weights"
    folder.mkdir()
    return folder


def row(out: str, name: str) -> str:
    """The words after a name that begins a line."""
    return " ".join(re.search(rf"^{name} (.*)$", out, re.MULTILINE)[1].split())


def test_list(tool: Tool, cache: Path) -> None:
    """The supervised ones, and how to see the many others."""
    (cache / "swinv2_base_window16_256.ms_in1k.safetensors").touch()
    out = tool(WEIGHTS, "list")
    assert row(out, "base-w16-256") == "87M 256 16 16 16 8 84.6 yes"
    assert row(out, "large-w12-192-22k") == "195M 192 12 12 12 6 - -"
    assert "simmim-" not in out
    assert "and 126 of SimMIM" in out


def test_list_of_some(tool: Tool) -> None:
    """All words have to be in a name."""
    out = tool(WEIGHTS, "list", "simmim", "large")
    names = [e.name for e in ENTRIES if "simmim" in e.name and "large" in e.name]
    assert len(names) == 30
    assert sorted(re.findall(r"^large-\S+", out, re.MULTILINE)) == sorted(names)
    assert "base-" not in out


def test_every_line_fits_80_columns(tool: Tool) -> None:
    """No name or number is cut."""
    out = tool(WEIGHTS, "list", "-")
    assert all(entry.name in out for entry in ENTRIES)
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_show(tool: Tool, cache: Path) -> None:
    """Windows, normalisers, mirrors and their files."""
    entry = find_entry("base-w12to24-384-22k-ft1k")
    out = tool(WEIGHTS, "show", entry.name)
    assert row(out, "windows").startswith("24 24 24 12")
    assert row(out, "normalisers").startswith("12 12 12 6")
    assert row(out, "top-1").startswith("87.1 %")
    assert row(out, "cached") == "no"
    for mirror in entry.mirrors:
        assert mirror.url in out.split()
        assert mirror.file in out.split()
    (cache / mirror.file).touch()
    assert str(cache / mirror.file) in tool(WEIGHTS, "show", entry.name)


@pytest.mark.parametrize(
    "name",
    [
        "tiny-w8-256",
        "huge-w12-192-simmim-1k-500k",
        "giant-w14-224-simmim-22k-125k-ft1k",
    ],
)
def test_the_lines_for_a_config_build_the_backbone(tool: Tool, name: str) -> None:
    """Architecture, windows and checkpoint are those of the entry."""
    out = tool(WEIGHTS, "show", f"swinv2://{name}")
    backbone = eval(f"dict({out.split('In a config:')[1]})")["backbone"]
    assert backbone.pop("type") == "mmswinv2.SwinTransformerV2"
    assert backbone["init_cfg"]["checkpoint"] == f"swinv2://{name}"
    with torch.device("meta"):
        model = SwinTransformerV2(**backbone)
    entry = find_entry(name)
    assert architecture_of(model.state_dict()) == entry.architecture
    assert model.window_size == tuple(window for window, _ in entry.windows)


def test_fetch(
    tool: Tool, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Standard output is the path and nothing else, for use in scripts."""
    entry = find_entry("tiny-w8-256")
    hub = next(m for m in entry.mirrors if m.url.startswith(zoo_entries._HUB))
    monkeypatch.delenv("MMSWINV2_OFFLINE")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    nano = replace(entry, architecture=ARCHITECTURES["nano"], mirrors=(hub,))
    monkeypatch.setitem(zoo._BY_NAME, entry.name, nano)
    content = safetensors(SwinTransformerV2("nano").state_dict())
    with serve() as server:
        server.files[hub.url.removeprefix(zoo_entries._HUB)] = content
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        out = tool(WEIGHTS, "fetch", f"swinv2://{entry.name}")
    assert out == f"{cache / hub.file}\n"
    assert (cache / hub.file).read_bytes() == content


def save(path: Path, **others: torch.Tensor) -> str:
    """A nano backbone in a detector, with other tensors beside it."""
    model = SwinTransformerV2("nano", window_size=[8, (8, 4), 8, 4])
    state = {f"backbone.{k}": v for k, v in model.half().state_dict().items()}
    torch.save({"state_dict": state | others}, path)
    return str(path)


def test_inspect(tool: Tool, tmp_path: Path) -> None:
    """What a checkpoint of ours has."""
    others = {f"neck.{i}": torch.ones(1) for i in range(5)}
    out = tool(WEIGHTS, "inspect", save(tmp_path / "epoch_1.pth", **others))
    assert row(out, "layout") == "mmswinv2"
    assert "nano: 32 channels, depths 2 2 4 2, heads 1 2 4 8" in out
    assert row(out, "parameters").endswith("float16")
    assert row(out, "windows").startswith("8 8x4 8 4")
    assert row(out, "normalisers").startswith("8 8x4 8 4")
    assert row(out, "head") == "none"
    assert "5 (neck.0, neck.1, neck.2, ...)" in out


def test_inspect_of_a_published_layout(tool: Tool, tmp_path: Path) -> None:
    """Its windows come from the name of the file, and are asked for without one."""
    timm = pytest.importorskip("timm")
    model = timm.create_model("swinv2_tiny_window16_256", num_classes=10)
    name = find_entry("tiny-w16-256").mirrors[0].file
    for file in (tmp_path / name, tmp_path / "renamed.pth"):
        torch.save(model.state_dict(), file)
    out = tool(WEIGHTS, "inspect", tmp_path / name)
    assert row(out, "is") == "swinv2://tiny-w16-256"
    assert row(out, "windows").startswith("16 16 16 8")
    assert row(out, "layout") == "timm"
    assert row(out, "parameters").startswith("27.6M")
    assert row(out, "head") == "10 classes"
    out = tool(WEIGHTS, "inspect", tmp_path / "renamed.pth")
    assert "set pretrained_window_size" in out
    assert "normalisers" not in out


def test_errors(tool: Tool, tmp_path: Path) -> None:
    """One message and exit code 1."""
    assert "no name has tiny and 384" in tool.fails(WEIGHTS, "list", "tiny", "384")
    assert "did you mean swinv2://tiny-w8-256" in tool.fails(WEIGHTS, "show", "tiny-w8")
    assert "MMSWINV2_OFFLINE is set" in tool.fails(WEIGHTS, "fetch", "tiny-w8-256")
    assert "does not exist" in tool.fails(WEIGHTS, "inspect", tmp_path / "none.pth")
    (tmp_path / "page.pth").write_text("<html>")
    assert "HTML page" in tool.fails(WEIGHTS, "inspect", tmp_path / "page.pth")
    torch.save({"layer1.0.conv1.weight": torch.ones(1)}, tmp_path / "resnet.pth")
    assert "a ResNet" in tool.fails(WEIGHTS, "inspect", tmp_path / "resnet.pth")
