"""The kinds of files that a network is written to, and how each is run."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.utils import digit_version
from torch import Tensor
from torch.export import ExportedProgram

from mmswinv2.mmpretrain_import import is_installed

from .networks import Exported
from .onnx_graph import halve_weights, tidy
from .program import NotExportableError, first_line, unsupported

OPSET = 20
EXTRA = "export"
IDENTITY = "mmswinv2.identity"  # of a file, in its metadata and in its JSON
# Where an operator of a program came from: lines of files of this machine.
TRACES = ("stack_trace", "nn_module_stack", "torch_fn", "source_fn_stack", "from_node")
ONCE = "cpp_cache_precompile_headers"  # of Inductor

Arrays = dict[str, np.ndarray]
Runner = Callable[[Mapping[str, np.ndarray]], Arrays]


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Args:
        title (str): What runs it.
        suffix (str): Of its name.
        write (Callable): Program, network, path, identity and precision -> the file.
        open (Callable): Path and network -> what runs the file.
        needs (tuple[str, ...]): Packages beside torch.
        precisions (tuple[str, ...]): Of weights that it can have.
        torch (tuple[int, int]): The oldest that writes it.
    """

    title: str
    suffix: str
    write: Callable[[ExportedProgram, Exported, Path, str, str], None]
    open: Callable[[Path, Exported], Runner]
    needs: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ("fp32",)
    torch: tuple[int, int] = (2, 4)

    def check_needs(self) -> None:
        """Raises RuntimeError where something is missing that it takes."""
        if digit_version(torch.__version__)[:2] < self.torch:
            oldest = ".".join(map(str, self.torch))
            raise RuntimeError(
                f"writing for {self.title} needs torch {oldest} or newer, this is "
                f"{torch.__version__}"
            )
        missing = [name for name in self.needs if not is_installed(name)]
        if missing:
            raise RuntimeError(
                f"writing for {self.title} needs {', '.join(missing)}: install the "
                f"extra '{EXTRA}' (pip install 'mmswinv2[{EXTRA}]')"
            )


def write_onnx(
    program: ExportedProgram,
    network: Exported,
    path: Path,
    identity: str,
    precision: str,
) -> None:
    """Writes ONNX; weights of more than 2 GB lie beside it, in ``.onnx.data``.

    Raises:
        NotExportableError: ONNX lacks an operator of the network.
    """
    import onnx_ir

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, on its own future
            onnx: Any = torch.onnx.export(
                program,
                input_names=network.input_names,
                output_names=network.output_names,
                opset_version=OPSET,
                custom_translation_table=dict(network.translations),
                dynamo=True,
                optimize=False,
                verbose=False,
            )
        tidy(onnx.model)
    except Exception as error:  # of the exporter and of the optimiser
        raise NotExportableError(
            f"this model cannot be written as ONNX: {unsupported(program, error)}"
        ) from error
    graph = onnx.model.graph
    # Inputs with initializers of their names may be left out by who runs the file.
    for value, default in zip(graph.inputs[1:], network.more_inputs()):
        value.const_value = onnx_ir.tensor(default.numpy(), name=value.name)
        graph.initializers[value.name] = value
    if precision == "fp16":
        halve_weights(onnx.model)
    onnx.model.metadata_props[IDENTITY] = identity
    onnx.save(path)


def open_onnx(path: Path, network: Exported) -> Runner:
    """Runs ONNX on the CPU; of labels it gives the ``scores``, too."""
    import onnx
    import onnxruntime

    model = onnx.load(path, load_external_data=False)
    names = [*network.output_names]
    chosen = [node for node in model.graph.node if node.op_type == "ArgMax"]
    if network.task == "segmentation" and chosen:  # more than one class
        names.append(chosen[-1].input[0])
        model.graph.output.append(onnx.ValueInfoProto(name=names[-1]))
    checked = path.with_suffix(".checked.onnx")  # beside the weights of large files
    onnx.save(model, checked)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        checked, options, providers=["CPUExecutionProvider"]
    )
    keys = [*network.output_names, "scores"]

    def run(inputs: Mapping[str, np.ndarray]) -> Arrays:
        return dict(zip(keys, session.run(names, dict(inputs))))

    return run


def write_torch_export(
    program: ExportedProgram,
    network: Exported,
    path: Path,
    identity: str,
    precision: str,
) -> None:
    """Writes what ``torch.export.load`` reads."""
    for node in program.graph.nodes:  # its paths, and 3 MB of them
        for key in TRACES:
            node.meta.pop(key, None)
    torch.export.save(program, path, extra_files={IDENTITY: identity})


def open_torch_export(path: Path, network: Exported) -> Runner:
    """Runs what :func:`write_torch_export` writes."""
    return _runs(torch.export.load(path).module(), network)


def write_aot(
    program: ExportedProgram,
    network: Exported,
    path: Path,
    identity: str,
    precision: str,
) -> None:
    """Compiles for this machine's CPU what ``aoti_load_package`` reads.

    Raises:
        RuntimeError: There is no C++ compiler, or it fails.
    """
    from torch._inductor import aoti_compile_and_package, config

    if not any(map(shutil.which, ("g++", "c++", "clang++"))):
        raise RuntimeError(
            "compiling ahead of time needs a C++ compiler (g++ or clang++), and there "
            "is none on the PATH; install one, or use --to torch-export"
        )
    try:
        # Headers are compiled beforehand for those who compile again and again.
        options = {ONCE: False} if hasattr(config, ONCE) else {}
        aoti_compile_and_package(
            program, package_path=str(path), inductor_configs=options
        )
    except Exception as error:  # of the compiler and of what calls it
        raise RuntimeError(
            f"this model cannot be compiled ahead of time ({first_line(error)}); use "
            "--to torch-export"
        ) from error


def open_aot(path: Path, network: Exported) -> Runner:
    """Runs what :func:`write_aot` writes."""
    return _runs(torch._inductor.aoti_load_package(str(path)), network)


def _runs(call: Callable[..., Any], network: Exported) -> Runner:
    def run(inputs: Mapping[str, np.ndarray]) -> Arrays:
        with torch.no_grad():
            found = call(*map(torch.from_numpy, inputs.values()))
        found = (found,) if isinstance(found, Tensor) else found
        return {
            name: tensor.numpy() for name, tensor in zip(network.output_names, found)
        }

    return run


FORMATS = {
    "onnx": Format(
        "ONNX Runtime",
        ".onnx",
        write_onnx,
        open_onnx,
        ("onnx", "onnxscript", "onnxruntime"),
        ("fp32", "fp16", "int8"),
        (2, 6),  # its exporter has the translations of our own operators
    ),
    "torch-export": Format(
        "torch.export", ".pt2", write_torch_export, open_torch_export
    ),
    "aot": Format("AOTInductor", ".pt2", write_aot, open_aot),
}
