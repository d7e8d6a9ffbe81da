"""Checkpoints by path, folder, URL or name, for this package and for mmengine."""

import json
import os
import re
from pathlib import Path

from mmengine.runner import CheckpointLoader

from . import zoo
from .config_files import windows_of_config
from .download import load_url
from .files import metadata_of, protection, read_file
from .locate import CLASSIFIER, DECODER, Location, SwinWeights, describe, locate
from .urls import is_url, shown
from .windows import WINDOW_RECORD, StageWindows, parse_stage_windows, record_of

# Names that Hugging Face and timm give weights in a folder, the preferred first.
_FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
_INDEX = ".index.json"
MAX_SHARDS = 1000
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
    _, checkpoint, windows = _read(os.fspath(path), map_location)
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
    file, checkpoint, windows = _read(os.fspath(path), "cpu")
    location = locate(checkpoint)
    if location is None:
        given = shown(os.fspath(path))
        raise RuntimeError(f"{given} has no Swin V2 weights: {describe(checkpoint)}")
    weights = location.read(windows)
    index = file.name.endswith(_INDEX)
    files = (
        [file.parent / shard for shard in _shards(file).values()] if index else [file]
    )
    weights.protection = " and ".join(sorted({protection(part) for part in {*files}}))
    return weights


def _read(
    name: str, map_location: str | None
) -> tuple[Path, dict, StageWindows | None]:
    """(file, checkpoint, windows that are known from elsewhere)."""
    again = map_location not in ("cpu", None)
    if name.startswith(zoo.SCHEME):
        entry = zoo.find_entry(name)
        file, checkpoint = zoo.read(entry)
        if again:
            checkpoint = read_file(file, name, map_location)
        return file, checkpoint, entry.windows
    if is_url(name):
        file, checkpoint = load_url(name)
        if again:
            checkpoint = read_file(file, shown(name), map_location)
        return file, checkpoint, _windows_beside(file, checkpoint)
    file = _local(name)
    if file.is_dir():
        file = _weights_in(file)
    if file.name.endswith(_INDEX):
        checkpoint = _read_shards(file, map_location)
    else:
        checkpoint = read_file(file, name, map_location)
    return file, checkpoint, _windows_beside(file, checkpoint)


def _local(name: str) -> Path:
    """The path of a name that is no URL we know."""
    if scheme := re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name):
        raise ValueError(
            f"checkpoint {shown(name)!r}: {scheme[0]} cannot be read, expected a file, "
            f"a folder, http://, https:// or {zoo.SCHEME}; fetch it, give the file"
        )
    try:
        file = Path(name).expanduser()
        file.stat()
    except FileNotFoundError:
        pass  # named by those who read it
    except (OSError, ValueError, RuntimeError) as error:  # of any kind of odd name
        raise FileNotFoundError(
            f"checkpoint {name[:200]!r} does not exist or is no file ({error!r:.100})"
        ) from error
    return file


def _weights_in(folder: Path) -> Path:
    for file in _FOLDER_FILES:
        for candidate in (folder / file, folder / f"{file}{_INDEX}"):
            if candidate.is_file():
                return candidate
    raise FileNotFoundError(
        f"checkpoint {str(folder)!r} is no file, and as a folder it has none of "
        f"{', '.join(_FOLDER_FILES)}; give the file"
    )


def _shards(index: Path) -> dict[str, str]:
    """File beside an index, by names of tensors."""
    content = _read_json(index)
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shards, dict):
        raise ValueError(
            f"checkpoint {str(index)!r} is no index of sharded weights: it has no "
            "weight_map of files by tensor"
        )
    for shard in shards.values():
        if not isinstance(shard, str) or Path(shard).name != shard or not shard:
            raise ValueError(f"{index} names {shard!r}: expected a file beside it")
    return shards


def _read_shards(index: Path, map_location: str | None) -> dict:
    shards = _shards(index)
    files = {*shards.values()}
    if len(files) > MAX_SHARDS:
        raise ValueError(f"{index} names {len(files):,} files, over {MAX_SHARDS:,}")
    checkpoint: dict = {}
    for shard in sorted(files):
        part = read_file(index.parent / shard, shard, map_location)
        if twice := [*part.keys() & checkpoint.keys()]:
            raise ValueError(f"{index} has {twice[0]!r} in two of its files")
        checkpoint |= part
    if absent := [name for name in shards if name not in checkpoint]:
        raise ValueError(
            f"{index} names {len(absent)} tensors that its files lack, such as "
            f"{absent[0]!r}; download them again"
        )
    return checkpoint


def _read_json(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise ValueError(f"{file} is no JSON file ({error!r:.200})") from error


def _windows_beside(file: Path, checkpoint: dict) -> StageWindows | None:
    """Windows from the metadata, the configuration beside a file, or its name."""
    recorded = _recorded_windows(file)
    if isinstance(config := checkpoint.get("pretrained_cfg"), dict):
        return recorded or windows_of_config(config)
    config_file = file.parent / "config.json"
    if file.name.removesuffix(_INDEX) in _FOLDER_FILES and config_file.is_file():
        try:
            configured = windows_of_config(_read_json(config_file))
        except ValueError as error:
            raise ValueError(
                f"{config_file} does not tell the windows of {file.name}: {error}"
            ) from error
        if recorded and configured and recorded != configured:
            raise ValueError(
                f"{config_file} has the windows {configured}, but {file.name} was "
                f"written with {recorded}; convert the weights anew"
            )
        return recorded or configured
    entry = zoo.entry_of_file(file.name)
    return recorded or (entry.windows if entry else None)


def _recorded_windows(file: Path) -> StageWindows | None:
    """What the converter wrote into a file's metadata."""
    record = metadata_of(file).get(WINDOWS_KEY)
    if record is None:
        return None
    try:
        return parse_stage_windows(json.loads(record))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} has no windows in {WINDOWS_KEY}: {error}") from error


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
    checkpoint = read_checkpoint(filename, map_location)
    if "meta" in checkpoint:
        checkpoint["meta"].pop("config", None)  # mmengine would run it as code
    return checkpoint
