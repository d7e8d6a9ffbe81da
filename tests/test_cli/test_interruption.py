"""A signal saves a checkpoint, and the run goes on from it as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from tiny import DET, ROOT, fresh_globals

from mmswinv2.cli.interruption import Interruption, resume_command


class Linear(BaseModel):
    """One weight, and the samples it was trained with."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seen: list[float] = []

    def forward(self, inputs: torch.Tensor, mode: str = "loss") -> dict:
        self.seen += inputs.tolist()
        return dict(loss=(self.weight * inputs).mean())


class Collate:
    def __call__(self, batch: list[float]) -> dict:
        return dict(inputs=torch.tensor(batch))


class SignalAt(Hook):
    def __init__(self, step: int) -> None:
        self.step = step

    def before_train_iter(self, runner: Runner, *_: object, **__: object) -> None:
        if runner.iter + 1 == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


class DieBetweenEpochs(Hook):
    def before_train_epoch(self, runner: Runner) -> None:
        if runner.epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            raise RuntimeError("DataLoader worker is killed by signal: Terminated.")


def train(
    folder: Path, *, stop: int = 0, hook: Hook | None = None, resume: bool = False
) -> Linear:
    """Two epochs of six batches; the model, whatever ends them."""
    loader = dict(
        batch_size=2,
        num_workers=0,
        dataset=[float(i) for i in range(12)],
        sampler=dict(type="DefaultSampler", shuffle=True),
        collate_fn=Collate(),
    )
    model = Linear()
    with fresh_globals(), Interruption() as interruption:
        runner = Runner(
            model,
            str(folder),
            train_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=2),
            optim_wrapper=dict(
                optimizer=dict(type="SGD", lr=0.01, momentum=0.9),
            ),
            param_scheduler=dict(type="LinearLR", by_epoch=False, end=12),
            custom_hooks=[hook or SignalAt(stop), dict(type="mmswinv2.RepeatableHook")],
            resume=resume,
            # the order of a resumed run has to come from the checkpoint
            randomness=dict(seed=None if resume else 3),
            experiment_name=f"{folder.name}-{stop}-{resume}",
        )
        interruption.train(runner)
    return model


@pytest.mark.parametrize("stop", [3, 6, 8])
def test_an_epoch_goes_on_in_its_middle(tmp_path: Path, stop: int) -> None:
    """Every picture is seen once an epoch, in the same order, to the same weights."""
    whole = train(tmp_path / "whole")
    with pytest.raises(SystemExit) as end:
        train(tmp_path / "cut", stop=stop)
    assert end.value.code == 128 + signal.SIGTERM
    path = Path(tmp_path / "cut/last_checkpoint").read_text()
    assert Path(path).name == f"iter_{stop}.pth"
    rest = train(tmp_path / "cut", resume=True)
    assert rest.seen == whole.seen[2 * stop :]
    assert torch.equal(rest.weight, whole.weight)
    meta = torch.load(tmp_path / "cut/epoch_2.pth", weights_only=False)["meta"]
    assert (meta["epoch"], meta["iter"]) == (2, 12)


def test_an_epoch_that_a_signal_spoils_begins_anew(tmp_path: Path) -> None:
    """Workers of a loader got it too, and the loader fails before its first batch."""
    with pytest.raises(SystemExit):
        train(tmp_path, hook=DieBetweenEpochs())
    assert len(train(tmp_path, resume=True).seen) == 12


def test_handlers_are_given_back(tmp_path: Path) -> None:
    """Also after an interruption, that of torch's workers included."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    with pytest.raises(SystemExit):
        train(tmp_path, stop=1)
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_command_line_is_interrupted(data: Path, tmp_path: Path) -> None:
    """Ctrl-C in a process group: exit code 130, a checkpoint, the command, no trace."""
    command = [sys.executable, str(ROOT / "tools/train.py"), DET, "--cfg-options"]
    command += [f"data_root={data / 'coco'}", "train_cfg.max_iters=500"]
    command += ["train_dataloader.batch_size=1", "default_hooks.logger.interval=1"]
    command += ["train_dataloader.num_workers=1"]
    run = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: list[str] = []
    for line in run.stdout:
        lines.append(line)
        if "Iter(train)" in line and not any("Iter(train)" in x for x in lines[:-1]):
            os.killpg(run.pid, signal.SIGINT)
    out = "".join(lines)
    assert run.wait() == 130, out
    assert "Traceback" not in out
    assert " ".join(["python", *command[1:], "--resume"]) in out
    path = (tmp_path / "work_dirs" / DET / "last_checkpoint").read_text()
    state = torch.load(path, weights_only=False)
    assert {"optimizer", "param_schedulers", "message_hub"} <= state.keys()
    assert path.endswith(f"iter_{state['meta']['iter']}.pth")
    # the page before the first iteration
    first = next(i for i, line in enumerate(lines) if "Iter(train)" in line)
    assert first <= 40, out


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("train.py c.py", "python train.py c.py --resume"),
        ("train.py --resume a.pth c.py --amp", "python train.py c.py --amp --resume"),
        ("train.py c.py --resume --amp", "python train.py c.py --amp --resume"),
        ("train.py --resume=a.pth c.py", "python train.py c.py --resume"),
        ("train.py c.py --resume", "python train.py c.py --resume"),
    ],
)
def test_the_command_that_goes_on(given: str, expected: str) -> None:
    """It resumes the latest checkpoint, with the same options."""
    assert resume_command(given.split()) == expected


def test_the_command_of_an_installed_package() -> None:
    """As ``mmswinv2/__main__.py`` names it."""
    assert resume_command(["mmswinv2 train", "c.py"]) == "mmswinv2 train c.py --resume"
