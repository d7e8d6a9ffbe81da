"""tools/transfer_window.py: what it prints, writes, draws and refuses."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import DET, Tool, build_model, load_script, load_tiny

from mmswinv2.checkpoints import read_checkpoint, read_swin_weights
from mmswinv2.checkpoints.convert import convert
from mmswinv2.checkpoints.locate import SwinWeights
from mmswinv2.checkpoints.windows import StageWindows, effective_windows
from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.bias_pictures import draw_stage
from mmswinv2.models.window_transfer import StageTransfer

SCRIPT = "tools/transfer_window.py"
ROW = re.compile(r"^(\d) +(\S+) -> (\S+) +(\S+) +(\S+) +(\S+)$", re.MULTILINE)
OFFICIAL = {
    "w8": [*zip(effective_windows(8, 256), effective_windows(8, 256))],
    "w16": [*zip(effective_windows(16, 256), effective_windows(16, 256))],
    "w12to24": [*zip(effective_windows(24, 384), effective_windows(12, 192))],
}


@pytest.fixture
def nano(trained_like) -> SwinTransformerV2:
    """A backbone with weights as training leaves them."""
    return trained_like(SwinTransformerV2("nano"))


def save_official(
    model: SwinTransformerV2, path: Path, windows: StageWindows | None
) -> Path:
    """A file as the authors publish them; without windows it has no coordinates."""
    kept = {k: v for k, v in model.state_dict().items() if k != "window_record"}
    tensors = convert(
        SwinWeights("mmswinv2", kept, windows or OFFICIAL["w8"]), "official"
    ).tensors
    if windows is None:
        tensors = {k: v for k, v in tensors.items() if "relative_" not in k}
    torch.save({"model": tensors}, path)
    return path


def save_own(model: SwinTransformerV2, path: Path) -> Path:
    """A file as a training run writes it, with a neck and a classifier."""
    state = {f"backbone.{k}": v for k, v in model.state_dict().items()}
    state["neck.weight"] = torch.arange(3.0)
    state["head.fc.weight"], state["head.fc.bias"] = torch.ones(3, 256), torch.ones(3)
    torch.save({"state_dict": state, "meta": {"epoch": 3}, "optimizer": {}}, path)
    return path


@pytest.mark.parametrize(
    ("name", "window", "expected"),
    [
        ("w8", "16", [("8", "16", "8", 0.33)] * 4),
        ("w16", "32", [("16", "32", "16", 0.25)] * 3 + [("8", "32", "8", 0.67)]),
        (
            "w12to24",
            "24,24,24,12",
            [("24", "24", "12", 0.0)] * 3 + [("12", "12", "6", 0.0)],
        ),
    ],
)
def test_table_of_official_files(
    tool: Tool, nano, tmp_path: Path, name: str, window: str, expected: list
) -> None:
    """Windows, normaliser and the paper's ratio; shared offsets keep their bias."""
    file = save_official(nano, tmp_path / "official.pth", OFFICIAL[name])
    out = tool(SCRIPT, file, "--window", window)
    assert "layout official, position bias log_cpb" in out
    rows = [(a, b, n, float(part)) for _, a, b, n, part, _ in ROW.findall(out)]
    assert rows == expected
    assert [row[5] for row in ROW.findall(out)] == ["0.00"] * 4


@pytest.mark.parametrize(("kind", "part"), [("linear_cpb", 1.14), ("table", 1.14)])
def test_table_of_other_biases(
    tool: Tool, trained_like, tmp_path: Path, kind: str, part: float
) -> None:
    """Only a table changes what was known: it is stretched."""
    model = trained_like(SwinTransformerV2("nano", position_bias=kind))
    out = tool(SCRIPT, save_own(model, tmp_path / "a.pth"), "--window", "16")
    rows = ROW.findall(out)
    assert [float(row[4]) for row in rows] == [part] * 4
    assert all((float(row[5]) > 0) == (kind == "table") for row in rows)


def test_extrapolation_is_that_of_the_paper() -> None:
    """Section 3.3: 0.33 for log-spaced coordinates, 1.14 for linear ones."""
    ratio = load_script(SCRIPT).extrapolation
    assert ratio("log_cpb", (8, 8), (16, 16)) == pytest.approx(1 / 3)
    assert ratio("linear_cpb", (8, 8), (16, 16)) == pytest.approx(8 / 7)
    assert ratio("log_cpb", (8, 8), (8, 64)) == pytest.approx(1.0)  # the larger axis
    assert ratio("log_cpb", (16, 16), (8, 8)) == 0
    assert math.isinf(ratio("log_cpb", (1, 1), (2, 2)))


@pytest.mark.parametrize(
    ("window", "word"), [("24", None), ("32", "note"), ("128", "warning")]
)
def test_remarks(tool: Tool, nano, tmp_path: Path, window: str, word: str) -> None:
    """Further than the paper without fine-tuning, further than the paper at all."""
    file = save_official(nano, tmp_path / "official.pth", OFFICIAL["w8"])
    out = tool(SCRIPT, file, "--window", window)
    assert re.findall(r"^(note|warning): stage \d", out, re.MULTILINE) == [word] * (
        4 if word else 0
    )


