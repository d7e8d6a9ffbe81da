"""What commands share: arguments, the config, and errors as one message.

Until the first iteration an error is bad input: it ends with one message and exit code
1, and MMSWINV2_TRACEBACK=1 shows the traceback too.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import inspect
import os
import re
import signal
import sys
from importlib import import_module
from pathlib import Path
from types import TracebackType

from mmengine.config import Config, DictAction
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmswinv2.apis import find_config
from mmswinv2.config_types import read_config
from mmswinv2.errors import RunError

from . import console, devices, missing, own_hooks

# Keys that mmengine takes from a config beside the Runner's own arguments.
OTHER_KEYS = {"runner_type", "strategy", "compile", "activation_checkpointing"}
OUR_KEYS = {"data_root", "tta_model", "tta_pipeline"}  # that our commands read


# Errors of the system that are nobody's mistake in a program.
SYSTEM = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "ESTALE")


class Preparation(Hook):
    """Turns an error into one message, until the training or test loop starts.

    Used as a context around everything, and registered as a hook so that it knows
    when the loop starts: from then on an error is no bad input, and its traceback
    is shown.
    """

    def __init__(self) -> None:
        self.over = False
        self.traced = os.environ.get("MMSWINV2_TRACEBACK") == "1"

    def before_train(self, runner: Runner) -> None:
        """The training loop starts."""
        self.over = True

    def before_test(self, runner: Runner) -> None:
        """The test loop starts."""
        self.over = True

    def __enter__(self) -> Preparation:
        console.hide_noise()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
            raise SystemExit(128 + signal.SIGINT)
        told = _is_of_the_system(error) or isinstance(error, RunError)
        told = told or (isinstance(error, Exception) and not self.over)
        if told and not self.traced:
            print(f"error: {explain(error)}", file=sys.stderr)
            raise SystemExit(1)


class PlainGroups(Hook):
    """Makes parameter groups plain dicts, the only ones that torch.compile knows.

    mmengine's constructor makes those of a model with ``paramwise_cfg`` ConfigDicts.
    """

    def before_train(self, runner: Runner) -> None:
        """The optimizer is built; a resumed one has its state."""
        optimizer = runner.optim_wrapper.optimizer
        optimizer.param_groups[:] = map(dict, optimizer.param_groups)


def _is_of_the_system(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and errno.errorcode.get(error.errno) in SYSTEM


def explain(error: Exception) -> str:
    """The message of an error, without the trail of registries it came through."""
    message = str(error.args[0]) if isinstance(error, KeyError) else str(error)
    if message.startswith("Caught ") and isinstance(error, RunError):  # by a worker
        message = message.rpartition(f"{type(error).__name__}: ")[2].strip()
    if lacking := missing.cure(error):
        return lacking
    message = re.sub(r"(class|function) `\w+` in \S+: ", "", message)
    told = (ValueError, RuntimeError, FileNotFoundError)
    ours = type(error).__module__.partition(".")[0] == "mmswinv2"
    if message and (type(error) in told or ours):
        return message
    if _is_of_the_system(error):
        place = error.filename or "a file of this run"
        return f"{place} could not be written or read: {error.strerror}"
    return f"{type(error).__name__}: {message} (MMSWINV2_TRACEBACK=1 shows where)"


def is_first_process(*, of_all: bool = False) -> bool:
    """Whether this is the first process on its machine, before any group exists.

    Args:
        of_all (bool): Whether to ask for the first on all machines. Defaults to False.
    """
    names = ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")
    if of_all:
        names = ("RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
    ranks = [os.environ[name] for name in names if name in os.environ]
    return not ranks or int(ranks[0]) == 0


class Options(DictAction):
    """``--cfg-options KEY=VALUE ...``, with a message for what is not like that."""

    @staticmethod
    def _parse_iterable(val: str) -> object:
        """As mmengine's, which takes spaces out of names of files as well."""
        val = val.strip("'\"")
        several = val.startswith(("[", "(")) or "," in val
        if several and not os.path.exists(val):
            return DictAction._parse_iterable(val)
        return DictAction._parse_int_float_bool(val)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: list[str],
        option_string: str | None = None,
    ) -> None:
        """Adds the options of one ``--cfg-options``."""
        for value in values:
            if "=" not in value:
                raise ValueError(
                    f"--cfg-options takes KEY=VALUE, such as "
                    f"train_dataloader.batch_size=4, but got {value!r}"
                )
        try:
            super().__call__(parser, namespace, values, option_string)
        except (RecursionError, AssertionError):  # of mmengine's reader
            raise ValueError(
                f"--cfg-options {' '.join(values)}: a value is a number, a name or a "
                'list of these, as in key="[a,b]"; write dicts into the config'
            ) from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that training and testing have in common."""
    parser.add_argument(
        "--work-dir",
        help="folder of logs; work_dirs/<config> by default, for a test its test/",
    )
    add_config_options(parser)
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm", "mpi"],
        default="none",
        help="how the processes of a distributed run were started",
    )
    # torchrun sets LOCAL_RANK; torch.distributed.launch passes this instead
    parser.add_argument("--local-rank", "--local_rank", type=int, default=0)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """``--cfg-options`` alone, for a command that runs no Runner."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=Options,
        default={},
        metavar="KEY=VALUE",
        help="change the config, as in data_root=DIR or model.backbone.window_size=8; "
        'lists as key="[a,b]"',
    )
    parser.set_defaults(launcher="none", work_dir=None, local_rank=0)


