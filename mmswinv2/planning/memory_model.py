"""Memory that training a backbone takes on a device, counted tensor by tensor.

What autograd keeps between the forward and the backward pass follows from the code of
blocks, attention and torch, and is exact but for a few bytes per block. What passes
while one block runs its backward pass is an estimate.
"""
# B batch, C channels, n heads, N tokens of a window, T tokens, P tokens with padding,
# L logits, e bytes of a number of linear layers: 4 for fp32, 2 under autocast. Sizes
# are those of images, (height, width), or of clips, (frames, height, width).

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise, product
from math import prod
from typing import Any

from mmswinv2.architectures import Architecture
from mmswinv2.models.blocks import PATCH_SIZE
from mmswinv2.models.position_bias import HIDDEN_DIMS
from mmswinv2.models.window_fit import Window, fit_axis
from mmswinv2.ops.window_attention.bias_rows import rows_of
from mmswinv2.ops.window_attention.dispatch import AUTO
from mmswinv2.ops.window_attention.windows import axis_labels

CHUNKED_SCRATCH = {"cpu": 2**24, "cuda": 2**29}  # bytes of its pieces, about
FP32 = 4  # bytes; the main branch, norms and biases are fp32 under autocast too


@dataclass(frozen=True)
class Block:
    """A block at work.

    Attributes:
        batch (int): Images or clips B.
        size (tuple[int, ...]): Map in tokens, (H, W), of clips (T, H, W).
        window (tuple[int, ...]): Window in tokens, fitted to the map.
        shift (tuple[int, ...]): Shift in tokens.
        channels (int): C.
        heads (int): n.
        hidden (int): Hidden channels of the MLP.
        number (int): e, bytes of a number of linear layers.
    """

    batch: int
    size: Window
    window: Window
    shift: Window
    channels: int
    heads: int
    hidden: int
    number: int

    @property
    def tokens(self) -> int:
        """T, all images."""
        return self.batch * prod(self.size)

    @property
    def padded(self) -> int:
        """P, as T with the padding to whole windows."""
        lengths = (-(-length // w) * w for length, w in zip(self.size, self.window))
        return self.batch * prod(lengths)

    @property
    def logits(self) -> int:
        """L, of all heads."""
        return self.padded * prod(self.window) * self.heads

    @property
    def groups(self) -> list[Window]:
        """Windows along every axis that have one mask each, those of 'sdpa'."""
        axes = zip(self.size, self.window, self.shift)
        runs = ([len([*run]) for _, run in groupby(axis_labels(*a))] for a in axes)
        return [*product(*runs)]

    @property
    def grouped(self) -> int:
        """Tokens of q, of k or of v that the groups of 'sdpa' keep.

        A group is a copy of its windows, or a view that keeps those of all groups.
        """
        counts = [-(-n // w) for n, w in zip(self.size, self.window)]
        strides = [prod(counts[i:]) for i in range(len(counts) + 1)]
        copied, viewed = 0, False
        for group in self.groups:
            dims = [dim for dim in zip((self.batch, *group), strides) if dim[0] > 1]
            if all(
                outer == size * inner for (_, outer), (size, inner) in pairwise(dims)
            ):
                viewed = True
            else:
                copied += self.batch * prod(group) * prod(self.window)
        return copied + viewed * self.padded


def attention_kept(block: Block, name: str, device: str) -> int:
    """Bytes kept from the map of queries, keys and values to the output, both included.

    Args:
        block (Block): Sizes.
        name (str): Implementation, not 'auto'.
        device (str): 'cpu' or 'cuda'.

    Returns:
        int: Bytes, without those of the position bias.
    """
    C, n, N, e = block.channels, block.heads, prod(block.window), block.number
    T, P = block.tokens, block.padded
    out = e * C * T  # which the projection keeps, whatever made it
    if name == "chunked":
        return out + 3 * e * C * T
    if name == "triton":
        return out + 3 * e * C * T + FP32 * n * T
    # Normalised q and k: squares keep the input, products both factors. Per number and
    # head: the condition, the square and the inverse length.
    lengths = 2 * (1 + 4 + 4) * n
    if name == "reference":
        # q, k, v in fp32; q, k before and q after division by the length; scaled q, k
        # and v laid out for products, which v of one head is already.
        copies = FP32 * C * (3 + 2 + 1 + 2 + (n > 1))
        return out + (copies + lengths) * P + FP32 * block.logits + 8 * N * N
    inputs = 3 if e == FP32 else 2  # the map itself, or fp32 copies of q and k
    unit = FP32 * C * (inputs + 2 + 1) * T + lengths * T
    if device == "cpu":  # the mathematical backend, in fp32
        # q, k and v laid out for products; of one head, v stays with q and k beside it.
        laid_out = 2 * P + 3 * block.grouped if n == 1 and e == FP32 else 3 * P
        return out + unit + FP32 * C * laid_out + FP32 * block.logits
    aligned = -(-N // 8) * 8
    masks = len(block.groups) * e * n * N * aligned
    return out + unit + e * C * (3 * block.grouped + P) + FP32 * n * P + masks


def block_kept(
    block: Block,
    *,
    attention: str = "auto",
    device: str = "cuda",
    recompute: str | None = None,
    position_bias: str = "log_cpb",
    extra_norm: bool = False,
    drop_rate: float = 0.0,
) -> dict[str, int]:
    """Bytes that a block keeps for its backward pass, by what keeps them.

    Args:
        block (Block): Sizes.
        attention (str): Implementation. Defaults to 'auto'.
        device (str): 'cpu' or 'cuda'. Defaults to 'cuda'.
        recompute (str, optional): What is recomputed, 'block' or 'mlp'.
        position_bias (str): See :class:`PositionBias`. Defaults to 'log_cpb'.
        extra_norm (bool): LayerNorm on the main branch. Defaults to False.
        drop_rate (float): Dropout of projection and MLP. Defaults to 0.

    Returns:
        dict[str, int]: Of 'attention', 'mlp', 'norms', 'bias' (of positions) and
        'weights' (their 16-bit copies under autocast).
    """
    name = AUTO[device] if attention == "auto" else attention
    C, T, e = block.channels, block.tokens, block.number
    offsets = prod(2 * length - 1 for length in block.window)
    table = FP32 * block.heads * offsets
    # Coordinates, hidden layer and sigmoid of the meta network, or what it takes to
    # compute them again: its weights.
    inputs = len(block.window)
    network = FP32 * (inputs + HIDDEN_DIMS) * offsets + table
    if device == "cpu":
        network = FP32 * HIDDEN_DIMS * (inputs + 1 + block.heads)
    bias = 0 if position_bias == "table" else network
    if recompute == "block" or name in ("chunked", "triton"):
        bias += table
    if recompute == "block":
        return {"attention": FP32 * C * T, "bias": bias}
    norm = (FP32 * C + 8) * T  # its input, mean and deviation
    # The fused residual norm keeps the branch, and the MLP's copy of the main branch,
    # as matrix products have them.
    kept = e if device == "cuda" else FP32
    norms = 2 * (kept * C + 8) * T + extra_norm * norm
    drop = 0 if not drop_rate else 1 if device == "cuda" else e
    attend = e * C * T + attention_kept(block, name, device) + drop * C * T
    # GELU's result is not kept on CPU but by autocast or for dropout.
    hidden = 1 if device == "cpu" and e == FP32 and not drop else 2
    mlp = e * (C + hidden * block.hidden) * T + drop * (C + block.hidden) * T
    copies = [4 * C**2, 2 * C * block.hidden]
    if recompute == "mlp":
        mlp, copies = kept * C * T, copies[:1]
    return {
        "attention": attend,
        "mlp": mlp,
        "norms": norms,
        "bias": bias,
        "weights": e * sum(copies) if e < FP32 else 0,
    }


def block_passing(
    block: Block,
    *,
    attention: str = "auto",
    device: str = "cuda",
    recompute: str | None = None,
) -> int:
    """Bytes held on top while a block runs its backward pass, estimated.

    Gradients of the main branch and of the larger of both branches, and what is
    recomputed. 'sdpa' on CUDA holds the gradient of the bias for every window.
    """
    name = AUTO[device] if attention == "auto" else attention
    C, T, P, e = block.channels, block.tokens, block.padded, block.number
    branches = (2 * FP32 + e) * C * T
    mlp = 2 * e * block.hidden * T
    if name == "triton":
        held = 3 * e * C * T + FP32 * block.heads * T
    elif name == "chunked":
        h, c = rows_of(block.window)
        strips = 2 * FP32 * block.heads * c * (2 * h - 1) * c  # of biases and gradient
        held = 3 * e * C * T + CHUNKED_SCRATCH[device] + strips
    elif name == "sdpa" and device == "cuda":
        held = e * block.logits + 3 * (e + FP32) * C * P
    else:
        held = 2 * FP32 * block.logits + 6 * FP32 * C * P
    if recompute == "mlp":
        mlp += e * (C + 2 * block.hidden) * T
    passing = branches + max(mlp, held)
    if recompute == "block":
        whole = block_kept(block, attention=attention, device=device)
        passing += sum(whole.values()) - whole["bias"]
    return passing


@dataclass(frozen=True)
class Part:
    """A part of the backbone, in the order of the forward pass.

    Attributes:
        name (str): Its name as a submodule, as in 'layers.0.blocks.1'.
        stage (int): Its stage.
        kept (int): Bytes kept for the backward pass.
        passing (int): Bytes held on top while its backward pass runs.
    """

    name: str
    stage: int
    kept: int
    passing: int


@dataclass(frozen=True)
class Training:
    """How a backbone is trained; as the arguments of :class:`SwinTransformerV2`.

    Attributes:
        arch (Architecture): Sizes of the backbone.
        image (tuple[int, ...]): Images, (height, width) in px, or clips, (frames,
            height, width).
        batch (int): Images or clips per GPU.
        windows (tuple[tuple[int, ...], ...]): Window of every stage in tokens.
        patch (tuple[int, ...]): What a token of stage 0 is made of, as ``image``.
        number (int): Bytes of a number of linear layers: 2 under autocast, else 4.
        with_cp (tuple[bool, ...]): Of every stage; () for none.
        device (str): 'cuda' or 'cpu'.
    """

    arch: Architecture
    image: Window
    batch: int
    windows: tuple[Window, ...]
    patch: Window = (PATCH_SIZE, PATCH_SIZE)
    number: int = 2
    attention: str = "auto"
    with_cp: tuple[bool, ...] = ()
    checkpoint: str = "block"
    window_fit: str = "shrink"
    position_bias: str = "log_cpb"
    mlp_ratio: float = 4.0
    drop_rate: float = 0.0
    frozen_stages: int = -1
    out_indices: tuple[int, ...] = (0, 1, 2, 3)
    device: str = "cuda"

    @property
    def maps(self) -> list[Window]:
        """Map of every stage, in tokens."""
        return stage_maps(self.image, len(self.arch.depths), self.patch)

    def recompute(self, stage: int) -> str | None:
        """What a stage recomputes: 'block', 'mlp' or None."""
        return self.checkpoint if any(self.with_cp[stage : stage + 1]) else None

    def block(self, stage: int, *, shifted: bool = False) -> Block:
        """Sizes of a block of a stage."""
        size = self.maps[stage]
        fitted = [
            fit_axis(length, window, shifted=shifted, fit=self.window_fit)
            for length, window in zip(size, self.windows[stage])
        ]
        channels = self.arch.embed_dims * 2**stage
        return Block(
            batch=self.batch,
            size=size,
            window=tuple(window for window, _ in fitted),
            shift=tuple(shift for _, shift in fitted),
            channels=channels,
            heads=self.arch.num_heads[stage],
            hidden=int(channels * self.mlp_ratio),
            number=self.number,
        )

    def parts(self) -> list[Part]:
        """All parts of the backbone; frozen stages keep nothing."""
        parts = []
        if self.frozen_stages < 0:
            first = self.block(0)
            C, T, pixels = first.channels, first.tokens, 3 * prod(self.patch)
            norm = (FP32 * C + 8) * T
            drop = 0 if not self.drop_rate else 1 if self.device == "cuda" else FP32
            kept = self.number * pixels * T + norm + drop * C * T
            parts.append(Part("patch_embed", 0, kept + self._copies(C * pixels), norm))
        for stage in range(max(self.frozen_stages, 0), len(self.arch.depths)):
            parts += self._stage(stage)
        return parts

    def _copies(self, weights: int) -> int:
        """Bytes of 16-bit copies of weights."""
        return self.number * weights if self.number < FP32 else 0

    def _stage(self, stage: int) -> list[Part]:
        parts = []
        every = self.arch.extra_norm_every_n_blocks
        path = f"layers.{stage}"
        same: dict[str, Any] = dict(
            attention=self.attention,
            device=self.device,
            recompute=self.recompute(stage),
        )
        known: dict[tuple[bool, bool], tuple[int, int]] = {}
        for i in range(self.arch.depths[stage]):
            key = (i % 2 == 1, every > 0 and (i + 1) % every == 0)
            if key not in known:
                block = self.block(stage, shifted=key[0])
                kept = block_kept(
                    block,
                    position_bias=self.position_bias,
                    extra_norm=key[1],
                    drop_rate=self.drop_rate,
                    **same,
                )
                known[key] = sum(kept.values()), block_passing(block, **same)
            parts.append(Part(f"{path}.blocks.{i}", stage, *known[key]))
        block = self.block(stage)
        C, T = block.channels, block.tokens
        if stage in self.out_indices:
            norm = (FP32 * C + 8) * T
            parts.append(Part(f"norm{stage}", stage, norm, norm))
        if stage + 1 < len(self.arch.depths):
            merged = self.batch * prod(merge(block.size))
            kept = merged * (4 * C * self.number + 2 * C * FP32 + 8)
            kept += self._copies(8 * C**2)
            parts.append(Part(f"{path}.downsample", stage, kept, merged * 8 * C * FP32))
        return parts


def merge(size: Window) -> Window:
    """Map after patch merging, which joins 2 x 2 tokens and none over time."""
    *time, height, width = size
    return *time, -(-height // 2), -(-width // 2)


def stage_maps(
    image_size: Window, num_stages: int, patch: Window = (PATCH_SIZE, PATCH_SIZE)
) -> list[Window]:
    """Map of every stage in tokens, of images (height, width), of clips with time."""
    maps = [tuple(-(-length // side) for length, side in zip(image_size, patch))]
    while len(maps) < num_stages:
        maps.append(merge(maps[-1]))
    return maps


def written(size: Window) -> str:
    """A size in words, as in '16 x 224 x 224'."""
    return " x ".join(map(str, size))


def peak(parts: Sequence[Part], gradients: Sequence[int] = ()) -> int:
    """Most bytes held at a time during the backward pass.

    It runs from the last part to the first: each frees what it kept and leaves the
    gradients of its parameters.

    Args:
        parts (Sequence[Part]): In the order of the forward pass.
        gradients (Sequence[int]): Bytes of the gradients of every part. Defaults to
            (): not counted.
    """
    gradients = gradients or [0] * len(parts)
    kept = accumulate(part.kept for part in parts)
    left = [*accumulate(reversed(gradients))][::-1]
    held = (k + part.passing + g for k, part, g in zip(kept, parts, left))
    return max(held, default=0)
