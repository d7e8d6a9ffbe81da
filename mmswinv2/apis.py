"""Names of the configs in this repository, and inferencers built from them."""

from __future__ import annotations

import copy
import difflib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DATASETS
from torch import nn

from mmswinv2.checkpoints import read_checkpoint
from mmswinv2.checkpoints.adapt import check_weights
from mmswinv2.checkpoints.locate import describe
from mmswinv2.checkpoints.urls import shown

from .config_types import name_types, read_config
from .inferencers import AnyPictures
from .mmpretrain_import import protect_hosts
from .own_data.checks.heads import other_heads
from .places import CONFIG_DIR, ROOT

if TYPE_CHECKING:
    from mmdet.apis import DetInferencer
    from mmseg.apis import MMSegInferencer

    from .pretraining.inferencer import ClassifierInferencer
    from .video.inferencer import VideoInferencer

CONFIG_SUFFIXES = (".py", ".yml", ".yaml", ".json")  # that mmengine reads


def list_models() -> list[str]:
    """Names of all models in ``model-index.yml``, sorted.

    Returns:
        list[str]: File names of configs without ``.py``, each of which
        :func:`build_inferencer` takes as a model, but for those of SimMIM and of
        Feature Distillation.
    """
    return sorted(_model_index())


def build_inferencer(
    model: str | Path | Config,
    weights: str | Path | None = None,
    device: str | None = None,
    tile: int | str | None = None,
) -> DetInferencer | MMSegInferencer | ClassifierInferencer | VideoInferencer:
    """Builds the inferencer of the framework that the config belongs to.

    Class names and colours come from the checkpoint, and from the config's dataset
    where the checkpoint has none.

    Args:
        model (str | Path | Config): A config, its file, or one of
            :func:`list_models`.
        weights (str | Path, optional): A trained checkpoint, file or URL; for a
            classifier also a name such as ``swinv2://tiny-w8-256``. Defaults to the
            ``Weights`` that ``model-index.yml`` has for a name, and to the config's
            ``load_from``.
        device (str, optional): Such as 'cpu' or 'cuda:0'. Defaults to the first
            accelerator, and to the CPU where there is none.
        tile (int | str, optional): Of detectors and segmentors: large pictures are
            cut into tiles of so many px, at their own scale; 'auto': where the model
            would see too little of them, or they would not fit into memory.
            ``inferencer.on_tile(done, total)``, a function of the caller's, hears how
            far it is. Defaults to None: pictures are seen whole.

    Returns:
        DetInferencer | MMSegInferencer | ClassifierInferencer | VideoInferencer: Ready
        to be called with pictures: files, folders, arrays or pictures of Pillow, in
        greys, RGB or RGBA, of 8 or 16 bits, and lists of these; see
        :func:`as_host_picture`. That of videos takes files, folders and lists of files.

    Raises:
        FileNotFoundError: The config or the checkpoint does not exist.
        ValueError: No such config name, no weights, an unreadable checkpoint, a model
            that predicts nothing, names of more or fewer classes than it has, a
            device that is not there, or tiles of a model that takes none.
        RuntimeError: The checkpoint belongs to another model.

    Examples:
        >>> inferencer = build_inferencer(
        ...     "mask-rcnn_swinv2-t-p4-w8_fpn_1x_coco", "epoch_12.pth")
        >>> inferencer("photo.jpg", out_dir="out")
    """
    is_config = isinstance(model, Config)
    cfg = copy.deepcopy(model) if is_config else read_config(find_config(model))
    cfg = name_types(cfg)
    published = {} if is_config else _model_index().get(str(model), {})
    weights = weights or published.get("Weights") or cfg.get("load_from")
    if weights is None:
        raise ValueError(
            "no weights given; none are published for this model, and its config names "
            "none in load_from"
        )
    if device is not None:
        check_device(device)
    from .large_images import LargePictures, check_tile  # which needs mmcv

    check_tile(tile)
    protect_hosts()
    scope = cfg.default_scope
    if scope == "mmdet":
        from mmdet.apis import DetInferencer as Host
    elif scope == "mmseg":
        from mmseg.apis import MMSegInferencer as Host
    elif scope == "mmpretrain" and is_of_videos(cfg):
        from .video.inferencer import VideoInferencer as Host
    elif scope == "mmpretrain":
        from .pretraining.inferencer import ClassifierInferencer as Host
    else:
        raise ValueError(
            f"default_scope is {scope!r}, expected 'mmdet', 'mmseg' or 'mmpretrain'"
        )

    cuts = scope in ("mmdet", "mmseg")
    if isinstance(tile, int) and not cuts:
        raise ValueError(
            f"tile is {tile}, but a {cfg.model.type} sees the whole of what it names; "
            "leave it out"
        )
    bases = (Host,) if is_of_videos(cfg) else (AnyPictures, Host)
    bases = (LargePictures, *bases) if cuts else bases

    class Inferencer(*bases):
        pass

    cfg.visualizer.vis_backends = None  # draws into files of the caller's choice
    with warnings.catch_warnings():
        # The weights come next; until then the hosts assume their own class names.
        warnings.simplefilter("ignore")
        inferencer = Inferencer(cfg, device=device, scope=scope)
    inferencer.show_progress = False
    saved_meta = load_trained_weights(inferencer.model, weights)
    meta = _dataset_meta(cfg) | saved_meta  # where both have it, the saved one
    if scope == "mmseg":  # its inferencer hands all of it on to the visualizer
        meta = {name: meta.get(name) for name in ("classes", "palette")}
    if scope == "mmpretrain":
        if not meta.get("classes"):  # of folders, which lazy datasets do not look at
            numbers = range(inferencer.model.head.num_classes)
            meta["classes"] = [f"class {number}" for number in numbers]
        inferencer.classes = meta["classes"]
    source = weights if saved_meta.get("classes") else "test_dataloader.dataset"
    check_class_names(cfg.model, meta, str(source))
    inferencer.model.dataset_meta = inferencer.visualizer.dataset_meta = meta
    if cuts:
        inferencer.set_tile(tile)
    return inferencer