@pytest.mark.parametrize("kind", ["log_cpb", "linear_cpb", "table"])
def test_out_computes_as_the_transferred_model(
    tool: Tool, trained_like, tmp_path: Path, kind: str
) -> None:
    """Features of OUT equal those of CKPT loaded at the window; heads stay, once."""
    model = trained_like(SwinTransformerV2("nano", position_bias=kind))
    file, new = save_own(model, tmp_path / "a.pth"), tmp_path / "new" / "b.pth"
    tool(SCRIPT, file, "--window", "12,12,12,6x12", "--out", new)
    windows = (12, 12, 12, (6, 12))
    assert [w for w, _ in read_swin_weights(new).windows] == [
        (12, 12),
        (12, 12),
        (12, 12),
        (6, 12),
    ]
    written = read_checkpoint(new)
    assert written["state_dict"]["neck.weight"].tolist() == [0, 1, 2]
    heads = {name for name in written["state_dict"] if "head" in name}
    assert heads == {"head.fc.weight", "head.fc.bias"}
    assert written["meta"] == {"epoch": 3}
    assert "optimizer" not in written
    image = torch.rand(1, 3, 100, 130)
    features = []
    for path in (file, new):
        backbone = SwinTransformerV2("nano", position_bias=kind, window_size=windows)
        backbone.load_state_dict(read_checkpoint(path)["state_dict"])
        features.append(backbone.eval()(image))
    for a, b in zip(*features):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_out_of_a_published_file_loads_into_a_detector(
    tool: Tool, nano, tmp_path: Path
) -> None:
    """It has no norms but the published one: others would be random."""
    file, new = tmp_path / "official.pth", tmp_path / "b.pth"
    save_official(nano, file, OFFICIAL["w8"])
    tool(SCRIPT, file, "--window", "16", "--out", new)
    state = read_checkpoint(new)["state_dict"]
    norms = {k.split(".")[1] for k in state if k.startswith("backbone.norm")}
    assert norms == {"norm3"}
    cfg = load_tiny(DET)
    cfg.model.backbone.window_size = 16
    model = build_model(cfg)
    model.load_state_dict(state, strict=False)
    assert model.backbone.window_size == ((16, 16),) * 4
    assert model.backbone.pretrained_window_size == ((8, 8),) * 4


def test_pictures(tool: Tool, nano, tmp_path: Path) -> None:
    """One per stage that has one of the heads (stage 0 has one, stage 1 two)."""
    file = save_official(nano, tmp_path / "official.pth", OFFICIAL["w8"])
    maps = tmp_path / "maps"
    tool(SCRIPT, file, "--window", "16", "--plot", maps, "--heads", 1, 3)
    assert sorted(path.name for path in maps.iterdir()) == [
        "stage1.png",
        "stage2.png",
        "stage3.png",
    ]


def test_picture_has_axes_in_tokens_and_px_and_one_scale() -> None:
    """A value has one colour in all maps, and an offset its px beside its tokens."""
    before, after = torch.rand(3, 15, 15), 4 * torch.rand(3, 31, 23)
    transfer = StageTransfer((8, 8), (16, 12), (8, 8), before, after, 0.0)
    figure = draw_stage(transfer, 2, [0, 2, 7])
    maps = [ax for ax in figure.axes if ax.images]
    assert len(maps) == 4  # heads 0 and 2, before and after
    known = torch.cat([x[[0, 2]].flatten() for x in (before, after)])
    for ax in maps:
        assert ax.images[0].get_clim() == pytest.approx(
            (known.min().item(), known.max().item())
        )
    assert maps[1].get_xlim() == (-11.5, 11.5)
    assert maps[1].get_ylim() == (15.5, -15.5)
    np.testing.assert_allclose(maps[3].images[0].get_array(), after[2])
    figure.draw_without_rendering()
    top = maps[1].child_axes[0]
    assert top.get_xlim() == (-11.5 * 16, 11.5 * 16)  # 16 px per token at stage 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--window", "0"), "--window 0: expected tokens"),
        (("--window", "8x8x8"), "--window 8x8x8: expected tokens"),
        (("--window", "16,16,8"), "3 windows, but the weights have 4 stages"),
        (("--window", "16", "--out", "b.bin"), "expected a .pth file"),
        (("--window", "16", "--out", "a.pth"), "exists already"),
        (("--window", "16", "--plot", "a.pth"), "is a file, expected a folder"),
        (("--window", "16", "--plot", "m", "--heads", "9"), "expected 0 to 7"),
        (("--window", "16", "--pretrained-window", "8"), "leave out"),
    ],
)
def test_bad_arguments(
    tool: Tool, nano, tmp_path: Path, arguments: tuple, expected: str
) -> None:
    """One message, and nothing is written."""
    save_official(nano, tmp_path / "a.pth", OFFICIAL["w8"])
    assert expected in tool.fails(SCRIPT, "a.pth", *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_file_that_does_not_tell_its_windows(tool: Tool, nano, tmp_path: Path) -> None:
    """The message says what to add, and that works."""
    file = save_official(nano, tmp_path / "a.pth", None)
    assert "add --pretrained-window 8" in tool.fails(SCRIPT, file, "--window", "16")
    out = tool(SCRIPT, file, "--window", "16", "--pretrained-window", "8,8,8,4")
    assert [row[1] for row in ROW.findall(out)] == ["8", "8", "8", "4"]


def test_other_files(tool: Tool, tmp_path: Path) -> None:
    """No file, and weights of another model."""
    assert "does not exist" in tool.fails(SCRIPT, "none.pth", "--window", "16")
    other = {"layers.0.blocks.0.attn.relative_position_bias_table": torch.zeros(169, 3)}
    torch.save(other, tmp_path / "v1.pth")
    message = tool.fails(SCRIPT, tmp_path / "v1.pth", "--window", "16")
    assert "Swin Transformer V1" in message
