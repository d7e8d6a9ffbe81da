"""The files that are compared, and how each contender runs."""
# B batch, C channels, H W map in tokens

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.export import Dim

sys.path.append(str(Path(__file__).resolve().parents[1] / "backbone"))
from contenders import of_timm, ours

from mmswinv2.export import portable
from mmswinv2.export.int8 import quantise
from mmswinv2.export.onnx_graph import tidy

OPSET = 20
Pass = Callable[[np.ndarray], list[np.ndarray]]


def eager(arch: str, size: int, window: int) -> Pass:
    """Our backbone in torch."""
    return _in_torch(ours(arch, (size, size), window))


def eager_timm(arch: str, size: int, window: int) -> Pass:
    """The one of timm in torch."""
    return _in_torch(of_timm(arch, (size, size), window))


def _in_torch(model: nn.Module) -> Pass:
    model.eval()

    def run(image: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            return [x.numpy() for x in model(torch.from_numpy(image))]

    return run


def session(path: Path, threads: int) -> Pass:
    """A file in ONNX Runtime, on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    opened = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    name = opened.get_inputs()[0].name
    return lambda image: opened.run(None, {name: image})


def write_fixed(arch: str, size: int, window: int, path: Path) -> None:
    """Our file of one size."""
    model = portable(ours(arch, (size, size), window), dynamic=False)
    _write(model, size, path)


def write_int8(arch: str, size: int, window: int, path: Path) -> None:
    """Our file of one size with products of 8 bits, calibrated on noise."""
    write_fixed(arch, size, window, path)
    rng = np.random.default_rng(1)
    noise = (rng.standard_normal((1, 3, size, size)).astype("f") for _ in range(2))
    quantise(path, SimpleNamespace(input_names=["image"], more_inputs=tuple), noise)


def write_dynamic(arch: str, size: int, window: int, path: Path) -> None:
    """Our file of any size, traced at another one."""
    from torch.fx.experimental import _config

    model = portable(ours(arch, (size, size), window), dynamic=True)
    image = torch.rand(1, 3, 203, 333)
    with _config.patch(backed_size_oblivious=True):
        program = torch.export.export(
            model,
            (image,),
            dynamic_shapes=({2: Dim.DYNAMIC, 3: Dim.DYNAMIC},),
            strict=False,
        )
    _save(program, (), path)


def write_timm(arch: str, size: int, window: int, path: Path) -> None:
    """Timm's model by the exporter of torch, with its own optimisation."""
    model = of_timm(arch, (size, size), window).eval()
    image = torch.rand(1, 3, size, size)
    options = dict(dynamo=True, opset_version=OPSET, verbose=False)
    torch.onnx.export(model, (image,), **options).save(path)


WRITERS = {
    "fixed": write_fixed,
    "dynamic": write_dynamic,
    "int8": write_int8,
    "timm": write_timm,
}


def _write(model: nn.Module, size: int, path: Path) -> None:
    _save(model, (torch.rand(1, 3, size, size),), path)


def _save(model: object, inputs: tuple, path: Path) -> None:
    options = dict(dynamo=True, opset_version=OPSET, optimize=False, verbose=False)
    onnx = torch.onnx.export(model, inputs, **options)
    tidy(onnx.model)
    onnx.save(path)
