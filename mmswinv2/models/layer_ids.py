"""Which layer a parameter belongs to, for layer-wise learning rate decay."""

import re
from collections.abc import Sequence


def layer_id(name: str, depths: Sequence[int]) -> int:
    """Layer id of a parameter, as in the official fine-tuning.

    Patch embedding and mask token 0, then one per block; a patch merging has the id of
    the block before it; output norms are last.

    Args:
        name (str): Of a parameter of the backbone.
        depths (Sequence[int]): Blocks of every stage.

    Examples:
        >>> layer_id("layers.1.blocks.0.norm1.weight", (2, 2, 6, 2))
        3
    """
    if name.startswith(("patch_embed.", "mask_token")):
        return 0
    if match := re.match(r"layers\.(\d+)\.(?:blocks\.(\d+)|downsample)\.", name):
        stage = int(match[1])
        block = depths[stage] - 1 if match[2] is None else int(match[2])
        return sum(depths[:stage]) + block + 1
    return sum(depths) + 1
