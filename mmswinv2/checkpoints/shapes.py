"""The tensors that a complete Swin V2 backbone has."""

from .locate import SwinWeights
from .tensors import STEM, length, num_axes
from .windows import PATCH_SIZE

Shape = tuple[int, ...]


def expected_shapes(weights: SwinWeights) -> dict[str, Shape]:
    """Shapes of all tensors that weights of this architecture must have.

    Sizes that an architecture leaves open are read from the weights: image channels,
    hidden channels, frames of a token, whether there are biases of q and v and a norm
    after the stem.

    Args:
        weights (SwinWeights): Weights, maybe incomplete.

    Returns:
        dict[str, tuple[int, ...]]: By the names of this package, without output norms
        and classifier.
    """
    arch, given = weights.architecture, weights.tensors
    first = "layers.0.blocks.0"
    hidden_cpb = _rows(weights, f"{first}.attn.cpb_mlp.0.weight")
    ratio = _rows(weights, f"{first}.mlp.fc1.weight") / max(arch.embed_dims, 1)
    axes = num_axes(given) or 2
    channels, *frames = given[STEM].shape[1:-2] if num_axes(given) else [3]
    dims = arch.embed_dims
    shapes: dict[str, Shape] = {
        STEM: (dims, channels, *frames, PATCH_SIZE, PATCH_SIZE),
        "patch_embed.proj.bias": (dims,),
    }
    if any(name.startswith("patch_embed.norm.") for name in given):
        shapes |= _pair("patch_embed.norm", (dims,))
    for stage, (depth, heads) in enumerate(zip(arch.depths, arch.num_heads)):
        dims = arch.embed_dims * 2**stage
        block: dict[str, Shape] = {
            "attn.logit_scale": (heads, 1, 1),
            **_pair("attn.cpb_mlp.0", (hidden_cpb, axes)),
            "attn.cpb_mlp.2.weight": (heads, hidden_cpb),
            "attn.qkv.weight": (3 * dims, dims),
            **_pair("attn.proj", (dims, dims)),
            **_pair("norm1", (dims,)),
            **_pair("mlp.fc1", (int(ratio * dims), dims)),
            **_pair("mlp.fc2", (dims, int(ratio * dims))),
            **_pair("norm2", (dims,)),
        }
        if f"{first}.attn.q_bias" in given:
            block |= {"attn.q_bias": (dims,), "attn.v_bias": (dims,)}
        every = arch.extra_norm_every_n_blocks
        for number in range(depth):
            own = block
            if every and (number + 1) % every == 0:
                own = block | _pair("norm3", (dims,))
            prefix = f"layers.{stage}.blocks.{number}"
            shapes |= {f"{prefix}.{name}": shape for name, shape in own.items()}
        if stage + 1 < len(arch.depths):
            merging = f"layers.{stage}.downsample"
            shapes[f"{merging}.reduction.weight"] = (2 * dims, 4 * dims)
            shapes |= _pair(f"{merging}.norm", (2 * dims,))
    return shapes


def check_complete(weights: SwinWeights) -> None:
    """Raise RuntimeError unless weights are a whole backbone and nothing unknown."""
    expected, given = expected_shapes(weights), weights.tensors
    for stage in range(len(weights.architecture.depths)):
        norm = _pair(f"norm{stage}", (weights.architecture.embed_dims * 2**stage,))
        if norm.keys() & given.keys():  # of maps: some files have none
            expected |= norm
    problems = [f"{name} is missing" for name in expected if name not in given]
    problems += [
        f"{name} is {tuple(given[name].shape)}, expected {shape}"
        for name, shape in expected.items()
        if name in given and given[name].shape != shape
    ]
    problems += [
        f"{name} has numbers of {str(tensor.dtype).removeprefix('torch.')}, expected "
        "floating point"
        for name, tensor in given.items()
        if not tensor.is_floating_point()
    ]
    problems += [
        f"{name} is not known"
        for name in given
        if name not in expected and not name.startswith(("head.", "mask_token"))
    ]
    if problems:
        raise RuntimeError(
            f"these are no complete Swin V2 weights: {problems[0]}"
            + f", and {len(problems) - 1} more" * (len(problems) > 1)
        )


def _rows(weights: SwinWeights, name: str) -> int:
    return length(weights.tensors[name]) if name in weights.tensors else 0


def _pair(name: str, shape: Shape) -> dict[str, Shape]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