def load_config(args: argparse.Namespace) -> Config:
    """The config of a run: its file, ``--cfg-options``, launcher and work dir.

    ``data_root=DIR`` among the options moves every path that starts with the
    config's ``data_root``.
    """
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    path = find_config(args.config)
    try:
        cfg = read_config(path)
    except Exception as error:  # whatever the code in it raises
        message = f"{path} cannot be read as a config: {explain(error)}"
        raise ValueError(message) from error
    if cfg.get("default_scope") in missing.HOSTS:
        import_module(cfg.default_scope)  # or its registries would seem to be empty
    options = dict(args.cfg_options)
    read = {*inspect.signature(Runner).parameters, *OTHER_KEYS, *OUR_KEYS}
    known = {*cfg, *read}
    for key in options:
        if (first := key.split(".")[0]) not in known:
            close = difflib.get_close_matches(first, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"--cfg-options {key}: {path} has no {first!r}{hint}")
        if first not in read:
            raise ValueError(
                f"--cfg-options {key}: {first!r} is a variable, whose value settings "
                "have copied, so that a change here would reach nothing; edit it in "
                f"{path}, or change what was made of it, such as "
                "train_dataloader.dataset.pipeline.2.scale"
            )
    if "data_root" in options:
        cfg = _move_data(cfg, str(options.pop("data_root")))
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, AssertionError) as error:
        message = error.args[0] if error.args else "these do not fit the config"
        raise ValueError(f"--cfg-options: {message}") from error
    cfg.launcher = args.launcher
    default = cfg.get("work_dir") or os.path.join("work_dirs", Path(path).stem)
    cfg.work_dir = args.work_dir or default
    return cfg


def _move_data(cfg: Config, root: str) -> Config:
    if not isinstance(cfg.get("data_root"), str):
        raise ValueError(
            f"--cfg-options data_root={root}: {cfg.filename} has no data_root to move; "
            "give that of each split, such as train_dataloader.dataset.data_root"
        )
    old = cfg.data_root.rstrip("/")

    def move(node: object) -> object:
        if isinstance(node, str):
            inside = node == old or node.startswith(f"{old}/")
            return root.rstrip("/") + node[len(old) :] if inside else node
        if isinstance(node, dict):
            return type(node)({key: move(value) for key, value in node.items()})
        if isinstance(node, (list, tuple)):
            return type(node)(move(value) for value in node)
        return node

    return Config(move(cfg.to_dict()), filename=cfg.filename)


def build_runner(cfg: Config, preparation: Preparation) -> Runner:
    """The runner of a config; ends ``preparation`` when its loop starts."""
    devices.fit_mixed_precision(cfg)
    devices.join_processes(cfg)
    own_hooks.add(cfg)
    with console.short_console():
        runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
    runner.register_hook(console.Summary(cfg), "VERY_HIGH")
    runner.register_hook(preparation, "LOWEST")
    if cfg.get("compile"):
        runner.register_hook(PlainGroups())
    return runner
