"""The hook that carries a run from one window to another."""

from collections.abc import Iterator, Sequence

from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from mmswinv2.models.swin_transformer_v2 import SwinTransformerV2
from mmswinv2.models.window_transfer import StageTransfer, stage_transfers
from mmswinv2.registry import HOOKS

from .bias_maps import draw_bias_maps


@HOOKS.register_module()
class WindowResolutionTransferHook(Hook):
    """Report, check and show how Log-CPB is carried to the windows of a run.

    Swin V2 computes the position bias from coordinates, so weights of one window serve
    any other (paper, section 3.3). The backbone does that by itself whenever weights
    are loaded; this hook, once they are, says what happened: a line per stage such as
    ``window 8 -> 16, normaliser 8``; whether the bias at the offsets known before is
    what it was; and a picture of the bias before and after for the run's visualizer. It
    acts before training and before testing, on the model and on its moving average.

    Args:
        window_size (int | Sequence, optional): Change the windows of the model to this,
            as in :class:`SwinTransformerV2`. Defaults to None: those of the config.
        plot (bool): Whether to draw the bias maps. Defaults to True.
    """

    priority = "LOW"  # after EMAHook has made its copy

    def __init__(
        self, window_size: int | Sequence | None = None, plot: bool = True
    ) -> None:
        self.window_size = window_size
        self.plot = plot

    def before_train(self, runner: Runner) -> None:
        """Act after ``init_weights`` and ``load_or_resume``."""
        self._transfer(runner, step=runner.iter)

    def before_test(self, runner: Runner) -> None:
        """Act after the checkpoint under test is loaded."""
        self._transfer(runner, step=0)  # runner.iter would build the training loop

    def _transfer(self, runner: Runner, step: int) -> None:
        backbones = list(_backbones(runner))
        if not backbones:
            raise ValueError(
                "WindowResolutionTransferHook needs a model with a "
                "'mmswinv2.SwinTransformerV2' backbone; this one has none. Remove the "
                "hook from custom_hooks"
            )
        if self.window_size is not None:
            for backbone in backbones:
                backbone.set_window_size(self.window_size)
        transfers = stage_transfers(backbones[0])
        _report(runner, transfers)
        if self.plot:
            runner.visualizer.add_image(
                "bias_maps", draw_bias_maps(transfers), step=step
            )


def _backbones(runner: Runner) -> Iterator[SwinTransformerV2]:
    """Swin V2 backbones of the model, then of its moving averages."""
    models = [runner.model]
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            models.append(hook.ema_model)
    for model in models:
        for module in model.modules():
            if isinstance(module, SwinTransformerV2):
                yield module


def _report(runner: Runner, transfers: Sequence[StageTransfer]) -> None:
    for i, stage in enumerate(transfers):
        before, after, normaliser = map(
            _short, (stage.before, stage.after, stage.normaliser)
        )
        runner.logger.info(
            f"stage {i}: window {before} -> {after}, normaliser {normaliser}"
        )
    change = max(stage.max_change for stage in transfers)
    if change > 1e-3:  # the bias lies within (0, 16)
        runner.logger.warning(
            f"The position bias at the offsets of pre-training changed by up to "
            f"{change:.3g}: pretrained_window_size in the config is not that of the "
            "checkpoint. Use pretrained_window_size='auto'"
        )
    else:
        runner.logger.info("The position bias at all offsets known before is unchanged")


def _short(window: tuple[int, int]) -> str:
    return str(window[0]) if window[0] == window[1] else f"{window[0]}x{window[1]}"
