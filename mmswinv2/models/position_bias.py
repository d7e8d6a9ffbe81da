"""Position biases of window attention (Swin V2, section 3.3), three behind one name.

'log_cpb': a meta network of log-spaced coordinates, Swin V2's own. 'linear_cpb': the
same network of linear coordinates. 'table': one learned value per offset, as in Swin
V1, carried to other windows by interpolation.
"""
# h w window size (of videos t h w), n heads, b blocks of a stage, L offsets:
# (2 * h - 1) * (2 * w - 1)

import math
import operator
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.checkpoint import checkpoint

from mmswinv2.ops.geometric_table import carry_table, table_to_map
from mmswinv2.ops.kept import is_transformed, is_watched, kept, may_keep, served
from mmswinv2.ops.linear import is_recorded
from mmswinv2.ops.log_coords import linear_coords, log_spaced_coords

from .plain_modules import is_plain

POSITION_BIASES = ("log_cpb", "linear_cpb", "table")
HIDDEN_DIMS = 512  # of the meta network, as in every published weight
BIAS_RANGE = 16  # the bias is 16 * sigmoid(.), within (0, 16); official code


class LogCPB(nn.Sequential):
    """Meta network from log-spaced offsets to the position bias of every head.

    Two linear layers (weights ``0.*`` and ``2.weight``, the official names). The bias
    is always computed in fp32.

    Args:
        num_heads (int): Number of attention heads.
        num_axes (int): Axes of a window. Defaults to 2, those of images.
    """

    coords = staticmethod(kept(64)(log_spaced_coords))

    def __init__(self, num_heads: int, num_axes: int = 2) -> None:
        super().__init__(
            nn.Linear(num_axes, HIDDEN_DIMS),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN_DIMS, num_heads, bias=False),
        )

    def forward(  # type: ignore[override]  # a meta network takes windows
        self, window: tuple[int, ...], pretrained_window: tuple[int, ...]
    ) -> Tensor:
        """Bias table ``(n, 2 * h - 1, 2 * w - 1)``, fp32; its centre is offset 0."""
        layers: Any = self  # the linear ones know their weights
        hidden, _, out = layers
        coords = self.coords(window, pretrained_window, hidden.weight.device)
        with torch.autocast(coords.device.type, enabled=False):
            x = F.linear(coords, hidden.weight.float(), hidden.bias.float()).relu_()
            x = F.linear(x, out.weight.float())
            return BIAS_RANGE * x.sigmoid().movedim(-1, 0)


class LinearCPB(LogCPB):
    """As :class:`LogCPB`, with linear coordinates (equation 3)."""

    coords = staticmethod(kept(64)(linear_coords))


class _Kept(NamedTuple):
    """A value, and what it was made from: a key, parameters and their numbers."""

    key: tuple
    parameters: tuple[Tensor, ...]
    numbers: tuple[Tensor, ...]
    value: Tensor

    def serves(self, key: tuple, parameters: Sequence[Tensor]) -> bool:
        return (
            self.key == key
            and all(map(operator.is_, self.parameters, parameters))
            and all(map(torch.equal, self.numbers, parameters))
        )


def _state(parameter: Tensor) -> tuple[int, ...]:
    """Memory of a parameter, and how often it was changed there.

    Changes through ``.data``, as of a teacher that is a moving average, count nowhere.
    On a CPU its numbers are compared. Elsewhere that would wait for the device, so
    every step of an optimizer counts for a change: averages follow one.
    """
    version = 0 if parameter.is_inference() else parameter._version
    steps = 0 if parameter.device.type == "cpu" else _steps()[0]
    return parameter.data_ptr(), version, steps


@cache
def _steps() -> list[int]:
    """Steps of all optimizers since the first call."""
    steps = [0]

    def count(*_: Any) -> None:
        steps[0] += 1

    register_optimizer_step_post_hook(count)
    return steps


