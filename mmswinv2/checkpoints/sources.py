"""Checkpoints by path, folder, URL or name, for this package and for mmengine."""

import json
import os
from pathlib import Path

from mmengine.runner import CheckpointLoader
from safetensors import safe_open

from . import zoo
from .config_files import windows_of_config
from .download import load_url
from .files import read_file
from .locate import CLASSIFIER, DECODER, Location, SwinWeights, describe, locate
from .urls import is_url, shown
from .windows import WINDOW_RECORD, StageWindows, record_of

# Names that Hugging Face and timm give weights in a folder, the preferred first.
_FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
_INDEX = ".index.json"
WINDOWS_KEY = "mmswinv2.windows"  # in the metadata of safetensors that we write


def read_checkpoint(path: str | os.PathLike, map_location: str | None = "cpu") -> dict:
    """Read a checkpoint; no code in it is run.

    Backbone weights in a published layout come back as mmengine writes them:
    ``{'state_dict': {'backbone.<name>': tensor}}``, so that they load into a detector,
    a segmentor or the backbone alone; their classifier as ``head.fc.*``, so that it
    loads into mmpretrain's. This is also mmengine's loader for files, URLs and
    ``swinv2://`` as soon as this package is imported.

    Args:
        path (str | PathLike): A file written by torch or safetensors, an index of
            sharded files, a folder of Hugging Face or timm, an http(s) URL (kept
            beside the weights of names, see :func:`load_url`), or ``swinv2://`` and a
            name of ``tools/weights.py list``.
        map_location (str, optional): Device of the tensors. Defaults to 'cpu'.

    Returns:
        dict: The checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, is damaged, needs code to be loaded,
            could not be downloaded or is not what its name says.
    """
    checkpoint, windows = _read(os.fspath(path), map_location)
    location = locate(checkpoint)
    return (
        checkpoint if location is None else _as_mmengine(checkpoint, location, windows)
    )


def read_swin_weights(path: str | os.PathLike) -> SwinWeights:
    """Read the Swin V2 backbone in a checkpoint, by the names of this package.

    Args:
        path (str | PathLike): As for :func:`read_checkpoint`.

    Returns:
        SwinWeights: Tensors, layout, windows and what else is there.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As for :func:`read_checkpoint`.
        RuntimeError: If it holds no Swin V2 weights, or several models.
    """
    checkpoint, windows = _read(os.fspath(path), "cpu")
    location = locate(checkpoint)
    if location is None:
        given = shown(os.fspath(path))
        raise RuntimeError(f"{given} has no Swin V2 weights: {describe(checkpoint)}")
    return location.read(windows)


def _read(name: str, map_location: str | None) -> tuple[dict, StageWindows | None]:
    """(checkpoint, windows that are known from elsewhere)."""
    if name.startswith(zoo.SCHEME):
        entry = zoo.find_entry(name)
        file, checkpoint = zoo.read(entry)
        if map_location != "cpu":
            checkpoint = read_file(file, name, map_location)
        return checkpoint, entry.windows
    if is_url(name):
        file, checkpoint = load_url(name)
        if map_location != "cpu":
            checkpoint = read_file(file, shown(name), map_location)
        return checkpoint, _windows_beside(file, checkpoint)
    file = Path(name).expanduser()
    if file.is_dir():
        file = _weights_in(file)
    if file.name.endswith(_INDEX):
        checkpoint = _read_shards(file, map_location)
    else:
        checkpoint = read_file(file, name, map_location)
    return checkpoint, _windows_beside(file, checkpoint)


def _weights_in(folder: Path) -> Path:
    for file in _FOLDER_FILES:
        for candidate in (folder / file, folder / f"{file}{_INDEX}"):
            if candidate.is_file():
                return candidate
    raise FileNotFoundError(
        f"checkpoint {str(folder)!r} is no file, and as a folder it has none of "
        f"{', '.join(_FOLDER_FILES)}; give the file"
    )


def _read_shards(index: Path, map_location: str | None) -> dict:
    try:
        shards = json.loads(index.read_text())["weight_map"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(
            f"checkpoint {str(index)!r} is no index of sharded weights ({error!r})"
        ) from error
    checkpoint: dict = {}
    for shard in sorted(set(shards.values())):
        if Path(shard).name != shard:  # nothing outside the folder
            raise ValueError(f"{index} names {shard!r}: expected a file beside it")
        checkpoint |= read_file(index.parent / shard, shard, map_location)
    if absent := [name for name in shards if name not in checkpoint]:
        raise ValueError(
            f"{index} names {len(absent)} tensors that its files lack, such as "
            f"{absent[0]!r}; download them again"
        )
    return checkpoint


def _windows_beside(file: Path, checkpoint: dict) -> StageWindows | None:
    """Windows from the metadata, the configuration beside a file, or its name."""
    if file.suffix == ".safetensors":
        with safe_open(file, "pt") as opened:
            record = (opened.metadata() or {}).get(WINDOWS_KEY)
        if record:
            pairs = json.loads(record)
            return [(tuple(own), tuple(unit)) for own, unit in pairs]
    if isinstance(config := checkpoint.get("pretrained_cfg"), dict):
        return windows_of_config(config)
    config_file = file.parent / "config.json"
    if file.name.removesuffix(_INDEX) in _FOLDER_FILES and config_file.is_file():
        try:
            return windows_of_config(json.loads(config_file.read_text()))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{config_file} does not tell the windows of {file.name} ({error!r})"
            ) from error
    entry = zoo.entry_of_file(file.name)
    return entry and entry.windows


def _as_mmengine(
    checkpoint: dict, location: Location, windows: StageWindows | None
) -> dict:
    """The checkpoint with its backbone under ``backbone.``, heads beside it."""
    if location.prefix.endswith("backbone."):  # of a whole model
        cut = len(location.prefix) - len("backbone.")
        outer = location.prefix[:cut]
        weights = {
            name.removeprefix(outer): tensor
            for name, tensor in location.state_dict.items()
        }
    else:
        head = location.layout.head()
        weights = {
            CLASSIFIER + name.removeprefix(head)
            if name.startswith(head)
            else f"backbone.{name}": tensor
            for name, tensor in location.own().items()
        }
        if location.prefix == "encoder.":  # SimMIM's own file
            weights |= {
                name.replace("decoder.", DECODER, 1): tensor
                for name, tensor in location.state_dict.items()
                if name.startswith("decoder.")
            }
    record = f"backbone.{WINDOW_RECORD}"
    if windows and not any(
        name.endswith(("relative_coords_table", record)) for name in weights
    ):
        weights[record] = record_of(windows)
    if location.wrapper == "state_dict":
        if weights.keys() == checkpoint["state_dict"].keys():
            return checkpoint
        return {**checkpoint, "state_dict": weights}
    return {"state_dict": weights, "meta": {}}


@CheckpointLoader.register_scheme(
    prefixes=("", "http://", "https://", zoo.SCHEME), force=True
)
def load_checkpoint_safely(filename: str, map_location: str | None = None) -> dict:
    """Read files, URLs and names for mmengine, which logs this function's name."""
    return read_checkpoint(filename, map_location)
