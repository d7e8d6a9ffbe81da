"""Checkpoints that survive whatever ends a run, at any moment."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import BaseStorageBackend
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner import BaseLoop, Runner

from mmswinv2.checkpoints.newest import (
    LAST,
    SAVED,
    checkpoint_places,
    find_checkpoints,
    newest_checkpoint,
)
from mmswinv2.checkpoints.whole_files import (
    UnsavedError,
    remove_unfinished,
    write_whole,
    writes_whole_files,
)
from mmswinv2.registry import HOOKS

from .non_finite import NonFiniteLossHook


@HOOKS.register_module()
class CheckpointHook(MMEngineCheckpointHook):
    """mmengine's ``CheckpointHook``, without a moment at which a kill loses something.

    A file is written under another name, flushed to the disk and renamed, and only then
    is the one before it deleted, so that there is a whole one at any time. mmengine
    deletes first and writes in place: with ``max_keep_ckpts=1``, a kill while saving
    leaves nothing. While ``NonFiniteLossHook`` leaves out steps, the one from before
    the first of them stays.

    A run that resumes, without a file to resume from, takes the newest whole checkpoint
    of its work dir, whether ``last_checkpoint`` is there, empty or out of date.

    Args:
        **kwargs (Any): Of mmengine's ``CheckpointHook``.

    Raises:
        UnsavedError: If the system cannot write a checkpoint.
        ValueError: If a run that resumes has checkpoints, but none is whole.
        FileNotFoundError: If ``last_checkpoint`` names one, but there is none.

    Examples:
        >>> default_hooks = dict(
        ...     checkpoint=dict(type="mmswinv2.CheckpointHook", interval=1)
        ... )
    """

    file_backend: Any  # mmengine's

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._meta: dict = {}  # of what is being saved
        self._whole = ""  # path of the last one that is
        self._spared: list[int] = []  # too old, but of sound weights

    def before_run(self, runner: Runner) -> None:
        """Choose what to resume from; mmengine loads it after this."""
        if not isinstance(runner._train_loop, BaseLoop):  # no training
            return
        places = checkpoint_places(runner.work_dir, self.out_dir, self.filename_tmpl)
        if runner._resume:
            if runner._load_from is None and not runner._has_loaded:
                runner._load_from = newest_checkpoint(*places)
        elif is_main_process() and (found := find_checkpoints(*places)):
            runner.logger.warning(
                f"{found[0].parent} has checkpoints of an earlier run, such as "
                f"{found[0].name}. This run starts anew and replaces each whose name "
                "it reaches; to go on with them instead, use --resume"
            )

    def before_train(self, runner: Runner) -> None:
        """Also remove what a kill in the middle of saving has left."""
        super().before_train(runner)
        if runner._resume and runner._load_from is not None:
            self._whole = runner._load_from
        if is_main_process():
            for folder in (runner.work_dir, self.out_dir):
                remove_unfinished(folder)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the time, and what it is of: FlexibleRunner counts one too many."""
        checkpoint["meta"].update(self._meta)
        checkpoint["meta"][SAVED] = time.time()

    def save(self, runner: Runner, name: str, meta: dict, **kwargs: Any) -> str:
        """Saves a checkpoint and has ``last_checkpoint`` name it.

        Args:
            runner (Runner): Of the run.
            name (str): Of the file.
            meta (dict): Its ``epoch`` and ``iter``.
            **kwargs (Any): Of ``Runner.save_checkpoint``.

        Returns:
            str: Path of the file.

        Raises:
            UnsavedError: If the system cannot write it.
        """
        path = str(self.file_backend.join_path(self.out_dir, name))
        self._meta = meta
        with self._saving():
            runner.save_checkpoint(
                self.out_dir,
                name,
                self.file_client_args,
                meta=dict(meta),
                backend_args=self.backend_args,
                **kwargs,
            )
            if is_main_process():
                write_whole(Path(runner.work_dir, LAST), path)
        self._meta = {}
        self._whole = path
        return path

    @contextmanager
    def _saving(self) -> Iterator[None]:
        try:
            with writes_whole_files():
                yield
        except UnsavedError as error:
            if "--resume" in str(error):  # of a save within this one
                raise
            kept = f"The last whole checkpoint is {self._whole or 'none'}"
            raise UnsavedError(f"{error}. {kept}; make room, then --resume") from error

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """As mmengine, but what is too old goes when the new one is there."""
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        limited = self.max_keep_ckpts > 0
        steps = [*self.keep_ckpt_ids] if limited else []
        if limited and step not in steps[-1:]:
            steps.append(step)
            self.keep_ckpt_ids.append(step)  # its maxlen drops the oldest
            # saved with those to delete: a resumed run does it if this one cannot
            runner.message_hub.update_info("keep_ckpt_ids", steps)
        self.save(
            runner,
            name,
            meta,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            by_epoch=self.by_epoch,
            **self.args,
        )
        if limited:
            runner.message_hub.update_info("keep_ckpt_ids", [*self.keep_ckpt_ids])
            old = steps[: -self.max_keep_ckpts]
            if not _leaves_out_steps(runner):
                old, self._spared = [*self._spared, *old], []
            elif not self._spared:
                old, self._spared = [], old
            names = map(self.filename_tmpl.format, old)
            self._remove(self.file_backend.join_path(self.out_dir, x) for x in names)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """As mmengine, but the one that was the best goes last."""
        backend, later = self.file_backend, _RemovesLater(self.file_backend)
        self.file_backend = later
        try:
            with self._saving():
                super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        kept = [getattr(self, "best_ckpt_path", None)]
        kept += getattr(self, "best_ckpt_path_dict", {}).values()
        self._remove(path for path in later.paths if path not in kept)

    def _publish_model(self, runner: Runner, ckpt_path: str) -> None:
        with self._saving():
            super()._publish_model(runner, ckpt_path)

    def _remove(self, paths: Iterable[str]) -> None:
        if is_main_process():
            for path in paths:
                if self.file_backend.isfile(path):
                    self.file_backend.remove(path)
                elif self.file_backend.isdir(path):  # of DeepSpeed
                    self.file_backend.rmtree(path)


def _leaves_out_steps(runner: Runner) -> bool:
    """Whether its weights may be those from which no loss is finite any more."""
    return any(
        hook.in_a_row > 0
        for hook in runner.hooks
        if isinstance(hook, NonFiniteLossHook)
    )


class _RemovesLater:
    """A file backend that only notes what it is to remove."""

    def __init__(self, backend: BaseStorageBackend) -> None:
        self.backend = backend
        self.paths: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        self.paths.append(path)

    rmtree = remove