def is_of_videos(cfg: Config) -> bool:
    """Whether a config's model takes videos."""
    kind = (cfg.get("model") or {}).get("type", "")
    return getattr(kind, "__name__", kind).endswith("VideoClassifier")


def find_config(model: str | Path) -> str:
    """Path of a config: a file, one in ``configs/``, or one of :func:`list_models`."""
    if Path(model).is_file():
        if Path(model).suffix not in CONFIG_SUFFIXES:
            raise ValueError(
                f"{model} is no config: expected a file {', '.join(CONFIG_SUFFIXES)}, "
                "and after it the weights"
            )
        return str(model)
    path = CONFIG_DIR / str(model).removeprefix("configs/")
    if path.is_file():
        return str(path)  # as in the repository, wherever this was started
    index = _model_index()
    if str(model) in index:
        return str(ROOT / index[str(model)]["Config"])
    close = difflib.get_close_matches(Path(model).stem, index, n=3, cutoff=0.5)
    hint = f"; close to it: {', '.join(close)}" if close else ""
    raise FileNotFoundError(
        f"no config {str(model)!r}: neither a file nor a name under {CONFIG_DIR}{hint}"
    )


def load_trained_weights(model: nn.Module, weights: str | Path) -> dict:
    """Loads a trained checkpoint, all of it: backbone, neck and heads.

    Args:
        model (nn.Module): A detector, segmentor or classifier.
        weights (str | Path): The checkpoint, file or URL.

    Returns:
        dict: What the checkpoint says of its dataset: ``classes`` and ``palette``,
        as far as it has them.

    Raises:
        FileNotFoundError, ValueError: The file is missing or unreadable.
        RuntimeError: It lacks tensors of the model or has them in other shapes.
    """
    state, meta = read_weights(model, weights)
    weights = shown(str(weights))
    name = type(model).__name__
    try:
        missing, _ = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        lines = str(error).splitlines()
        first = "\n".join(lines[:4] + ["\t..."] * (len(lines) > 4))
        raise RuntimeError(f"{weights} does not fit this {name}: {first}") from error
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    for prefix, module in model.named_modules():  # pre-trained weights may lack these
        report = getattr(module, "loaded", None)
        missing += [f"{prefix}.{key}" for key in getattr(report, "absent", ())]
    if missing:
        raise RuntimeError(
            f"{weights} does not fit this {name}: {len(missing)} of its "
            f"{len(model.state_dict())} tensors are not in the file, such as "
            f"{', '.join(missing[:3])}; give weights trained with this config"
        )
    if reason := getattr(getattr(model, "head", None), "untrained", ""):
        raise RuntimeError(f"{weights} does not fit this {name}: {reason}")
    dataset_meta = meta.get("dataset_meta")
    if not isinstance(dataset_meta, (dict, type(None))):
        raise ValueError(
            f"{weights} has a {type(dataset_meta).__name__} in meta.dataset_meta, "
            "expected a dict with classes and palette"
        )
    dataset_meta = (dataset_meta or {}).items()
    return {key.lower(): value for key, value in dataset_meta if value is not None}


