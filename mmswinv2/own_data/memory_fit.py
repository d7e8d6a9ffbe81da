"""The batch of a config that fits a GPU, by the memory planner."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import replace

from mmengine.config import Config
from mmengine.logging import MMLogger

from mmswinv2.planning.config_plan import read_memory, read_plan
from mmswinv2.planning.memory_plan import SHARE

GIB = 2**30
ENOUGH = 4  # pictures; a smaller batch is worth the time of recomputation


class MemoryFit:
    """What batches of a config take on one GPU, and which fits.

    Args:
        cfg (Config): With the sizes of the data; its batch does not matter.
        memory (float): GiB of the GPU.
    """

    def __init__(self, cfg: Config, memory: float) -> None:
        cfg.train_dataloader.batch_size = 1
        logger = MMLogger.get_current_instance()
        level = logger.level
        logger.setLevel("ERROR")
        cfg.model.backbone.init_cfg = None
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")  # of the hosts, on models without data
                model, self.plan = read_plan(cfg, gpus=1)
                self.memory = read_memory(cfg, model, self.plan.training)
                self.gib(1)
        finally:
            logger.setLevel(level)
        self.budget = memory * SHARE

    def gib(self, batch: int, *, with_cp: bool = False, amp: bool = False) -> float:
        """GiB that a batch takes at its peak."""
        stages = (with_cp,) * len(self.plan.training.arch.depths)
        training = replace(self.plan.training, batch=batch, with_cp=stages)
        if amp:
            training = replace(training, number=2)
        return self.memory.total(replace(self.plan, training=training, amp=amp)) / GIB

    def batch(self, most: int) -> tuple[int, bool] | None:
        """The largest power of two that fits, and whether blocks are recomputed.

        Blocks are recomputed where less than four pictures fit otherwise.
        """
        found = self._largest(most, with_cp=False)
        if found >= min(ENOUGH, most):
            return found, False
        other = self._largest(min(ENOUGH, most), with_cp=True)
        if other > found:
            return other, True
        return (found, False) if found else None

    def _largest(self, most: int, *, with_cp: bool) -> int:
        batch = most
        while batch and self.gib(batch, with_cp=with_cp) > self.budget:
            batch //= 2
        return batch
