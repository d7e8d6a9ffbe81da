"""A checksum of our own in safetensors, which have none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

SHA256_KEY = "mmswinv2.sha256"
CHUNK = 2**20  # bytes


def sha256_of(file: Path) -> str:
    """SHA-256 of a whole file, as 64 hexadecimal digits."""
    sha = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            sha.update(chunk)
    return sha.hexdigest()


def digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of all that is in a file of safetensors.

    Args:
        tensors (Mapping[str, Tensor]): Names, types, shapes and values count.
        metadata (Mapping[str, str]): Counts too, but for a digest in it.

    Returns:
        str: 64 hexadecimal digits.
    """
    sha = hashlib.sha256()
    for key in sorted(metadata.keys() - {SHA256_KEY}):
        sha.update(f"{key}={metadata[key]}\n".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        values = tensor.detach().cpu().contiguous()
        # Steps along axes of length 1 can be any; bytes are those of steps of 1
        values = values.as_strided((values.numel(),), (1,))
        sha.update(values.view(torch.uint8).numpy().data)
    return sha.hexdigest()


def sealed(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> dict[str, str]:
    """The metadata with the digest of all that goes into a file."""
    return {**metadata, SHA256_KEY: digest(tensors, metadata)}
