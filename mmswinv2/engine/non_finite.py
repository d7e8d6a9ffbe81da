"""Leaves out steps of training whose loss or gradients are not finite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase as BatchNorm

from mmswinv2.errors import RunError
from mmswinv2.registry import HOOKS

NAMED = 8  # pictures of a batch that a message names
Batch = dict | list | tuple | None


class NonFiniteLossError(RunError):
    """A run has no finite loss any more, or weights that are not finite."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Keeps weights from a loss of NaN or Inf, and stops a run that has no other.

    Such a step changes neither weights, nor the optimizer's state, nor the statistics
    of batch norms; with accumulated gradients it is the whole step that is left out.
    All processes decide alike. Gradients are looked at, too, except under a loss
    scaler, which leaves out steps by itself while it looks for its scale.

    One read of a flag per step, behind the backward pass: ``clip_grad`` reads the
    gradients' norm at the same place. Without it, the optimizer's kernels are launched
    after the backward pass has ended, no longer during it. DeepSpeed steps by itself,
    so that its runs are stopped, but their steps are not left out.

    Args:
        stop_after (int, optional): Steps in a row that were left out at which the run
            stops; None counts and warns only. One bad batch costs one step, while
            weights from which every loss is NaN never recover, so that few are enough.
            Defaults to 10.

    Raises:
        ValueError: If ``stop_after`` is no number above 0.
        NonFiniteLossError: While training, with the iteration, the losses that were not
            finite and the pictures of their batches.

    Examples:
        >>> default_hooks = dict(non_finite=dict(type="mmswinv2.NonFiniteLossHook"))
    """

    # After RuntimeInfoHook, which reads the losses; before EMA and checkpoints.
    priority = "HIGH"

    def __init__(self, stop_after: int | None = 10) -> None:
        whole = isinstance(stop_after, int) and stop_after > 0
        if stop_after is not None and not whole:
            raise ValueError(
                f"stop_after={stop_after!r}: expected a number of steps such as 10, or "
                "None to go on without an end"
            )
        self.stop_after = stop_after
        self.total = self.in_a_row = self._before = 0  # steps that were left out
        self._wrappers: list[OptimWrapper] = []
        self._flag: Tensor | None = None  # since the last step; above 0: not finite
        self._found: list[str] = []  # by this process, since the last step
        self._statistics: list[Tensor] = []
        self._kept: list[Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Look at every loss before its backward pass, and at gradients after it."""
        given = runner.optim_wrapper
        wrappers = given.values() if isinstance(given, OptimWrapperDict) else [given]
        for wrapper in wrappers:
            if isinstance(wrapper, OptimWrapper) and wrapper not in self._wrappers:
                self._wrappers.append(wrapper)
                wrapper.backward = partial(self._backward, wrapper.backward)
                look = partial(self._before_step, hasattr(wrapper, "loss_scaler"))
                wrapper.optimizer.register_step_pre_hook(look)
        self._statistics = [
            buffer
            for module in runner.model.modules()
            if isinstance(module, BatchNorm)
            for buffer in (module.running_mean, module.running_var)
            if buffer is not None
        ]
        self._kept = [buffer.clone() for buffer in self._statistics]

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Batch = None
    ) -> None:
        """The forward pass will change statistics of batch norms."""
        self._before = self.total
        if self._statistics:
            torch._foreach_copy_(self._kept, self._statistics)

    def _backward(self, backward: Callable, loss: Tensor, **kwargs: Any) -> None:
        flag = (~loss.detach().isfinite()).float()
        if self._statistics:  # pixels of 1e30 spoil them in front of a finite loss
            flag = flag + _spoilt(self._statistics)
        self._flag = flag if self._flag is None else self._flag + flag
        backward(loss, **kwargs)

    def _before_step(
        self, scaled: bool, optimizer: torch.optim.Optimizer, *_: Any
    ) -> None:
        params = [p for group in optimizer.param_groups for p in group["params"]]
        grads = [p.grad for p in params if p.grad is not None]
        if self._flag is None or not grads:  # a loop of its own
            return
        if not scaled:
            grads = [g.to_local() if hasattr(g, "to_local") else g for g in grads]
            self._flag = self._flag + _spoilt(grads)
        if self._is_bad():
            for p in params:
                p.grad = None  # optimizers pass over these

    def _is_bad(self) -> bool:
        """Whether any process has a reason to leave out this step."""
        flag: Any = self._flag
        self._flag = None
        all_reduce(flag, "max")
        bad = flag.item() > 0
        self.in_a_row = self.in_a_row + 1 if bad else 0
        self.total += bad
        return bad

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: dict | None = None,
    ) -> None:
        """Restore statistics, warn, or stop."""
        # RuntimeInfoHook has just read the same, so that nothing is left to wait for
        names = _not_finite(outputs or {})
        if self._statistics and (names or _spoilt(self._statistics)):
            torch._foreach_copy_(self._statistics, self._kept)
            names = names or ["statistics of batch norms"]
        if names:
            self._found.append(f"{', '.join(names)} of {_pictures(data_batch)}")
        if not self._wrappers:  # DeepSpeed has made its step
            self._flag = torch.tensor(float(bool(names)), device=get_device())
        if self._flag is not None and all(w.should_update() for w in self._wrappers):
            self._is_bad()  # a loss scaler has left out this step already
        if self._flag is not None:
            return  # gradients of more batches follow
        if self.total > self._before:
            self._tell(runner, _pictures(data_batch))
        self._found = []

    def _tell(self, runner: Runner, pictures: str) -> None:
        stop = self.in_a_row == self.stop_after
        if not stop and self.total & (self.total - 1):  # 1, 2, 4, 8 and so on
            return
        reports = all_gather_object((self._found, f"gradients of {pictures}"))
        found = [text for texts, _ in reports for text in texts]
        found = found or [gradients for _, gradients in reports]
        what = f"iteration {runner.iter + 1}: not finite were {'; '.join(found)}"
        if stop:
            raise NonFiniteLossError(
                f"{what}. {self.in_a_row} steps in a row were left out, and weights "
                "are those of before. Look at these pictures and their annotations, or "
                "lower the learning rate. NonFiniteLossHook(stop_after=None) goes on"
            )
        times = f", one of {self.total} so far" if self.total > 1 else ""
        runner.logger.warning(f"{what}. This step was left out{times}")

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """No checkpoint that nobody could load takes the place of a good one.

        Raises:
            NonFiniteLossError: A weight or a state of the optimizer is not finite.
        """
        for part in ("state_dict", "optimizer"):
            for name, tensor in _tensors(checkpoint.get(part)):
                if tensor.is_floating_point() and not tensor.isfinite().all():
                    raise NonFiniteLossError(
                        f"iteration {runner.iter}: {part} {name} is not finite, so no "
                        "checkpoint was written and the one before is kept; go on from "
                        "it with --resume, at a lower learning rate"
                    )


def _spoilt(tensors: list[Tensor]) -> Tensor:
    """Whether any is not finite, or so large that Adam's second moment would not be."""
    return ~torch.stack(torch._foreach_norm(tensors)).isfinite().all()


def _not_finite(outputs: dict) -> list[str]:
    """Names of losses that are not finite, but for their sum."""
    losses = {n: torch.as_tensor(v) for n, v in outputs.items() if "loss" in n}
    if "loss" in losses and losses["loss"].isfinite():
        return []
    bad = [name for name, value in losses.items() if not value.isfinite().all()]
    return [name for name in bad if name != "loss"] or bad


def _pictures(batch: object) -> str:
    """Paths of the pictures of a batch, as far as it knows them."""
    names = [*_paths(batch)]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more if names else "a batch without file names"


def _paths(node: object) -> Iterator[str]:
    if isinstance(node, (dict, list, tuple)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _paths(child)
    elif isinstance(node, BaseDataElement) and "img_path" in node:
        yield str(node.img_path)


def _tensors(node: object, path: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(node, Tensor):
        yield path, node
    elif isinstance(node, (dict, list, tuple)):
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for name, child in pairs:
            yield from _tensors(child, f"{path}.{name}" if path else str(name))
