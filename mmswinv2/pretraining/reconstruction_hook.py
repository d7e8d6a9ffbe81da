"""Shows what a SimMIM run has learnt so far: pictures masked, filled in, and as is."""
# B pictures, H W size in px, h w in tokens

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.dataset import default_collate
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmswinv2.drawing.panels import make_panel, side_by_side, text_size
from mmswinv2.models.blocks import PATCH_SIZE
from mmswinv2.registry import HOOKS

TITLES = ("seen", "filled in", "all predicted", "original")
GREY = 127.5  # of masked pixels


@HOOKS.register_module()
class ReconstructionHook(Hook):
    """Adds a sheet of reconstructed training pictures to the run's visualizer.

    Pictures and masks are the same throughout a run. A normalised prediction (see
    :class:`SimMIMHead`) is drawn with the means and deviations of the original.

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
        if not runner.rank:
            dataset = runner.train_dataloader.dataset
            count = min(self.num_pictures, len(dataset))
            states = random.getstate(), np.random.get_state(), torch.get_rng_state()
            random.seed(0), np.random.seed(0), torch.manual_seed(0)
            places = np.linspace(0, len(dataset) - 1, count).round().astype(int)
            self.batch = default_collate([dataset[i] for i in places.tolist()])
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])

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
        if done in (1, last) or done % self.interval == 0:
            model = runner.model
            model = model.module if is_model_wrapper(model) else model
            if self.batch is not None:
                sheet = draw_reconstructions(model, self.batch)
                runner.visualizer.add_image("reconstruction", sheet, step=done)


@torch.no_grad()
def draw_reconstructions(model: nn.Module, batch: dict) -> np.ndarray:
    """A sheet with a row per picture: seen, filled in, predicted, original.

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
    original = _pixels(images, model.data_preprocessor)
    predicted = _pixels(predicted, model.data_preprocessor)
    seen = original.masked_fill(hidden, GREY)
    filled = torch.where(hidden, predicted, original)
    return _sheet([seen, filled, predicted, original])


def _pixels(images: Tensor, preprocessor: nn.Module) -> Tensor:
    """Normalised images -> 0 to 255."""
    return (images * preprocessor.std + preprocessor.mean).clamp(0, 255)


def _sheet(columns: Sequence[Tensor]) -> np.ndarray:
    """Columns ``(B, 3, H, W)`` beside each other, one row per picture."""
    size = text_size(columns[0].shape[2:])
    panels = []
    for images, title in zip(columns, TITLES):
        rows = images.permute(0, 2, 3, 1).byte().cpu().numpy()
        panels.append(make_panel(np.concatenate(rows), title, (), size))
    return side_by_side(panels)
