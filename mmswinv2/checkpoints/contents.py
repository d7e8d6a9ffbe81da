"""Build what a checkpoint holds, and check it on the way, by name."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Collection
from typing import Any, cast

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

from .containers import Loader
from .pickles import (
    ArraySpec,
    ContentError,
    DtypeSpec,
    HistorySpec,
    ScalarSpec,
    Storage,
    TensorSpec,
)

MAX_TENSORS = 50_000  # of a model; a detector of size G has 2,000
MAX_DEPTH = 100  # of containers in containers; an optimizer has 5
_DTYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.bool),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
)
_ARRAY_DTYPES = (
    "b1",
    "f2",
    "f4",
    "f8",
    *(f"{k}{n}" for k in "iu" for n in (1, 2, 4, 8)),
)
_KEYS = (str, int, float, bool, type(None))
_MASK = "attn_mask"  # a buffer of other code, never loaded, which may hold -inf
_LOG = "message_hub"  # where NaN and Inf are what a run has seen


def check_count(names: Collection) -> None:
    """Raise ContentError for more tensors than any model has."""
    if len(names) > MAX_TENSORS:
        raise ContentError(
            f"has {len(names):,} tensors, expected at most {MAX_TENSORS:,} for one "
            "model; save the wanted weights alone"
        )


def check_tensor(name: str, tensor: Tensor) -> None:
    """Raise ContentError unless a tensor can be a weight or a state of training.

    Args:
        name (str): Its path in the checkpoint.
        tensor (Tensor): Floating point numbers have to be finite.
    """
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        kind = "quantized" if tensor.is_quantized else "meta (empty)"
        kind = kind if tensor.layout is torch.strided else "sparse"
        raise ContentError(f"has a {kind} tensor in {name!r}, expected a dense one")
    if tensor.dtype not in _DTYPES:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ContentError(
            f"has numbers of {kind} in {name!r}, expected floating point of 16, 32 or "
            "64 bits"
        )
    plain = type(tensor) in (Tensor, torch.nn.Parameter)  # not spread over devices
    if not plain or not tensor.is_floating_point() or name.endswith(_MASK):
        return
    if tensor.numel() == 0:
        return
    if not all(map(math.isfinite, (end.item() for end in tensor.aminmax()))):
        bad = int((~tensor.isfinite()).sum())
        raise ContentError(
            f"has NaN or Inf in {name!r} ({bad:,} of {tensor.numel():,} numbers): the "
            "training that wrote it had diverged, or the file was damaged before it "
            "was saved; take an earlier checkpoint"
        )


class Builder:
    """Puts tensors and arrays where a pickle's specifications are.

    Args:
        load (Callable): Gives the bytes of a storage.
        size (int): Bytes of the file. All tensors together may take some times more,
            as they may share data, but not any number of times.
        device (torch.device): Where the tensors go.
    """

    def __init__(self, load: Loader, size: int, device: torch.device) -> None:
        self._load = load
        self._budget = 8 * size + 2**26
        self._device = device
        self._data: dict[Any, Tensor] = {}
        self._built: dict[tuple[int, bool], Any] = {}

    def build(self, value: Any, name: str = "", depth: int = 0) -> Any:
        """A value of the content, and all within it.

        Args:
            value (object): As :func:`read_pickle` gives it.
            name (str): Its path. Defaults to that of the whole.
            depth (int): Containers that it is in. Defaults to 0.

        Raises:
            ContentError: If it is not what a checkpoint holds.
        """
        if isinstance(value, (str, int, float, bytes, type(None))):
            if isinstance(value, float) and value != value and _is_state(name):
                raise ContentError(f"has NaN in {name!r}; take an earlier checkpoint")
            return value
        if depth > MAX_DEPTH:
            raise ContentError(f"has more than {MAX_DEPTH} containers in each other")
        # A tensor can be in places where it may hold infinity, and in others
        place = id(value), isinstance(value, TensorSpec) and _may_be_infinite(name)
        if place not in self._built:
            self._built[place] = self._build(value, name, depth + 1)
        return self._built[place]

    def _build(self, value: Any, name: str, depth: int) -> Any:
        if isinstance(value, TensorSpec):
            return self._tensor(value, name)
        if isinstance(value, ArraySpec):
            return _array(value, name)
        if isinstance(value, ScalarSpec):
            return _numbers(value.dtype, value.data, name)[0]
        if isinstance(value, HistorySpec):
            return self._history(value, name, depth)
        if isinstance(value, dict):
            if isinstance(value, (OrderedDict, Counter)) and vars(value):
                self._check_attributes(vars(value), name, depth)
            for key, entry in value.items():
                _check_key(key, name)
                value[key] = self.build(entry, f"{name}.{key}".lstrip("."), depth)
            return value
        if isinstance(value, list):
            value[:] = [
                self.build(x, f"{name}.{i}", depth) for i, x in enumerate(value)
            ]
            return value
        if type(value) is tuple:
            built = (self.build(x, f"{name}.{i}", depth) for i, x in enumerate(value))
            return tuple(built)
        if isinstance(value, set):
            for item in value:
                _check_key(item, name)
            return value
        if isinstance(value, (torch.Size, torch.device, torch.dtype)):
            return value
        raise ContentError(f"has something in {name!r} that is no data")

    def _tensor(self, spec: TensorSpec, name: str) -> Tensor:
        storage, offset, size, stride = spec
        sizes = (size, stride, (offset,))
        if not isinstance(storage, Storage) or not all(
            isinstance(numbers, tuple)
            and all(type(n) is int and n >= 0 for n in numbers)
            for numbers in sizes
        ):
            raise ContentError(f"is damaged: {name!r} has no shape or no data")
        data = self._storage(storage, name)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride))
        if len(size) != len(stride) or len(size) > 32:
            raise ContentError(f"is damaged: {name!r} has no shape")
        if 0 in size:
            return torch.empty(size, dtype=data.dtype, device=data.device)
        if last >= len(data):
            raise ContentError(
                f"is damaged: {name!r} of shape {size} reaches beyond its data of "
                f"{len(data):,} numbers"
            )
        self._budget -= math.prod(size) * data.element_size()
        if self._budget < 0:
            raise ContentError(
                f"has tensors that take far more memory than the file (up to {name!r} "
                f"of shape {size}); clone() them and save again"
            )
        tensor = data.as_strided(size, stride, offset)
        if not _may_be_infinite(name):
            check_tensor(name, tensor)
        return tensor

    def _storage(self, storage: Storage, name: str) -> Tensor:
        dtype, key, total, first, count = storage
        numbers = (total, first, count)
        if dtype not in _DTYPES or any(type(n) is not int or n < 0 for n in numbers):
            raise ContentError(f"is damaged: {name!r} has no data")
        dtype, first, count = (
            cast(torch.dtype, dtype),
            cast(int, first),
            cast(int, count),
        )
        if key not in self._data:
            self._data[key] = self._load(storage).to(self._device)
        data = self._data[key]
        if len(data) != total * dtype.itemsize:
            raise ContentError(
                f"is damaged: the data of {name!r} are {len(data):,} bytes, expected "
                f"{total * dtype.itemsize:,}"
            )
        return data.view(dtype)[first : first + count]

    def _history(self, spec: HistorySpec, name: str, depth: int) -> HistoryBuffer:
        state = spec.state if isinstance(spec.state, dict) else {}
        logs, counts = (
            self.build(state.get(key), f"{name}.{key}", depth)
            for key in ("_log_history", "_count_history")
        )
        length = state.get("max_length")
        arrays = [
            x for x in (logs, counts) if isinstance(x, np.ndarray) and x.ndim == 1
        ]
        if len(arrays) < 2 or len(logs) != len(counts) or type(length) is not int:
            raise ContentError(f"is damaged: {name!r} is no log of a scalar")
        if length < max(1, len(logs)):
            raise ContentError(f"is damaged: {name!r} is longer than it may be")
        return HistoryBuffer(logs, counts, length)

    def _check_attributes(self, attributes: dict, name: str, depth: int) -> None:
        """A state dict has versions of its modules beside it, and nothing else."""
        versions = attributes.get("_metadata")
        if attributes.keys() != {"_metadata"} or not isinstance(versions, dict):
            raise ContentError(f"has a dict with attributes in {name!r}")
        if not all(isinstance(version, dict) for version in versions.values()):
            raise ContentError(f"has no versions of modules beside {name!r}")
        self.build(versions, f"{name}._metadata", depth)


def _may_be_infinite(name: str) -> bool:
    return name.startswith(_LOG) or name.endswith(_MASK)


def _is_state(name: str) -> bool:
    return name.startswith(("optimizer", "param_schedulers"))


def _check_key(key: Any, name: str) -> None:
    if isinstance(key, tuple):
        for part in key:
            _check_key(part, name)
    elif type(key) not in _KEYS:
        raise ContentError(f"has a key in {name!r} that is no name or number")


def _array(spec: ArraySpec, name: str) -> np.ndarray:
    if not isinstance(spec.state, tuple) or len(spec.state) != 5:
        raise ContentError(f"is damaged: the array {name!r} has no data")
    _, shape, dtype, fortran, data = spec.state
    numbers = _numbers(dtype, data, name)
    if not isinstance(shape, tuple) or any(type(n) is not int or n < 0 for n in shape):
        raise ContentError(f"is damaged: the array {name!r} has no shape")
    if math.prod(shape) != len(numbers) or len(shape) > 32:
        raise ContentError(
            f"is damaged: the array {name!r} of shape {shape} has {len(numbers):,} "
            "numbers"
        )
    return numbers.reshape(shape, order="F" if fortran else "C").copy()


def _numbers(dtype: Any, data: Any, name: str) -> np.ndarray:
    """Numbers of a plain type, one after the other."""
    kind = dtype.name if isinstance(dtype, DtypeSpec) else None
    if kind not in _ARRAY_DTYPES:
        raise ContentError(
            f"has an array of {str(kind)[:20]!r} in {name!r}, expected plain numbers; "
            "save a list"
        )
    state = dtype.state if isinstance(dtype.state, tuple) else ()
    order = ">" if state[1:2] == (">",) else "<"
    numbers = np.dtype(order + kind)
    if not isinstance(data, bytes) or len(data) % numbers.itemsize:
        raise ContentError(f"is damaged: the array {name!r} has no whole numbers")
    return np.frombuffer(data, numbers).astype(numbers.newbyteorder("="))
