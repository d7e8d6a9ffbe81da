"""A resumed run does what the uninterrupted one would have done."""

from __future__ import annotations

from typing import Any

from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import Tensor, nn, tensor

from mmswinv2.datasets.bounds import check_truth
from mmswinv2.datasets.fetch import seed_everything, use_fetch
from mmswinv2.registry import HOOKS

from .data_order import number_batches

STEP, DATA = 0, 1  # streams of random numbers
DONE = "batches_of_epoch"  # in the meta of a checkpoint from the middle of an epoch
MADE_BY = "made_by"  # in the meta: what a run must have in common with it
GRADIENTS = "gradients"  # in a checkpoint between two steps of the optimizer


@HOOKS.register_module()
class RepeatableHook(Hook):
    """Makes every random draw of training a function of where in the run it is.

    Before each iteration, Python, numpy and torch, on all GPUs, are seeded from the
    seed of the run and the number of the iteration; every batch is read under a seed
    from the seed of the run, the process and the number of the batch, in workers and
    without. So nothing depends on what was drawn before, in which worker, or in an
    evaluation, and a run that resumes has the bits of one that was never interrupted.
    That is more than saving the states of generators would give: those of workers are
    out of reach, and have read ahead.

    The sampler goes to the batch that is next, in the middle of an epoch too, by
    indices alone. Between two steps of an optimizer that accumulates, its gradients are
    saved as well. Errors over a sample name its file, in evaluation and testing too.

    What keeps results of earlier samples (mmdet's ``CachedMosaic``, ``CachedMixUp``),
    has a generator of its own (albumentations) or counts by itself
    (``EarlyStoppingHook``) is not repeated; nor are gradients that several processes
    have accumulated. On a GPU, bits also depend on what cuDNN chooses, see mmengine's
    ``randomness=dict(deterministic=True)``.

    Examples:
        >>> default_hooks = dict(repeatable=dict(type="mmswinv2.RepeatableHook"))
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._batches = 0  # of this epoch
        self._gradients: dict[str, Tensor] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take what mmengine does not, if this run goes on."""
        if not runner._resume:
            return
        meta = checkpoint.get("meta", {})
        done = meta.get(DONE)
        self._batches = done if isinstance(done, int) and done > 0 else 0
        self._gradients = (
            checkpoint.pop(GRADIENTS, {}) if runner.world_size == 1 else {}
        )
        before, now = meta.get(MADE_BY), _made_by(runner)
        if isinstance(before, dict) and before != now:
            runner.logger.warning(
                f"The checkpoint is of a run with {_words(before)}, and this one has "
                f"{_words(now)}: it goes on from there, but is not what the run would "
                "have become"
            )
            self._batches = 0

    def before_run(self, runner: Runner) -> None:
        """Look at what evaluations compare with, before hours of training."""
        for loop in (runner._val_loop, runner._test_loop):
            if isinstance(loop, BaseLoop) and hasattr(loop, "evaluator"):
                check_truth(loop.evaluator)

    def before_train(self, runner: Runner) -> None:
        """Weights and iteration are there."""
        seed = tensor(runner.seed)  # may be another in each process, as mmengine wants
        broadcast(seed)
        position = (DATA, int(seed), runner.rank)
        number_batches(runner, int(seed), position, self._batches)
        if hasattr(runner.optim_wrapper, "_inner_count"):
            runner.optim_wrapper._inner_count = runner.iter  # FlexibleRunner leaves 0
        parameters = dict(_bare(runner.model).named_parameters())
        for name, gradient in self._gradients.items():
            parameter = parameters.get(name)
            if parameter is None or parameter.shape != gradient.shape:
                raise ValueError(
                    f"the checkpoint has a gradient of {name!r}, {[*gradient.shape]}, "
                    "which fits no parameter; resume from another one"
                )
            parameter.grad = gradient.to(parameter.device)
        self._gradients = {}

    def before_val(self, runner: Runner) -> None:
        """Name files in errors."""
        use_fetch(runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Name files in errors."""
        use_fetch(runner.test_dataloader)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """The iteration begins."""
        seed_everything(STEP, runner.seed, runner.iter)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Count batches of the epoch, before anything is saved."""
        self._batches = batch_idx + 1

    def after_train_epoch(self, runner: Runner) -> None:
        """The next epoch begins with its first batch."""
        self._batches = 0

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add what mmengine does not save."""
        checkpoint["meta"][DONE] = self._batches
        checkpoint["meta"][MADE_BY] = _made_by(runner)
        wrapper = runner.optim_wrapper
        accumulates = getattr(wrapper, "_accumulative_counts", 1) > 1
        alone = runner.world_size == 1 and "optimizer" in checkpoint
        if alone and accumulates and not wrapper.should_update():
            checkpoint[GRADIENTS] = {
                name: parameter.grad.cpu()
                for name, parameter in _bare(runner.model).named_parameters()
                if parameter.grad is not None
            }


def _made_by(runner: Runner) -> dict[str, int]:
    loader = runner.train_dataloader
    size = getattr(loader.batch_sampler, "batch_size", None) or loader.batch_size
    return dict(
        processes=runner.world_size, batch_size=size or 1, samples=len(loader.dataset)
    )


def _words(made_by: dict) -> str:
    return ", ".join(f"{name}={value}" for name, value in made_by.items())


def _bare(model: Any) -> nn.Module:
    return model.module if is_model_wrapper(model) else model
