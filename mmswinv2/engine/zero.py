"""ZeRO-1: every process keeps its part of the optimizer state only."""

import copy
from typing import Any

import torch
from mmengine._strategy import DDPStrategy
from mmengine.optim import BaseOptimWrapper
from mmengine.runner.checkpoint import get_state_dict, weights_to_cpu
from torch import nn

from mmswinv2.registry import STRATEGIES


@STRATEGIES.register_module()
class ZeRO1Strategy(DDPStrategy):
    """Data parallel training whose optimizer state is shared out (ZeRO, stage 1).

    The optimizer of the config becomes mmengine's ``ZeroRedundancyOptimizer`` around
    it. AdamW's state is twice the size of the parameters; with n processes, each holds
    one nth of it. Checkpoints are those of a run without the strategy and may be
    resumed by one, and the other way round.

    Args:
        model_wrapper (dict, optional): Further arguments of
            ``MMDistributedDataParallel``. Defaults to None.
        **kwargs (Any): Of mmengine's ``DDPStrategy``.

    Examples:
        >>> runner_type = "FlexibleRunner"
        >>> strategy = dict(type="mmswinv2.ZeRO1Strategy")
    """

    def __init__(self, *, model_wrapper: dict | None = None, **kwargs: Any) -> None:
        wrapper = dict(type="MMDistributedDataParallel", broadcast_buffers=False)
        if not torch.cuda.is_available():  # mmengine would give a CUDA device
            wrapper["device_ids"] = None
        super().__init__(model_wrapper={**wrapper, **(model_wrapper or {})}, **kwargs)
        self._gathered: dict = {}

    def build_optim_wrapper(
        self,
        optim_wrapper: BaseOptimWrapper | dict,
        model: nn.Module | None = None,
    ) -> BaseOptimWrapper:
        """As mmengine, with the optimizer's state shared out."""
        cfg = copy.deepcopy(optim_wrapper)
        optimizer = cfg["optimizer"]
        kind = optimizer["type"]
        kind = kind if isinstance(kind, str) else kind.__name__
        if kind != "ZeroRedundancyOptimizer":
            optimizer["optimizer_type"] = kind
            optimizer["type"] = "ZeroRedundancyOptimizer"
        return super().build_optim_wrapper(cfg, model)

    def save_checkpoint(
        self, filename: str, *, save_optimizer: bool = True, **kwargs: Any
    ) -> None:
        """Gathers the optimizer state from all processes; the first one saves."""
        if save_optimizer and hasattr(self, "optim_wrapper"):
            self._gathered = self.optim_wrapper.state_dict()
        super().save_checkpoint(filename, save_optimizer=save_optimizer, **kwargs)
        self._gathered = {}

    def model_state_dict(self) -> dict:
        """Weights by their own names, without the wrapper's prefix."""
        return weights_to_cpu(get_state_dict(self.model.module))

    def optim_state_dict(self) -> dict:
        """What :meth:`save_checkpoint` has gathered."""
        return self._gathered
