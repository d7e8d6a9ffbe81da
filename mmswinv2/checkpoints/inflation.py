"""Weights of images for a backbone of videos.

A tubelet of equal frames becomes the token of one of them; no offset in time changes
the position bias. So a clip of equal frames has the image's features at every time.
"""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F

from .locate import SwinWeights
from .position_biases import TABLE, windows_of_tables
from .tensors import STEM, Weights, num_axes
from .windows import WINDOW_RECORD

NETWORK = "attn.cpb_mlp.0.weight"


def inflate(source: SwinWeights, own: Weights) -> tuple[SwinWeights, str]:
    """Fit weights to the axes of a backbone.

    Windows and normalisers keep their height and width; those in time are the
    backbone's.

    Args:
        source (SwinWeights): Weights of images or videos.
        own (dict[str, Tensor]): The backbone's own state dict.

    Returns:
        tuple[SwinWeights, str]: Weights of as many axes as the backbone has, and what
        was inflated, '' for nothing.

    Raises:
        RuntimeError: If the weights are of videos and the backbone of images, or their
            tokens have another number of frames.
    """
    given, target = _frames(source.tensors), _frames(own)
    if given is None or target is None or given == target:
        return source, ""
    if target == 0:
        raise RuntimeError(
            f"the weights are of videos (tokens of {given} frames, position biases by "
            "offsets in time), for which a backbone of images has no place; build "
            "mmswinv2.VideoSwinTransformerV2, or take weights of images"
        )
    if given != 0:
        raise RuntimeError(
            f"the weights have temporal_patch_size={given}, the model {target}: tokens "
            f"of {given} frames cannot become others. Build the model with "
            f"temporal_patch_size={given}, or take weights of images"
        )
    tensors = dict(source.tensors)
    tensors[STEM] = tensors[STEM].unsqueeze(2).repeat(1, 1, target, 1, 1) / target
    matrices = [k for k, v in tensors.items() if k in own and v.dim() == 2]
    networks = [name for name in matrices if name.endswith(NETWORK)]
    for name in networks:
        tensors[name] = F.pad(tensors[name], (1, 0))  # time is the first coordinate
    record = own[WINDOW_RECORD].tolist()
    tables = [name for name in matrices if name.endswith(TABLE)]
    for name in tables:
        _, (time, *_) = record[int(name.split(".")[1])]
        tensors[name] = tensors[name].repeat(2 * time - 1, 1)
    windows = source.windows or windows_of_tables(source.tensors)
    if windows is not None:
        windows = [
            ((window_t, *window), (normaliser_t, *normaliser))
            for ((window_t, *_), (normaliser_t, *_)), (window, normaliser) in zip(
                record, windows
            )
        ]
    done = [f"patch embedding over {target} frames"]
    if networks:
        done.append(f"{len(networks)} meta networks with weight 0 for time")
    if tables:
        done.append(f"{len(tables)} tables over offsets in time")
    return replace(source, tensors=tensors, windows=windows), ", ".join(done)


def _frames(weights: Weights) -> int | None:
    """Frames of a token, 0 for images; None where no patch embedding tells."""
    axes = num_axes(weights)
    return weights[STEM].shape[2] if axes == 3 else axes and 0
