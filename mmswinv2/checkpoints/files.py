"""Read checkpoint files without ever running code from them."""

import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import load_file

_NUMPY_TYPES = (
    "bool",
    "int32",
    "int64",
    "uint8",
    "uint32",
    "uint64",
    "float32",
    "float64",
)


def _history_buffer_attribute(owner: type, name: str) -> object:
    """``getattr`` for the only thing that mmengine's logs need it for."""
    if owner is not HistoryBuffer or name.startswith("_"):
        raise pickle.UnpicklingError(f"getattr({owner!r}, {name!r}) is not allowed")
    return getattr(owner, name)


def safe_globals() -> list:
    """Classes that mmengine stores beside the weights: its log of scalar values.

    Returns:
        list: For ``torch.serialization.safe_globals``.
    """
    multiarray = np.zeros(0).__reduce__()[0].__module__  # numpy.core or numpy._core
    functions = []
    for name, function in (
        ("_reconstruct", np.zeros(0).__reduce__()[0]),
        ("scalar", np.float64(0).__reduce__()[0]),
    ):
        for module in {multiarray, "numpy.core.multiarray", "numpy._core.multiarray"}:
            functions.append((function, f"{module}.{name}"))
    return [
        HistoryBuffer,
        (_history_buffer_attribute, "builtins.getattr"),
        np.ndarray,
        np.dtype,
        *(type(np.dtype(name)) for name in _NUMPY_TYPES),
        *functions,
    ]


def read_file(file: Path, name: str, map_location: str | None = "cpu") -> dict:
    """Read one file of weights; no code in it is run.

    Args:
        file (Path): Written by ``torch.save`` or safetensors, of any suffix.
        name (str): What errors call it.
        map_location (str, optional): Device of the tensors. Defaults to 'cpu'.

    Returns:
        dict: Its content.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, is damaged or needs code to be loaded.
    """
    if not file.is_file():
        raise FileNotFoundError(f"checkpoint {name!r} does not exist or is no file")
    try:
        if file.suffix == ".safetensors":
            return load_file(file, device=str(map_location or "cpu"))
        with torch.serialization.safe_globals(safe_globals()):
            checkpoint = torch.load(file, map_location, weights_only=True)
    except Exception as error:  # torch raises nearly any kind over a damaged file
        raise ValueError(f"checkpoint {name!r} {_diagnose(file, error)}") from error
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f"checkpoint {name!r} holds a {type(checkpoint).__name__}, expected a dict "
            "of tensors; save model.state_dict(), not the model"
        )
    return checkpoint


def read_meta(file: Path) -> dict:
    """The ``meta`` of a training checkpoint, without reading its tensors.

    Args:
        file (Path): Written by ``torch.save``.

    Returns:
        dict: Empty where the file has none, or is damaged.
    """
    try:
        with torch.serialization.safe_globals(safe_globals()):
            meta = torch.load(file, "cpu", weights_only=True, mmap=True)["meta"]
    except Exception:  # torch raises nearly any kind over a damaged file
        return {}
    return meta if isinstance(meta, dict) else {}


def _diagnose(file: Path, error: Exception) -> str:
    """What a file that torch cannot read looks like, and what to do."""
    with file.open("rb") as stream:
        head = stream.read(512).lstrip()
    size = file.stat().st_size
    if not head:
        return "is empty; download it again"
    if head[:1] == b"<":
        return "is an HTML page, no weights: the download failed; fetch the file again"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, no weights; run 'git lfs pull'"
    if zipfile.is_zipfile(file):
        names = zipfile.ZipFile(file).namelist()
        if any(name.endswith("/constants.pkl") for name in names):
            return "is a TorchScript archive; save the model's state_dict() instead"
        if not any(name.endswith("data.pkl") for name in names):
            return "is a zip archive, no weights; unpack it and give a file in it"
    unsafe = re.search(r"(?:Unsupported global: )?GLOBAL ([\w.]+)", str(error))
    if unsafe:
        return (
            f"needs Python code to be loaded ({unsafe[1]}) and was refused: such code "
            "could do anything. If you trust its source, keep the tensors alone: "
            "python -c \"import torch; d = torch.load('IN', weights_only=False); "
            "torch.save({'model': d.get('model', d.get('state_dict', d))}, 'OUT')\""
        )
    if head.startswith((b"PK", b"\x80")) or file.suffix == ".safetensors":
        return f"is damaged or truncated ({size:,} bytes); download or copy it again"
    return (
        f"is no checkpoint (it starts with {head[:16]!r}); give a file that torch.save "
        "or safetensors has written"
    )
