"""Pickles of torch.save, read without calling anything that they name.

A pickle is a program that may call whatever it names. Here all names that it may use
lead to functions of this module, which note what was wanted: specifications of tensors
and arrays, built and checked in ``contents.py`` once the whole pickle is read.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import torch

MAX_STEPS = 1_000_000  # of one pickle; 25,000 for a large model with its optimizer
# All that protocol 2 has for what checkpoints hold.
_STEPS = (
    "PROTO STOP MARK GLOBAL REDUCE BUILD NEWOBJ BINPERSID NONE NEWTRUE NEWFALSE BININT "
    "BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINSTRING EMPTY_TUPLE TUPLE1 "
    "TUPLE2 TUPLE3 TUPLE EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS BINPUT "
    "LONG_BINPUT BINGET LONG_BINGET"
)
_STORAGES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
_NO_WEIGHTS = {
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_sparse_csr_tensor": "sparse",
    "torch._utils._rebuild_qtensor": "quantized",
    "torch._utils._rebuild_meta_tensor_no_storage": "meta (empty)",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch.ComplexFloatStorage": "complex",
    "torch.ComplexDoubleStorage": "complex",
    "torch._utils._rebuild_tensor_v3": "8-bit float or 16- to 64-bit unsigned",
}


class ContentError(ValueError):
    """What a file holds is refused; the message goes on after the file's name."""


class Storage(NamedTuple):
    """Memory that tensors share: ``count`` numbers from the ``first`` on."""

    dtype: Any
    key: Any
    total: Any
    first: Any
    count: Any


class TensorSpec(NamedTuple):
    """A tensor in a storage; nothing of it has been checked."""

    storage: Any
    offset: Any
    size: Any
    stride: Any


class ScalarSpec(NamedTuple):
    """A scalar of numpy."""

    dtype: Any
    data: Any


class _Noted:
    """What a pickle makes first and then gives a state."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class ArraySpec(_Noted):
    """An array of numpy."""


class HistorySpec(_Noted):
    """mmengine's log of one scalar."""


class DtypeSpec(_Noted):
    """A type of numpy's numbers."""

    def __init__(self, name: Any) -> None:
        self.name = name


class _Function:
    """A function that a pickle can call and, unlike Python's own, cannot change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise ContentError("gives a function a state, which no checkpoint does")


def _tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    _gradient: Any = None,
    _hooks: Any = None,
    changed: Any = None,
) -> TensorSpec:
    if changed:
        raise ContentError("has a tensor whose numbers are negated; clone() it")
    return TensorSpec(storage, offset, size, stride)


def _encode(text: str, codec: str) -> bytes:
    """Bytes of an array, which protocol 2 keeps as text."""
    if codec not in ("latin1", "latin-1"):
        raise ContentError(f"has bytes in the encoding {str(codec)[:20]!r}, not latin1")
    return text.encode("latin1")


def _statistic(owner: Any, name: str) -> None:
    """``getattr`` for the methods that mmengine's log names, and brings itself."""
    if owner is not HistorySpec or not name.isidentifier() or name.startswith("_"):
        raise ContentError(
            f"needs Python code to be loaded (getattr of {str(name)[:40]!r}) and was "
            "refused"
        )


def _whole(number: Any) -> int:
    if type(number) is not int:
        raise ContentError("has a size that is no whole number")
    return number


