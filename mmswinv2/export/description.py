"""The JSON beside a file: all that is needed to feed it and to read what it gives."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Mapping

import torch
from mmengine.config import Config
from torch import nn

import mmswinv2
from mmswinv2.checkpoints.checksums import digest
from mmswinv2.drawing import palette_of

from .comparison import Parity
from .formats import IDENTITY, OPSET
from .networks import Exported
from .tested_scale import picture_steps

PACKAGES = ("onnx", "onnxruntime")


def describe(
    model: nn.Module,
    network: Exported,
    cfg: Config,
    *,
    meta: Mapping,
    weights: str,
    file: str,
    target: str,
    precision: str,
    size: tuple[int, int] | None,
) -> dict:
    """What is known of a file before it is compared.

    Args:
        model (nn.Module): As it was loaded.
        network (Exported): What is written.
        cfg (Config): Of the model.
        meta (Mapping): ``classes``, and perhaps ``palette``.
        weights (str): Name of the checkpoint.
        file (str): Name of the file.
        target (str): Its kind.
        precision (str): 'fp32' or 'fp16'.
        size (tuple[int, int], optional): (height, width) in px of the pictures that it
            takes; None: any.

    Returns:
        dict: To be written as JSON.
    """
    backbone = getattr(model, "backbone", None)
    named = network.task != "features" and meta.get("classes")
    described = dict(
        file=file,
        format=target,
        precision=precision,
        task=network.task,
        model=str(cfg.filename).replace("\\", "/").rpartition("/")[2],
        weights=dict(file=weights, sha256=digest(model.state_dict(), {})),
        classes=[*meta["classes"]] if named else None,
        palette=[[*color] for color in palette_of(meta)] if named else None,
        inputs=[*network.input_names],
        outputs=[*network.output_names],
        **network.facts(),
        size=size,
        preprocessing=dict(
            outside=_outside(network, cfg, size), inside=network.prepare.describe()
        ),
        windows=getattr(backbone, "window_size", None),
        versions=dict(
            mmswinv2=mmswinv2.__version__,
            torch=torch.__version__,
            **{name: importlib.metadata.version(name) for name in PACKAGES}
            if target == "onnx"
            else {},
            **dict(opset=OPSET) if target == "onnx" else {},
        ),
    )
    text = json.dumps(described, sort_keys=True)
    return {IDENTITY: hashlib.sha256(text.encode()).hexdigest(), **described}


def with_parity(described: dict, parity: Parity) -> str:
    """The text of the JSON."""
    compared = dict(
        sizes=parity.sizes,
        largest_difference=parity.difference,
        other_labels=parity.other_labels,
        objects=parity.objects,
        other_objects=parity.other_objects,
    )
    text = json.dumps({**described, "parity": compared}, indent=2) + "\n"
    # Lists of numbers in one line each; texts have no line breaks
    return re.sub(r"\[\n[\s\d.,e+-]+\]", lambda list_: " ".join(list_[0].split()), text)


def _outside(
    network: Exported, cfg: Config, size: tuple[int, int] | None
) -> list[dict] | None:
    """How a picture comes to the scale that the network takes."""
    if network.task == "features":
        return None  # the user's own way
    if size is None or network.task == "classification":
        return picture_steps(cfg)
    return [dict(type="Fit", size=size, pad=network.prepare.colour())]