class PositionBias(nn.Module):
    """What an attention module knows of positions, by the names of published weights.

    It holds ``cpb_mlp`` (Swin V2) or ``relative_position_bias_table`` (Swin V1). In
    eval mode the bias is kept until weights, mode, device or window change, unless the
    model is compiled or exported, or a CUDA graph is captured. Weights changed through
    ``.data`` are seen on a CPU, and elsewhere after the next step of an optimizer.

    A table has the window that it was made with, ``pretrained_window``, for good:
    another window at run time, be it larger, rectangular or shrunk to a small map, uses
    :func:`carry_table` of it, and training there trains the same parameter. So
    optimizers, averages and checkpoints see one shape however often the window changes.

    Args:
        kind (str): 'log_cpb', 'linear_cpb' or 'table'.
        num_heads (int): Number of attention heads.
        pretrained_window (tuple[int, ...]): Window of a table, in tokens; of any kind,
            its length is that of every window.

    Raises:
        ValueError: If ``kind`` is unknown.
    """

    def __init__(
        self, kind: str, *, num_heads: int, pretrained_window: tuple[int, ...]
    ) -> None:
        super().__init__()
        if kind not in POSITION_BIASES:
            raise ValueError(
                f"position_bias={kind!r} is unknown; choose one of "
                f"{', '.join(map(repr, POSITION_BIASES))}"
            )
        self._kept: dict[str, _Kept] = {}
        if kind == "table":
            offsets = math.prod(2 * size - 1 for size in pretrained_window)
            table = torch.zeros(offsets, num_heads)
            self.relative_position_bias_table = nn.Parameter(table)
        else:
            network = {"log_cpb": LogCPB, "linear_cpb": LinearCPB}[kind]
            self.cpb_mlp = network(num_heads, len(pretrained_window))

    def position_bias(
        self, window: tuple[int, ...], pretrained_window: tuple[int, ...]
    ) -> Tensor:
        """Bias of every relative offset in a window.

        Args:
            window (tuple[int, ...]): Window in tokens.
            pretrained_window (tuple[int, ...]): Unit of the coordinates; for a table,
                the window that it was made with.

        Returns:
            Tensor: ``(n, 2 * h - 1, 2 * w - 1)``, fp32; its centre is offset 0.
        """
        windows = window, pretrained_window
        if hasattr(self, "cpb_mlp") and not _is_plain(self.cpb_mlp):
            # Whoever watches sees every call: FSDP's processes must all gather it.
            return self.compute_position_bias(*windows)
        return self.keep(
            "position bias",
            windows,
            self._bias_parameters(),
            lambda: self.compute_position_bias(*windows),
        )

    def keep(
        self,
        name: str,
        key: tuple,
        parameters: Sequence[nn.Parameter],
        compute: Callable[[], Tensor],
    ) -> Tensor:
        """What ``compute`` gives; in eval mode once for the same key and parameters.

        Args:
            name (str): What it is; one is kept per name.
            key (tuple): What it depends on beside the parameters.
            parameters (Sequence[Parameter]): What it is computed from.
            compute (Callable): Makes it.
        """
        if self.training or is_watched():
            return compute()
        # A value that was kept without gradients must not serve where they are wanted.
        with_grad = torch.is_grad_enabled()
        key = (key, with_grad, *map(_state, parameters))
        kept = self._kept.get(name)
        if kept and kept.serves(key, parameters):
            return served(kept.value)
        value = compute()
        if (with_grad and value.requires_grad) or not may_keep():
            return value
        value = value.detach()
        numbers = (p.detach().clone() for p in parameters if p.device.type == "cpu")
        self._kept[name] = _Kept(key, tuple(parameters), tuple(numbers), value)
        return value

    def compute_position_bias(
        self, window: tuple[int, ...], pretrained_window: tuple[int, ...]
    ) -> Tensor:
        """As :meth:`position_bias`, always computed."""
        if hasattr(self, "cpb_mlp"):
            return self.cpb_mlp(window, pretrained_window)
        table = self.relative_position_bias_table
        return carry_table(table_to_map(table, pretrained_window), window)

    def _bias_parameters(self) -> list[nn.Parameter]:
        if hasattr(self, "cpb_mlp"):
            return [*self.cpb_mlp.parameters()]
        return [self.relative_position_bias_table]

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_kept": {}}  # a copy has parameters of its own

    def _replicate_for_data_parallel(self) -> "PositionBias":
        replica = super()._replicate_for_data_parallel()
        replica._kept = {}
        return replica

    def train(self, mode: bool = True) -> "PositionBias":
        """Set the mode and forget the kept bias."""
        self._kept.clear()  # EMA swaps weights unseen by their version counters
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> "PositionBias":
        self._kept.clear()
        return super()._apply(*args, **kwargs)


def position_biases(
    modules: Sequence[PositionBias],
    window: tuple[int, ...],
    pretrained_window: tuple[int, ...],
) -> Sequence[Tensor]:
    """:meth:`PositionBias.position_bias` of all blocks of a stage.

    In training their meta networks go through two batched products: launched one by
    one, they would take more of the host's time than the attention of the blocks. On
    CPU their hidden layers, of 512 numbers for every offset, are computed again in the
    backward pass: of windows of clips they would be a tenth of all that is kept.

    Args:
        modules (Sequence[PositionBias]): Of one kind and one number of heads.
        window (tuple[int, ...]): Window in tokens.
        pretrained_window (tuple[int, ...]): Unit of the coordinates.

    Returns:
        Sequence[Tensor]: ``(n, 2 * h - 1, 2 * w - 1)`` of every module, fp32.
    """
    if len(modules) < 2 or is_recorded() or not all(map(_is_batchable, modules)):
        return [m.position_bias(window, pretrained_window) for m in modules]
    networks: list[Any] = [m.cpb_mlp for m in modules]
    coords = networks[0].coords(window, pretrained_window, networks[0][0].weight.device)
    with torch.autocast(coords.device.type, enabled=False):
        weight, out = (
            torch.stack([net[i].weight for net in networks]).float() for i in (0, 2)
        )
        bias = torch.stack([net[0].bias for net in networks]).float()
        x = coords.flatten(0, -2).expand(len(networks), -1, -1)  # (b, L, axes)
        if x.is_cpu and torch.is_grad_enabled() and not is_transformed():
            x = checkpoint(
                *(_biases, x, bias, weight, out),
                use_reentrant=False,
                preserve_rng_state=False,
            )
        else:
            x = _biases(x, bias, weight, out)
    return x.unflatten(-1, coords.shape[:-1]).unbind()


def _biases(x: Tensor, bias: Tensor, weight: Tensor, out: Tensor) -> Tensor:
    """``(b, L, axes)`` -> ``(b, n, L)``."""
    x = torch.baddbmm(bias[:, None], x, weight.mT).relu_()  # (b, L, hidden)
    return BIAS_RANGE * (out @ x.mT).sigmoid()


def _is_batchable(module: PositionBias) -> bool:
    """Whether a module computes its bias anew by a network that nobody watches."""
    network = getattr(module, "cpb_mlp", None)
    return (
        module.training
        and network is not None
        and _is_plain(network)
        and is_plain(network[0], nn.Linear)
        and is_plain(network[2], nn.Linear)
    )


def _is_plain(network: nn.Module) -> bool:
    return is_plain(network, LogCPB) or is_plain(network, LinearCPB)