_NUMPY_CORE = ("numpy.core.multiarray", "numpy._core.multiarray")
_GLOBALS: dict[str, Any] = {
    "torch._utils._rebuild_tensor": _Function(_tensor),
    "torch._utils._rebuild_tensor_v2": _Function(_tensor),
    "torch._utils._rebuild_parameter": _Function(lambda data, *_: data),
    "torch._utils._rebuild_parameter_with_state": _Function(lambda data, *_: data),
    "torch._tensor._rebuild_from_type_v2": _Function(
        lambda _function, _kind, arguments, _state: _tensor(*arguments)
    ),
    "torch.Tensor": "torch.Tensor",  # kinds that the function above is told
    "torch.nn.parameter.Parameter": "torch.nn.Parameter",
    "torch.Size": _Function(lambda sizes=(): torch.Size(map(_whole, sizes))),
    "torch.device": _Function(torch.device),
    "collections.OrderedDict": _Function(OrderedDict),
    "collections.Counter": _Function(lambda counts: Counter(dict(counts))),
    "_codecs.encode": _Function(_encode),
    "builtins.bytes": _Function(lambda: b""),
    "builtins.set": _Function(lambda items=(): set(items)),
    "builtins.getattr": _Function(_statistic),
    "mmengine.logging.history_buffer.HistoryBuffer": HistorySpec,
    "numpy.ndarray": "numpy.ndarray",
    "numpy.dtype": _Function(lambda name, *_: DtypeSpec(name)),
    **{
        f"{core}._reconstruct": _Function(lambda *_: ArraySpec())
        for core in _NUMPY_CORE
    },
    **{f"{core}.scalar": _Function(ScalarSpec) for core in _NUMPY_CORE},
    **{f"torch.{name}Storage": dtype for name, dtype in _STORAGES.items()},
    **{str(dtype): dtype for dtype in _STORAGES.values()},
}


def read_pickle(stream: BinaryIO) -> tuple[Any, dict[Any, Storage]]:
    """Read one pickle, from where a stream is to the pickle's end.

    Returns:
        tuple[Any, dict]: Its content, with specifications in place of tensors and of
        what numpy and mmengine make; and the storages that it names, by their keys.

    Raises:
        ContentError: If it names or does anything else than checkpoints do.
    """
    start = stream.tell()
    _check_steps(stream)
    size = stream.tell() - start
    stream.seek(start)
    unpickler = _Unpickler(io.BytesIO(stream.read(size)), encoding="utf-8")
    try:
        return unpickler.load(), unpickler.storages
    except ContentError:
        raise
    except Exception as error:  # each step that is damaged has a kind of its own
        raise ContentError(
            "has a pickle that is damaged, or does what those of torch.save do not "
            f"({error!r:.100})"
        ) from error


def _check_steps(stream: BinaryIO) -> None:
    """Look at all steps before the first of them is done."""
    allowed = {*_STEPS.split()}
    for number, (step, argument, _) in enumerate(pickletools.genops(stream)):
        if number == MAX_STEPS:
            raise ContentError(
                f"has a pickle of more than {MAX_STEPS:,} steps, expected some ten "
                "thousand; save the weights alone"
            )
        if step.name not in allowed:
            raise ContentError(
                f"has a pickle with the step {step.name}, expected those of protocol "
                "2: save it by torch.save without pickle_protocol, or copy it again if "
                "it is damaged"
            )
        # The memory that Python makes grows with this number
        if step.name == "LONG_BINPUT" and (argument or 0) > number:
            raise ContentError("is damaged: its pickle counts what it has not got")


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: BinaryIO, *, encoding: str) -> None:
        super().__init__(stream, encoding=encoding)
        self.storages: dict[Any, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}".replace("__builtin__.", "builtins.")
        if full in _GLOBALS:
            return _GLOBALS[full]
        if full in _NO_WEIGHTS:
            raise ContentError(
                f"has {_NO_WEIGHTS[full]} tensors, expected dense ones of floating "
                "point numbers of 16, 32 or 64 bits; convert them and save again"
            )
        raise ContentError(
            f"needs Python code to be loaded ({full[:100]}) and was refused: such code "
            "could do anything. If you trust its source, keep the tensors alone: "
            "python -c \"import torch; d = torch.load('IN', weights_only=False); "
            "torch.save({'model': d.get('model', d.get('state_dict', d))}, 'OUT')\""
        )

    def persistent_load(self, pid: tuple) -> Storage:
        kind, dtype, key, _, total, *view = pid
        if kind != "storage" or type(key) is not str:
            raise ContentError("refers to something other than data of tensors")
        # Old files may have views of storages: (key of its own, first, count)
        _, first, count = view[0] if view and view[0] else (None, 0, total)
        storage = Storage(dtype, key, total, first, count)
        self.storages.setdefault(key, storage)
        return storage
