"""Read checkpoint files without ever running code from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor

from .checksums import SHA256_KEY, digest
from .containers import LEGACY, ZIP, protection_of_zip, read_legacy, read_zip
from .contents import Builder, check_count, check_tensor
from .pickles import ContentError

Content = TypeVar("Content")
_PARTS = ("state_dict", "meta")  # which whatever reads checkpoints takes for dicts


def read_file(file: Path, name: str, map_location: Any = "cpu") -> dict:
    """Read one file of weights; no code in it is run.

    All tensors have been checked: they are dense and finite, and lie within their data.
    So have been all checksums that the file has.

    Args:
        file (Path): Written by ``torch.save`` or safetensors, of any suffix.
        name (str): What errors call it.
        map_location (str, optional): Device of the tensors. Whatever is no device, such
            as None or a function, stands for the CPU. Defaults to 'cpu'.

    Returns:
        dict: Its content.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, is damaged, needs code to be loaded or
            has tensors that no model can be given; or if there is no such device.
    """
    device = _device(map_location)
    return _told(file, name, lambda head: _read(file, head, device))


def read_tensor(file: Path, name: str) -> Tensor:
    """Read the one tensor that a file of ``torch.save`` holds, on the CPU.

    Args:
        file (Path): As of :func:`read_file`.
        name (str): What errors call it.

    Raises:
        FileNotFoundError, ValueError: As of :func:`read_file`; or it is no tensor.
    """

    def read(head: bytes) -> Tensor:
        content = _read_torch(file, head, torch.device("cpu"))
        if not isinstance(content, Tensor):
            raise ContentError(f"holds a {_kind(content)}, expected one tensor")
        return content

    return _told(file, name, read)


def read_meta(file: Path) -> dict:
    """The ``meta`` of a training checkpoint, without reading its tensors.

    Args:
        file (Path): Written by ``torch.save``.

    Returns:
        dict: Empty where the file has none, or is damaged.
    """
    try:
        content, load = read_zip(file)
        builder = Builder(load, file.stat().st_size, torch.device("cpu"))
        meta = builder.build(content["meta"], "meta")
    except Exception:  # a damaged file raises nearly any kind
        return {}
    return meta if isinstance(meta, dict) else {}


def protection(file: Path) -> str:
    """What tells that a file is as it was written: names of checksums, or 'none'."""
    head = _head(file)
    if head.startswith(ZIP):
        return protection_of_zip(file)
    return "SHA-256 of mmswinv2" if SHA256_KEY in metadata_of(file) else "none"


def is_safetensors(head: bytes) -> bool:
    """Whether a file that starts so is one of safetensors."""
    return len(head) > 8 and head[8:9] == b"{" and not any(head[5:8])


def metadata_of(file: Path) -> dict[str, str]:
    """What a file of safetensors says beside its tensors; nothing of another file."""
    if not is_safetensors(_head(file)):
        return {}
    with safe_open(file, "pt") as opened:
        return opened.metadata() or {}


def _told(file: Path, name: str, read: Callable[[bytes], Content]) -> Content:
    """What reading gives, with whatever can be wrong in one sentence."""
    try:
        head = _head(file)
    except OSError as error:
        reason = error.strerror or "no such file"
        raise FileNotFoundError(
            f"checkpoint {_short(name)} does not exist or is no file ({reason})"
        ) from error
    try:
        return read(head)
    except ContentError as error:
        raise ValueError(f"checkpoint {_short(name)} {error}") from error
    except Exception as error:  # a damaged file raises nearly any kind
        raise ValueError(
            f"checkpoint {_short(name)} {_diagnose(file, head)}"
        ) from error


def _device(map_location: Any) -> torch.device:
    if not isinstance(map_location, (str, torch.device)):
        return torch.device("cpu")
    try:
        return torch.empty(0, device=map_location).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"map_location={map_location!r} is no device of this machine: {error}"
        ) from error


def _short(name: str) -> str:
    return repr(name if len(name) <= 300 else f"{name[:200]}...")


def _head(file: Path) -> bytes:
    if not file.is_file():  # a pipe without a writer would be waited for
        raise FileNotFoundError
    with file.open("rb") as stream:
        return stream.read(512)


def _read(file: Path, head: bytes, device: torch.device) -> dict:
    if head.startswith((ZIP, LEGACY)):
        content = _read_torch(file, head, device)
        if not isinstance(content, dict):
            raise ContentError(
                f"holds a {_kind(content)}, expected a dict of tensors; save "
                "model.state_dict(), not the model"
            )
    else:
        content = _read_safetensors(file)
        content = {name: tensor.to(device) for name, tensor in content.items()}
    for part in _PARTS:
        if part in content and not isinstance(content[part], dict):
            raise ContentError(
                f"has a {type(content[part]).__name__} in {part!r}, expected a dict"
            )
    return content


def _read_torch(file: Path, head: bytes, device: torch.device) -> Any:
    content, load = read_zip(file) if head.startswith(ZIP) else read_legacy(file)
    return Builder(load, file.stat().st_size, device).build(content)


def _kind(content: Any) -> str:
    return type(content).__name__.removesuffix("Spec")


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata() or {}
        names = opened.keys()
        check_count(names)
        tensors = {name: opened.get_tensor(name) for name in names}
    expected = metadata.get(SHA256_KEY)
    if expected is not None and digest(tensors, metadata) != expected:
        raise ContentError(
            "is damaged: its content has another SHA-256 than when it was written; "
            "download or copy it again"
        )
    for name, tensor in tensors.items():
        check_tensor(name, tensor)
    return tensors


def _diagnose(file: Path, head: bytes) -> str:
    """What a file that cannot be read looks like, and what to do."""
    start = head.lstrip()
    if not start:
        return "is empty; download it again"
    if start[:1] == b"<":
        return "is an HTML page, no weights: the download failed; fetch the file again"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, no weights; run 'git lfs pull'"
    if head[257:262] == b"ustar":
        return (
            "is a tar archive, no weights: if it is of torch before 0.2, load it there "
            "and save its tensors again; else unpack it and give a file in it"
        )
    if head.startswith((b"PK", LEGACY)) or is_safetensors(head):
        size = file.stat().st_size
        return f"is damaged or truncated ({size:,} bytes); download or copy it again"
    if head.startswith(b"\x80"):
        return (
            "is a pickle that torch.save has not written, or is damaged or truncated; "
            "save it with torch.save"
        )
    return (
        f"is no checkpoint (it starts with {head[:16]!r}), or is damaged; give a file "
        "that torch.save or safetensors has written"
    )
