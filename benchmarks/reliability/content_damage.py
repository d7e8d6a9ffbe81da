"""Checkpoints that were written well, with contents that are not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from random import Random

import torch
from torch import Tensor

NOT_TENSORS = (None, 1, "x", [], [[1.0]], (), {}, {"a": torch.ones(1)}, True, b"x")


def values(state: dict, rng: Random) -> str:
    """Numbers that no weight has, or kinds of numbers or tensors."""
    name = rng.choice(
        [k for k, v in state.items() if isinstance(v, Tensor) and v.is_floating_point()]
    )
    old = state[name]
    new = old.clone()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of sparse and quantized tensors
        kind = rng.choice([*_VALUES])
        if kind == "number":
            number = rng.choice([float("nan"), float("inf"), float("-inf")])
            new.reshape(-1)[rng.randrange(new.numel())] = number
            state[name] = new
        else:
            state[name] = _VALUES[kind](new)
    return f"{kind} in {name}"


_VALUES: dict[str, Callable[[Tensor], object]] = {
    "number": lambda x: x,
    "integers": lambda x: x.int(),
    "long": lambda x: x.long(),
    "bytes": lambda x: x.to(torch.uint8),
    "bool": lambda x: x > 0,
    "complex": lambda x: x.to(torch.complex64),
    "eight bits": lambda x: x.to(torch.float8_e4m3fn),
    "double": lambda x: x.double(),
    "sparse": lambda x: x.to_sparse(),
    "rows": lambda x: x.reshape(x.shape[0] if x.dim() else 1, -1).to_sparse_csr(),
    "quantized": lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
    "meta": lambda x: x.to("meta"),
    "unsigned": lambda x: x.to(torch.uint16),
}


def shapes(state: dict, rng: Random) -> str:
    """Shapes that a weight has not."""
    name = rng.choice([k for k, v in state.items() if isinstance(v, Tensor)])
    old = state[name]
    new = rng.choice(
        [
            old.reshape(-1)[0],
            torch.ones(()),
            old.reshape(-1)[:0],
            torch.zeros(0, 3),
            old[None].repeat(2, *[1] * old.dim()),
            old[..., None, None],
            old.new_ones(*[2] * 6),
            torch.ones(1).expand(2**12, 2**12),
            old.new_ones(old.numel() + 1),
        ]
    )
    state[name] = new.contiguous() if new.numel() < 10**6 else new
    return f"{name} is {tuple(new.shape)}, was {tuple(old.shape)}"


def names(state: dict, rng: Random) -> str:
    """Names that are missing, others, odd or too many."""
    name = rng.choice([*state])
    tensor = state[name]
    kind = rng.randrange(8)
    if kind < 2:
        del state[name]
        return f"{name} missing"
    digit = rng.choice([c for c in name if c.isdigit()] or ["x"])
    other = rng.choice(
        [
            name + "x",
            name[1:],
            name.replace(
                digit,
                rng.choice(["1" + "0" * 20, "9" * 5000, "99", "٣", "-1", "00"]),
                1,
            ),
            f"x.{name}",
            f"module.{name}",
            name.replace(".", "..", 1),
            "",
            "." * 300,
            f"{name}\n\x1b[31m",
            "a" * 10**5,
        ]
    )
    if kind < 5:
        del state[name]
    state[other] = tensor
    if kind == 7:
        many = rng.choice([300, 60_000])
        state.update({f"layers.0.blocks.{i}.x": torch.zeros(1) for i in range(many)})
        return f"{many} names more"
    return f"{name} is {other[:60]!r}{' too' * (kind >= 5)}"


def entries(state: dict, rng: Random) -> str:
    """Entries that are no tensors, and keys that are no names."""
    name = rng.choice([*state])
    if rng.random() < 0.5:
        state[name] = rng.choice(NOT_TENSORS)
        return f"{name} is {state[name]!r:.60}"
    key = rng.choice([0, None, 1.5, (1, 2), ("a",), True, 10**30, b"x"])
    state[key] = state.pop(name) if rng.random() < 0.5 else torch.ones(1)
    return f"a key is {key!r}"


def windows(state: dict, rng: Random) -> str:
    """Windows that no model has."""
    tables = [
        k
        for k in state
        if isinstance(k, str) and k.endswith(("relative_coords_table", "window_record"))
    ]
    if not tables:
        return values(state, rng)
    name = rng.choice(tables)
    old = state[name]
    odd = rng.choice([0, -1, 10**6, 5000, 2**40])
    new = rng.choice(
        [
            torch.full_like(old, odd),
            old * -1,
            old * 0,
            old * odd,
            old.float() * float("nan"),
            old.float() + 0.37,
            torch.cat([old, old]),
            old[..., :1].contiguous(),
            old.reshape(-1),
            old > 0,
            torch.zeros(3, 2, 2, 2),
        ]
    )
    if name.endswith("window_record"):
        state[name] = new
    else:  # of all blocks: one alone may not be looked at
        state.update({k: new.clone() for k in tables})
    return f"{name} is {new.reshape(-1)[:4].tolist()}..., {tuple(new.shape)}"


def wrappers(content: dict, rng: Random) -> str:
    """Parts of a checkpoint that are something else."""
    key = rng.choice([*content, "meta", "state_dict", "pretrained_cfg", "model"])
    content[key] = rng.choice(NOT_TENSORS)
    return f"{key} is {content[key]!r:.60}"


def training(content: dict, rng: Random) -> str:
    """A state of training that no run saves."""
    path = rng.choice(
        [
            ("meta",),
            ("meta", "epoch"),
            ("meta", "iter"),
            ("meta", "dataset_meta"),
            ("message_hub",),
            ("message_hub", "log_scalars"),
            ("message_hub", "runtime_info"),
            ("message_hub", "resumed_keys"),
            ("optimizer",),
            ("optimizer", "state"),
            ("optimizer", "state", 3),
            ("optimizer", "state", 3, "exp_avg"),
            ("optimizer", "param_groups"),
            ("optimizer", "param_groups", 0),
            ("optimizer", "param_groups", 0, "params"),
            ("optimizer", "param_groups", 0, "params", 4),
            ("param_schedulers",),
            ("param_schedulers", 0),
        ]
    )
    node: object = content
    for key in path[:-1]:
        node = node[key]
    if path[-1] == "exp_avg":
        node["exp_avg"] = (
            node["exp_avg"].clone().fill_(rng.choice([float("nan"), float("inf")]))
        )
    elif rng.random() < 0.3 and isinstance(node, dict):
        del node[path[-1]]
    else:
        node[path[-1]] = rng.choice(
            [v for v in NOT_TENSORS if type(v) is not type(node[path[-1]])]
        )
    return f"{'.'.join(map(str, path))} is not what it should be"
