"""Shows what a SimMIM run has learnt so far: pictures masked, filled in, and as is."""
# B pictures, H W size in px, h w in tokens

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dataset import default_collate
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from mmswinv2.drawing.panels import make_panel, side_by_side
from mmswinv2.engine.fsdp import is_sharded
from mmswinv2.models.blocks import PATCH_SIZE
from mmswinv2.registry import HOOKS

GREY = 127.5  # of masked pixels
MIN_WIDTH, GAP, TEXT_SIZE = 192, 4, 12  # px; smaller pictures are enlarged


@HOOKS.register_module()
class ReconstructionHook(Hook):
    """Adds a sheet of reconstructed training pictures to the run's visualizer.

    Pictures and masks are the same throughout a run. A normalised prediction (see
    :class:`SimMIMHead`) is drawn with the means and deviations of the original. What
    FSDP has sharded is not drawn.

    Args:
        interval (int): Epochs, or iterations where the run counts these, between two
            sheets; the first and the last are drawn as well. Defaults to 10.
        num_pictures (int): How many, at equal distances in the data set. Defaults to 6.
        by_epoch (bool): What ``interval`` counts. Defaults to True.
    """

    def __init__(
        self, interval: int = 10, num_pictures: int = 6, by_epoch: bool = True
    ) -> None:
        if interval < 1 or num_pictures < 1:
            raise ValueError(
                f"interval={interval}, num_pictures={num_pictures}: expected 1 or more"
            )
        self.interval = interval
        self.num_pictures = num_pictures
        self.by_epoch = by_epoch
        self.batch: dict | None = None

    def before_train(self, runner: Runner) -> None:
        """Load the pictures, leaving the random numbers of the run as they were."""
        if is_sharded(runner.model):
            runner.logger.info("The model is sharded: no reconstructions are drawn")
        elif runner.rank == 0:
            dataset = runner.train_dataloader.dataset
            count = min(self.num_pictures, len(dataset))
            places = np.linspace(0, len(dataset) - 1, count).round().astype(int)
            with _own_random_numbers():
                self.batch = default_collate([dataset[i] for i in places.tolist()])

    def after_train_epoch(self, runner: Runner) -> None:
        """Draw every ``interval`` epochs."""
        if self.by_epoch:
            self._draw_if_due(runner, runner.epoch + 1, runner.max_epochs)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Draw every ``interval`` iterations."""
        if not self.by_epoch:
            self._draw_if_due(runner, runner.iter + 1, runner.max_iters)

    def _draw_if_due(self, runner: Runner, done: int, last: int) -> None:
        due = done in (1, last) or done % self.interval == 0
        if due and self.batch is not None:
            model = runner.model
            model = model.module if is_model_wrapper(model) else model
            sheet = draw_reconstructions(model, self.batch)
            runner.visualizer.add_image("reconstruction", sheet, step=done)


@contextmanager
def _own_random_numbers() -> Iterator[None]:
    """Within, random numbers are the same in every run; after, as they were before."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(0)
    np.random.seed(0)
    torch.default_generator.manual_seed(0)  # torch.manual_seed sets those of GPUs, too
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@torch.no_grad()
def draw_reconstructions(model: Any, batch: dict) -> np.ndarray:
    """A sheet with a row per picture: what the model sees, its guess, the original.

    Args:
        model (nn.Module): mmpretrain's ``SimMIM`` with :class:`SimMIMHead`.
        batch (dict): ``inputs`` and ``data_samples`` as the data loader gives them.

    Returns:
        ndarray: RGB of 8 bits.
    """
    training = model.training
    model.eval()
    data = model.data_preprocessor(batch)
    images, samples = data["inputs"], data["data_samples"]
    mask = torch.stack([sample.mask for sample in samples])
    predicted = model.neck(model.backbone(images, mask)[0])
    predicted = model.head.reconstruct(predicted, images)
    model.train(training)
    hidden = mask.repeat_interleave(PATCH_SIZE, 1).repeat_interleave(PATCH_SIZE, 2)
    hidden = hidden.bool().unsqueeze(1)
    original, predicted = (
        # from normalised to 0 to 255
        (x * model.data_preprocessor.std + model.data_preprocessor.mean).clamp(0, 255)
        for x in (images, predicted)
    )
    columns = {
        "seen": original.masked_fill(hidden, GREY),
        "filled in": torch.where(hidden, predicted, original),
        "original": original,
    }
    return _sheet(columns)


def _sheet(columns: dict[str, Tensor]) -> np.ndarray:
    """Columns ``(B, 3, H, W)`` beside each other under their titles."""
    panels = []
    for title, images in columns.items():
        times = max(MIN_WIDTH // images.shape[3], 1)
        images = images.repeat_interleave(times, 2).repeat_interleave(times, 3)
        images = F.pad(images, (0, 0, 0, GAP), value=255)
        rows = images.permute(0, 2, 3, 1).round().byte().cpu().numpy()
        panels.append(make_panel(np.concatenate(rows), title, (), TEXT_SIZE))
    return side_by_side(panels)
