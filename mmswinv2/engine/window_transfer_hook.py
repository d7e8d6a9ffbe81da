"""The hook that carries a run from one window, and resolution, to another."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmswinv2.checkpoints.windows import per_stage
from mmswinv2.models.swin_transformer_v2 import SwinTransformerV2
from mmswinv2.models.window_fit import Window
from mmswinv2.models.window_transfer import StageTransfer, stage_transfers
from mmswinv2.registry import HOOKS

from .bias_maps import draw_bias_maps
from .fsdp import is_sharded
from .resolution import FixedSizes, image_sizes, resize_batch
from .window_schedule import Step, check_windows, parse_schedule, step_at

WHOLE_RUN = (Step(0),)


@HOOKS.register_module()
class WindowResolutionTransferHook(Hook):
    """Carry the position bias to the windows of a run, and say what that did.

    Swin V2 computes the position bias from coordinates, so weights of one window serve
    any other (paper, section 3.3). The backbone carries it by itself whenever weights
    are loaded; this hook, once they are, says what happened: a line per stage such as
    ``window 8 -> 16, normaliser 8``; whether the bias at the offsets known before is
    what it was; and a picture of the bias before and after for the run's visualizer.

    With a ``schedule``, windows and image sizes grow during training. Only windows
    change: parameters, their optimizer state and their moving average stay the same
    tensors. The step is found from the iteration, so a run may stop and resume anywhere
    in it. Batches are resized in front of the model, annotations included, which is the
    same as multiplying every size of the data pipeline, see
    :mod:`mmswinv2.engine.resolution`; let the pipeline give the largest size. Write the
    last window as the backbone's ``window_size``: inferencers run no hooks.

    Args:
        window_size (int | Sequence, optional): Change the windows of the model to this,
            as in :class:`SwinTransformerV2`. Defaults to None: those of the config.
        schedule (Sequence[dict], optional): Steps of training in place of
            ``window_size``, each with ``begin`` and with ``window_size``, ``scale``
            (image size over that of the data pipeline, up to 1) or both; what a step
            leaves out stays as it is. Defaults to None.
        by_epoch (bool): Whether ``begin`` counts epochs. Defaults to False: iterations.
        test_window_size (int | Sequence, optional): Windows for validation and testing
            (the paper tests at 48 what it trained at 32). Defaults to None: those of
            training; in a test of its own, with a schedule, those of the checkpoint.
        plot (bool): Whether to draw the bias maps. Defaults to True.

    Raises:
        ValueError: If the schedule or a window is malformed, or no image fills it.

    Examples:
        >>> steps = [
        ...     dict(begin=0, window_size=8, scale=0.5),
        ...     dict(begin=60000, window_size=16, scale=0.75),
        ...     dict(begin=120000, window_size=(32, 32, 32, 16), scale=1.0),
        ... ]
        >>> custom_hooks = [
        ...     dict(type="mmswinv2.WindowResolutionTransferHook", schedule=steps)
        ... ]
    """

    priority = "LOW"  # after EMAHook has made its copy, before checkpoints are saved

    def __init__(
        self,
        window_size: int | Sequence | None = None,
        schedule: Sequence[dict] | None = None,
        by_epoch: bool = False,
        test_window_size: int | Sequence | None = None,
        plot: bool = True,
    ) -> None:
        if schedule is not None and window_size is not None:
            raise ValueError(
                f"window_size={window_size!r} and a schedule are given: write the "
                "windows into the schedule"
            )
        self.scheduled = schedule is not None
        self.steps = parse_schedule(schedule) if schedule is not None else WHOLE_RUN
        if window_size is not None:
            self.steps = (Step(0, window_size),)
        self.by_epoch = by_epoch
        self.test_window_size = test_window_size
        self.plot = plot
        self.step: Step | None = None  # None: training has not begun
        self._sizes: FixedSizes | None = None
        self._checked = False
        self._training_windows: tuple[Window, ...] | None = None

    @property
    def resizes(self) -> bool:
        """Whether any step has images of another size than the data pipeline's."""
        return any(step.scale != 1 for step in self.steps)

    # Training

    def before_train(self, runner: Runner) -> None:
        """Act after ``init_weights`` and ``load_or_resume``."""
        self._check(runner)
        self._checked = False
        if self.resizes and self._sizes is None:
            self._sizes = FixedSizes(_bare(runner.model).data_preprocessor)
        self._enter(runner, step_at(self.steps, self._now(runner)))
        self._show(runner, runner.iter)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Enter the step that begins here, and resize the batch."""
        step = step_at(self.steps, self._now(runner))
        if step != self.step:
            before = _backbone(runner).window_size
            self._enter(runner, step)
            changed = before != _backbone(runner).window_size
            if self.plot and changed and not is_sharded(runner.model):
                transfers = stage_transfers(_backbone(runner), before)
                _draw(runner, transfers, runner.iter)
        if self.scheduled:
            height = _backbone(runner).window_size[0][-2]
            runner.message_hub.update_scalar("train/window_size", height)
            runner.message_hub.update_scalar("train/image_scale", step.scale)
            self._check_batch(runner, data_batch)
        if step.scale != 1 and data_batch is not None:
            preprocessor = _bare(runner.model).data_preprocessor
            data_batch.update(preprocessor.cast_data(data_batch))  # resize on device
            resize_batch(data_batch, step.scale)

    def _enter(self, runner: Runner, step: Step) -> None:
        """Set windows and sizes of a step, and log what changed."""
        before = _backbone(runner).window_size
        scale_before = self.step.scale if self.step else step.scale
        self.step = step
        if step.window_size is not None:
            _set_windows(runner, step.window_size)
        if self._sizes is not None:
            self._sizes.scale(step.scale)
        if self.scheduled:
            unit, now = ("epoch" if self.by_epoch else "iteration"), self._now(runner)
            runner.logger.info(
                f"{unit} {now}: window {per_stage(before)} -> "
                f"{per_stage(_backbone(runner).window_size)}, "
                f"image scale {scale_before:g} -> {step.scale:g}"
            )

    def _check_batch(self, runner: Runner, data_batch: dict | None) -> None:
        """Raise ValueError if the first batch does not suit the schedule."""
        if self._checked:
            return
        self._checked = True
        sizes = image_sizes(data_batch)
        if sizes:
            largest = tuple(map(max, zip(*sizes)))
            backbone = _backbone(runner)
            check_windows(
                self.steps, largest, backbone.window_size, backbone.num_stages
            )
        elif self.resizes:
            raise ValueError(
                "a schedule with scale needs batches with a list of images as "
                "'inputs', as MMDetection and MMSegmentation pack them; this one is "
                f"{_describe(data_batch)}. Leave out scale to change windows alone"
            )

    def _now(self, runner: Runner) -> int:
        return runner.epoch if self.by_epoch else runner.iter

    # Evaluation

    def before_val_epoch(self, runner: Runner) -> None:
        """Take the windows of evaluation."""
        self._take_test_windows(runner)

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Go back to the windows of training, before the best checkpoint is saved."""
        _set_windows(runner, self._training_windows)

    def before_test(self, runner: Runner) -> None:
        """Act after the checkpoint under test is loaded."""
        self._take_test_windows(runner)
        # runner.iter would build the training loop
        self._show(runner, step=0)

    def after_test(self, runner: Runner) -> None:
        """Go back to the windows of training."""
        _set_windows(runner, self._training_windows)

    def _take_test_windows(self, runner: Runner) -> None:
        backbone = self._check_windows(runner)
        self._training_windows = backbone.window_size
        windows = self.test_window_size
        if windows is None and self.step is None:  # nothing was trained here
            windows = self.steps[0].window_size
            if self.scheduled and backbone.loaded and backbone.loaded.windows:
                windows = [window for window, _ in backbone.loaded.windows]
        if windows is not None:
            _set_windows(runner, windows)

    # Reports and checks

    def _check(self, runner: Runner) -> None:
        """Raise ValueError for what cannot work, before training begins."""
        self._check_windows(runner)
        epochs = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if self.by_epoch and not epochs:
            raise ValueError(
                "by_epoch=True, but this run counts iterations: write begin in "
                "iterations and by_epoch=False"
            )
        end = runner.max_epochs if self.by_epoch else runner.max_iters
        if self.steps[-1].begin >= end:
            runner.logger.warning(
                f"The last step of the schedule begins at {self.steps[-1].begin}, but "
                f"training ends at {end}: it is never reached"
            )

    def _check_windows(self, runner: Runner) -> SwinTransformerV2:
        backbone = next(_backbones(runner), None)
        if backbone is None:
            raise ValueError(
                "WindowResolutionTransferHook needs a model with a "
                "'mmswinv2.SwinTransformerV2' backbone; this one has none. Remove the "
                "hook from custom_hooks"
            )
        given = [("window_size", step.window_size) for step in self.steps]
        for name, windows in (*given, ("test_window_size", self.test_window_size)):
            if windows is not None:
                backbone.parse_windows(windows, name=name)
        return backbone

    def _show(self, runner: Runner, step: int) -> None:
        if is_sharded(runner.model):
            runner.logger.info("Position biases are sharded: they are not compared")
            return
        transfers = stage_transfers(_backbone(runner))
        _report(runner, transfers)
        if self.plot:
            _draw(runner, transfers, step)


