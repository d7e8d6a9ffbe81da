"""The sizes of Swin V2 (paper, section 3.6) and 'nano', for tests and demos."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Architecture:
    """Numbers that make up a size; one entry per stage in the tuples.

    Attributes:
        embed_dims (int): Channels at stage 0; they double at every stage.
        depths (tuple[int, ...]): Blocks.
        num_heads (tuple[int, ...]): Attention heads.
        extra_norm_every_n_blocks (int): Blocks of a stage between the extra LayerNorms
            on the main branch; 0 for none.
    """

    embed_dims: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    extra_norm_every_n_blocks: int = 0

    def first(self, stages: int) -> "Architecture":
        """The same without the stages after the first ones."""
        return replace(
            self, depths=self.depths[:stages], num_heads=self.num_heads[:stages]
        )


ARCHITECTURES = {
    "nano": Architecture(32, (2, 2, 4, 2), (1, 2, 4, 8)),
    "tiny": Architecture(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "small": Architecture(96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "base": Architecture(128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "large": Architecture(192, (2, 2, 18, 2), (6, 12, 24, 48)),
    # The paper does not state the heads of H and G; 32 channels each, as in T to L.
    "huge": Architecture(352, (2, 2, 18, 2), (11, 22, 44, 88), 6),
    "giant": Architecture(512, (2, 2, 42, 4), (16, 32, 64, 128), 6),
}


def resolve_architecture(
    arch: str | None,
    embed_dims: int | None,
    depths: Sequence[int] | None,
    num_heads: Sequence[int] | None,
    extra_norm_every_n_blocks: int | None,
) -> Architecture:
    """Numbers of ``arch``, each replaced by the explicit one where given.

    Raises:
        ValueError: If ``arch`` is unknown, a number is missing, or they do not fit.
    """
    if arch is not None and arch not in ARCHITECTURES:
        raise ValueError(
            f"arch={arch!r} is unknown; choose one of {', '.join(ARCHITECTURES)}, or "
            "give embed_dims, depths and num_heads"
        )
    base = None if arch is None else ARCHITECTURES[arch]
    if base is None and None in (embed_dims, depths, num_heads):
        raise ValueError(
            f"embed_dims={embed_dims}, depths={depths}, num_heads={num_heads}: give "
            f"all three, or an arch, one of {', '.join(ARCHITECTURES)}"
        )

    explicit: dict[str, Any] = {
        "embed_dims": embed_dims,
        "depths": None if depths is None else tuple(depths),
        "num_heads": None if num_heads is None else tuple(num_heads),
        "extra_norm_every_n_blocks": extra_norm_every_n_blocks,
    }
    given = {name: value for name, value in explicit.items() if value is not None}
    chosen = replace(base, **given) if base else Architecture(**given)
    if len(chosen.depths) != len(chosen.num_heads):
        raise ValueError(
            f"depths={chosen.depths} and num_heads={chosen.num_heads} must have one "
            "entry per stage each"
        )
    for stage, heads in enumerate(chosen.num_heads):
        if (chosen.embed_dims * 2**stage) % heads:
            raise ValueError(
                f"num_heads[{stage}]={heads} does not divide the "
                f"{chosen.embed_dims * 2**stage} channels of stage {stage}"
            )
    return chosen


def check_stages(
    out_indices: tuple[int, ...], frozen_stages: int, num_stages: int
) -> None:
    """Raise ValueError for stages that there are not."""
    if not out_indices or not set(out_indices) <= set(range(num_stages)):
        raise ValueError(
            f"out_indices={out_indices}: expected stages from 0 to {num_stages - 1}"
        )
    if not -1 <= frozen_stages <= num_stages:
        raise ValueError(
            f"frozen_stages={frozen_stages}: expected -1 (none) to {num_stages} (all)"
        )
