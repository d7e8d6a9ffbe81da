"""Makes a file of a trained model, and proves it before it gets its name."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from mmswinv2.apis import build_inferencer, is_of_videos
from mmswinv2.checkpoints.urls import shown
from mmswinv2.checkpoints.whole_files import UnsavedError

from .comparison import (
    TOLERANCE,
    Parity,
    compare,
    drawn_pictures,
    sizes_to_compare,
)
from .description import describe, with_parity
from .formats import FORMATS, IDENTITY
from .int8 import OwnPictures, quantise
from .networks import (
    Exported,
    ExportedBackbone,
    ExportedClassifier,
    ExportedSegmentor,
)
from .portable import portable
from .program import LEAST, NotExportableError, capture
from .tested_scale import tested_size

JSON = ".json"
OTHER_OBJECTS = 0.05  # of all: rounding decides which of two that overlap is kept


@dataclass(frozen=True)
class Wish:
    """What a file is to be.

    Args:
        out (Path): Where it goes.
        target (str): 'onnx', 'torch-export' or 'aot'.
        what (str): 'model' or 'backbone'.
        size (tuple[int, int], optional): (height, width) in px of all its pictures.
            None: any size.
        precision (str): 'fp32', 'fp16' or 'int8'.
        calibration (Path, optional): Folder of pictures, for 'int8'.
    """

    out: Path
    target: str = "onnx"
    what: str = "model"
    size: tuple[int, int] | None = None
    precision: str = "fp32"
    calibration: Path | None = None

    def check(self) -> None:
        """Refuses what could not be written, before anything is read.

        Raises:
            ValueError: A wrong name, a file that is there already, no size.
            RuntimeError: A package is missing.
        """
        wanted = FORMATS[self.target]
        if self.out.suffix != wanted.suffix:
            raise ValueError(
                f"--out {self.out}: a file for {wanted.title} (--to {self.target}) "
                f"ends in {wanted.suffix}"
            )
        for path in (self.out, self.out.with_suffix(JSON)):
            if path.exists():
                raise ValueError(
                    f"{path} exists already; remove it or name another by --out"
                )
        if self.size and min(self.size) < 1:
            raise ValueError(
                f"--size {self.size[0]} {self.size[1]}: expected height and width in "
                "px, 1 or more"
            )
        if self.precision not in wanted.precisions:
            raise ValueError(
                f"--precision {self.precision} is for --to onnx alone; a file for "
                f"{wanted.title} has the precision of the model"
            )
        wanted.check_needs()


@dataclass(frozen=True)
class Made:
    """A file that was made.

    Args:
        network (Exported): That it computes.
        parity (Parity): How it compares.
        megabytes (float): Of the file and of what lies beside it, without the JSON.
        weights_megabytes (float): Of the tensors of the model that it needs.
    """

    network: Exported
    parity: Parity
    megabytes: float
    weights_megabytes: float


def make(
    cfg: Config,
    weights: str,
    wish: Wish,
    *,
    tell: Callable[[str], None] = lambda line: None,
) -> Made:
    """Loads, captures, writes and compares.

    Args:
        cfg (Config): Of a detector, segmentor or classifier.
        weights (str): A trained checkpoint, see :func:`build_inferencer`.
        wish (Wish): What the file is to be.
        tell (Callable): Gets a line before each step.

    Raises:
        NotExportableError: It has an operator that the target lacks.
        ValueError, RuntimeError: The model does not load, or its file gives something
            else. Nothing is left then.
        UnsavedError: The disk does not take it.
    """
    wish.check()
    if is_of_videos(cfg):
        raise ValueError(
            f"{cfg.filename} has the model {cfg.model.type}, which takes videos; only "
            "models of pictures can be exported"
        )
    inferencer = build_inferencer(cfg, weights, "cpu")
    model, meta = inferencer.model.eval(), inferencer.visualizer.dataset_meta
    dynamic = wish.size is None
    network = exported(model, cfg, what=wish.what, dynamic=dynamic)
    if network.task == "detection" and wish.target != "onnx":
        raise ValueError(
            f"--to {wish.target}: {type(model).__name__} has NMS or RoIAlign, which "
            "torch alone has not; use --to onnx, or --what backbone"
        )
    size, tested = wish.size or tested_size(cfg), tested_size(cfg)
    if network.task == "classification" and wish.size and size != tested:
        raise ValueError(
            f"--size {size[0]} {size[1]}: this classifier takes pictures that its test "
            f"pipeline brings to {tested[0]} x {tested[1]} px; give that, or leave it "
            "out"
        )
    if dynamic:  # whatever the model was tested at
        size = (max(size[0], LEAST), max(size[1], LEAST))
    wanted = FORMATS[wish.target]
    if wish.calibration is not None:
        own = OwnPictures(
            wish.calibration,
            inferencer.pipeline,
            wish.size,
            network.prepare.colour(),
        )
    tell("reading the operators of the network")
    with _ways_out(wish):
        program = capture(network, size, dynamic=dynamic)
    described = describe(
        model,
        network,
        cfg,
        meta=meta,
        weights=Path(shown(str(weights))).name,
        file=wish.out.name,
        target=wish.target,
        precision=wish.precision,
        size=wish.size,
    )
    try:
        wish.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=wish.out.parent, prefix=".") as folder:
            path = Path(folder) / wish.out.name
            tell(f"writing it for {wanted.title}")
            with _ways_out(wish):
                wanted.write(
                    program, network, path, described[IDENTITY], wish.precision
                )
            written = [*Path(folder).iterdir()]  # large weights are a file of their own
            tell("comparing it with the model")
            run = wanted.open(path, network)
            sizes = sizes_to_compare(size, dynamic=dynamic)
            parity = compare(model, network, run, drawn_pictures(sizes))
            check(parity, "fp16" if wish.precision == "fp16" else "fp32")
            if wish.calibration is not None:
                tell("calibrating it for 8 bits")
                quantise(path, network, own.to_calibrate())
                run = wanted.open(path, network)
                parity = compare(model, network, run, own.to_compare())
            text = path.with_suffix(JSON)
            text.write_text(with_parity(described, parity))
            megabytes = sum(file.stat().st_size for file in written) / 1e6
            for file in (*written, text):
                os.replace(file, wish.out.parent / file.name)
    except OSError as error:
        reason = error.strerror or error
        raise UnsavedError(f"{wish.out} could not be saved: {reason}") from error
    tensors = _source(model, wish.what).state_dict().items()
    size_of = sum(x.nbytes for name, x in tensors if "auxiliary_head." not in name)
    return Made(network, parity, megabytes, size_of / 1e6)


@contextmanager
def _ways_out(wish: Wish) -> Iterator[None]:
    """Adds to an error what may be exported instead."""
    try:
        yield
    except NotExportableError as error:
        ways = ["--size HEIGHT WIDTH may do"] * (wish.size is None)
        ways += ["--what backbone exports its backbone"] * (wish.what == "model")
        raise NotExportableError("; ".join((str(error), *ways))) from error


def exported(model: Any, cfg: Config, *, what: str, dynamic: bool) -> Exported:
    """The network that a file of a model computes.

    Args:
        model (nn.Module): Detector, segmentor or classifier; it is not changed.
        cfg (Config): Its config.
        what (str): 'model' or 'backbone'.
        dynamic (bool): Whether it is to take pictures of any size.

    Raises:
        ValueError: There is no such network of the model.
    """
    preprocessor = cfg.model.get("data_preprocessor") or cfg.get("data_preprocessor")
    source = _source(model, what)
    build: type[Any]
    if what == "backbone":
        build = ExportedBackbone
    elif cfg.default_scope == "mmseg":
        build = ExportedSegmentor
        if dynamic and model.test_cfg.get("mode") == "slide":
            raise ValueError(
                "the config tests in a sliding window (model.test_cfg.mode='slide'), "
                "whose number of steps a file of any size cannot change: give --size "
                "HEIGHT WIDTH, or --cfg-options model.test_cfg.mode=whole"
            )
        source = copy.copy(source)  # its heads of training are not of the file
        source._modules = {
            name: module
            for name, module in source._modules.items()
            if name != "auxiliary_head"
        }
    elif cfg.default_scope == "mmpretrain":
        build = ExportedClassifier
    else:
        from .detectors import ExportedDetector  # needs mmdet

        build = ExportedDetector
    return build(portable(source, dynamic=dynamic), preprocessor or {}).eval()


def _source(model: Any, what: str) -> nn.Module:
    return model if what == "model" else model.backbone


def check(parity: Parity, precision: str) -> None:
    """Raises RuntimeError where a file gives other results than the model."""
    most = TOLERANCE[precision]
    if not parity.difference <= most:  # NaN, too
        raise RuntimeError(
            f"the file gives other results than the model (difference "
            f"{parity.difference:.1e} of the largest value, at most {most:.0e} is "
            "expected), so it was not kept"
        )
    if parity.other_objects > max(OTHER_OBJECTS * parity.objects, 1):
        raise RuntimeError(
            f"{parity.other_objects} objects are found by the file or by the model "
            f"alone, which finds {parity.objects}, so it was not kept"
        )
