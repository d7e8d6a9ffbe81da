"""Read checkpoint files without ever running code from them."""

import os
import pickle
import re
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import barrier, master_only
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from safetensors.torch import load_file

from .layouts import find_layout

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


def read_checkpoint(path: str | os.PathLike, map_location: str | None = "cpu") -> dict:
    """Read a checkpoint from a file or URL; no code in it is run.

    Backbone weights in a published layout come back as mmengine writes them:
    ``{'state_dict': {'backbone.<name>': tensor}}``, so that they load into a detector,
    a segmentor or the backbone alone. This is also mmengine's loader for files and
    URLs as soon as this package is imported.

    Args:
        path (str | PathLike): A ``.pth`` or ``.safetensors`` file, or an http(s) URL,
            which is kept in torch's hub cache.
        map_location (str, optional): Device of the tensors. Defaults to 'cpu'.

    Returns:
        dict: The checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, is damaged or needs code to be loaded,
            or could not be downloaded.
    """
    name = os.fspath(path)
    file = _download(name) if re.match("https?://", name) else Path(name).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"checkpoint {name!r} does not exist or is no file")
    try:
        if file.suffix == ".safetensors":
            checkpoint = load_file(file, device=str(map_location or "cpu"))
        else:
            with torch.serialization.safe_globals(safe_globals()):
                checkpoint = torch.load(file, map_location, weights_only=True)
    except Exception as error:  # torch raises nearly any kind over a damaged file
        raise ValueError(f"checkpoint {name!r} {_diagnose(file, error)}") from error
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f"checkpoint {name!r} holds a {type(checkpoint).__name__}, expected a dict "
            "of tensors; save model.state_dict(), not the model"
        )
    return _as_mmengine(checkpoint)


def _as_mmengine(checkpoint: dict) -> dict:
    weights = checkpoint.get("model", checkpoint)
    if not isinstance(weights, dict) or find_layout(weights) is None:
        return checkpoint
    return {"state_dict": {f"backbone.{k}": v for k, v in weights.items()}, "meta": {}}


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
        f"is no checkpoint (it starts with {head[:16]!r}); give a .pth or .safetensors"
    )


def _download(url: str) -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    file = folder / url.split("?")[0].rsplit("/", 1)[-1]
    _fetch(url, file)
    barrier()  # the other ranks read what rank 0 has fetched
    return file


@master_only
def _fetch(url: str, file: Path) -> None:
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(file))  # a partial file gets no name
    except OSError as error:
        raise ValueError(
            f"checkpoint {url!r} could not be downloaded ({error}); fetch it elsewhere "
            f"and put it at {file}, or write its path in the config"
        ) from error


@CheckpointLoader.register_scheme(prefixes=("", "http://", "https://"), force=True)
def load_from_file(filename: str, map_location: str | None = None) -> dict:
    """Read files and URLs for mmengine, which logs this name."""
    return read_checkpoint(filename, map_location)