def _describe(batch: object) -> str:
    return f"a dict of {[*batch]}" if isinstance(batch, dict) else f"{type(batch)}"


def _bare(model: Any) -> Any:
    return model.module if is_model_wrapper(model) else model


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


def _backbone(runner: Runner) -> SwinTransformerV2:
    return next(_backbones(runner))


def _set_windows(runner: Runner, windows: int | Sequence | None) -> None:
    if windows is None:
        return  # no test was begun
    for backbone in _backbones(runner):
        backbone.set_window_size(windows)


def _draw(runner: Runner, transfers: Sequence[StageTransfer], step: int) -> None:
    runner.visualizer.add_image("bias_maps", draw_bias_maps(transfers), step=step)


def _report(runner: Runner, transfers: Sequence[StageTransfer]) -> None:
    for i, stage in enumerate(transfers):
        before, after, normaliser = (
            per_stage([window])
            for window in (stage.before, stage.after, stage.normaliser)
        )
        runner.logger.info(
            f"stage {i}: window {before} -> {after}, normaliser {normaliser}"
        )
    change = max(stage.max_change for stage in transfers)
    if change <= 1e-3:  # the bias lies within (0, 16)
        runner.logger.info("The position bias at all offsets known before is unchanged")
    elif _backbone(runner).position_bias == "table":
        runner.logger.info(
            f"Tables were stretched to their new windows, as Swin V1 does: the bias at "
            f"the offsets known before changed by up to {change:.3g}"
        )
    else:
        runner.logger.warning(
            f"The position bias at the offsets of pre-training changed by up to "
            f"{change:.3g}: pretrained_window_size in the config is not that of the "
            "checkpoint. Use pretrained_window_size='auto'"
        )