def check_class_names(model: Mapping, meta: Mapping, source: str) -> None:
    """Raises ValueError where names of classes do not fit a model's heads.

    Args:
        model (Mapping): The config's.
        meta (Mapping): Of a data set: ``classes``, if they are known.
        source (str): Who says so: a checkpoint or a key of the config.
    """
    names = meta.get("classes")
    if names is None:
        return
    if not isinstance(names, (list, tuple)) or not all(
        isinstance(name, str) for name in names
    ):
        raise ValueError(
            f"{shown(source)} has a {type(names).__name__} as names of classes "
            f"({str(names)[:40]}), expected a list of strings"
        )
    if wrong := other_heads(model, len(names)):
        raise ValueError(
            f"{shown(source)} has names of {len(names)} classes, but the model is made "
            f"for another number (model.{', model.'.join(wrong[:3])}); give weights, "
            "names and a model that belong together"
        )


def read_weights(model: nn.Module, weights: str | Path) -> tuple[dict, dict]:
    """Reads a checkpoint that has at least some tensors of a model.

    Args:
        model (nn.Module): A detector, segmentor or classifier; it is not changed.
        weights (str | Path): The checkpoint, file or URL.

    Returns:
        tuple[dict, dict]: Its state dict and its ``meta``.

    Raises:
        FileNotFoundError, ValueError: The file is missing or unreadable.
        RuntimeError: None of its tensors is one of the model's.
    """
    checkpoint = read_checkpoint(weights)
    state = checkpoint.get("state_dict", checkpoint.get("model", checkpoint))
    if not isinstance(state, dict):
        raise ValueError(
            f"{weights} has a {type(state).__name__} in 'model', expected a dict of "
            "tensors"
        )
    check_weights(state, model.state_dict())
    if not state.keys() & model.state_dict().keys():
        raise RuntimeError(
            f"{shown(str(weights))} has no weights for a {type(model).__name__} with a "
            f"{type(getattr(model, 'backbone', model)).__name__}: {describe(state)}"
        )
    return state, checkpoint.get("meta", {})


def _model_index() -> dict[str, dict]:
    """Entries of all metafiles by name, from the file that mim reads too."""
    files = yaml.safe_load((ROOT / "model-index.yml").read_text())["Import"]
    metafiles = (yaml.safe_load((ROOT / file).read_text()) for file in files)
    return {entry["Name"]: entry for meta in metafiles for entry in meta["Models"]}


def _dataset_meta(cfg: Config) -> dict:
    # lazy_init: class names and colours need no data
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, lazy_init=True))
    return dict(dataset.metainfo)


def check_device(device: str) -> None:
    """Raises ValueError where torch cannot use a device, such as 'cuda' without one."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} is not usable here: {error}") from error
