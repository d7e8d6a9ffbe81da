"""Analyses beside the window transfer benchmark: where far begins, amplitudes."""

import json
from pathlib import Path
from unittest.mock import patch

import amplitudes
import boundary
import pytest
import torch
from protocol import PRETRAIN, SIZES, Phase, build
from scenes import make_scenes

from mmswinv2.models.blocks import SwinBlock
from mmswinv2.ops.window_attention import reference


def test_boundary_is_the_best_split() -> None:
    """Of clear names between the two, of a mistake the one with fewest wrong."""
    distance = torch.tensor([0.5, 0.1, 0.4, 0.2, 0.3])
    far = torch.tensor([True, False, True, False, False])
    assert boundary.boundary(distance, far) == pytest.approx(0.35)
    far[1] = True
    assert boundary.boundary(distance, far) == pytest.approx(0.35)


def test_named_far_reads_the_name_of_most_px() -> None:
    """A model that names by the true distance is seen through."""
    scenes = make_scenes(20, torch.Generator().manual_seed(0))
    net = build(Phase("log_cpb", 0, PRETRAIN, 8), SIZES["smoke"])
    truth = torch.zeros(20, 10, 64, 64)
    with patch.object(type(net), "forward", lambda self, image: (truth,)):
        truth[:, 2] = 1.0  # near everywhere
        distance, far = boundary.named_far(net, scenes, 64)
        assert len(distance) == (scenes.labels[:, 1:] > 0).sum()
        assert not far.any()
        truth[:, 7] = 2.0  # far everywhere
        assert boundary.named_far(net, scenes, 64)[1].all()
        truth[:, 0] = 3.0  # nothing found
        assert len(boundary.named_far(net, scenes, 64)[0]) == 0


def make_block(trained_like) -> SwinBlock:
    net = build(amplitudes.PHASE, amplitudes.size_of("T", 1))
    return trained_like(amplitudes.blocks_of(net)[2])


def test_pre_norm_normalises_what_branches_are_given(trained_like) -> None:
    """The main branch itself is never normalised: a large one stays large."""
    block = make_block(trained_like)
    amplitudes.pre_norm(block)
    x, table = 100 * torch.randn(1, 8, 8, 64), torch.zeros(2, 15, 15)
    out = block(x, table, (8, 8), (0, 0))
    mean, spread = x.mean(-1, keepdim=True), x.var(-1, correction=0, keepdim=True)
    normed = (x - mean) / (spread + 1e-5).sqrt() + block.norm1.bias
    attended = x + block.attn(normed, table, window=(8, 8), shift=(0, 0))
    torch.testing.assert_close(out, attended + block.mlp(block.norm2(attended)))


def test_dot_product_is_that_of_swin_v1(trained_like) -> None:
    """Softmax of q k / sqrt(d) plus the bias, by PyTorch's own attention."""
    block = make_block(trained_like)
    attn = block.attn
    amplitudes.dot_product(block)
    x, table = torch.randn(1, 8, 8, 64), torch.randn(2, 15, 15)
    with patch.object(reference, "unit_length", lambda x: x):
        ours = attn(x, table, window=(8, 8), shift=(0, 0))
    bias = torch.cat((attn.q_bias, torch.zeros(64), attn.v_bias))
    qkv = torch.nn.functional.linear(x.flatten(1, 2), attn.qkv.weight, bias)
    q, k, v = qkv.view(1, 64, 3, 2, 32).permute(2, 0, 3, 1, 4)
    index = reference.relative_position_index((8, 8), torch.device("cpu"))
    out = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=table.flatten(1)[:, index]
    )
    expected = attn.proj(out.transpose(1, 2).flatten(2)).view(1, 8, 8, 64)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_amplitudes_are_measured_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One value per block and variant; a second call trains nothing."""
    shallow = {"T": (1, 1), "S": (1, 2)}
    monkeypatch.setattr(amplitudes, "DEPTHS", shallow)
    size_of = amplitudes.size_of

    def tiny(depth: str, steps: int) -> object:
        size = size_of(depth, steps)
        size.backbone.update(num_heads=(1, 2), out_indices=(0, 1))
        return amplitudes.replace(size, batch=(2, 2), test_scenes=2)

    monkeypatch.setattr(amplitudes, "size_of", tiny)
    monkeypatch.setattr("sys.argv", ["x", "--steps", "1", "--out", str(tmp_path)])
    amplitudes.main()
    files = sorted(tmp_path.glob("*.json"))
    assert len(files) == 8
    for file in files:
        result = json.loads(file.read_text())
        blocks = sum(shallow[file.name[0]])
        assert len(result["before"]) == len(result["after"]) == blocks
    assert (tmp_path / "amplitudes.md").read_text().count("pre-norm") == 4
    monkeypatch.setattr(amplitudes, "run_variant", None)
    amplitudes.main()
