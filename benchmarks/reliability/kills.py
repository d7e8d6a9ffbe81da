"""Training runs that are killed, some again and again, and resumed to their end.

A kill is SIGKILL at a random moment of a run, or at a random act on the files of its
checkpoints. The same command with --resume goes on until the end, and then weights,
moving average and optimizer have to have the bits of the run that nobody killed; and
after each kill there has to be a whole checkpoint, no older than before it, from which
the next command goes on. Every run keeps one checkpoint only.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import torch
from outcomes import Kind, Outcome
from prepared import ROOT

COUNT = 50
ACTS = 5  # on files, for each saving: open, rename, twice, and remove
AGAIN = 0.4  # chance that a run that was killed is killed once more

SEGMENTATION = """
_base_ = "{root}/configs/mini/swinv2-nano-p4-w8_upernet_mini-128px.py"
crop = (48, 64)  # px
model = dict(
    data_preprocessor=dict(size=crop),
    backbone=dict(drop_path_rate=0.3),
    decode_head=dict(dropout_ratio=0.2),
)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", reduce_zero_label=True),
    dict(type="RandomResize", scale=(64, 64), ratio_range=(0.8, 1.6), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop, cat_max_ratio=0.9),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackSegInputs"),
]
"""
DETECTION = """
_base_ = "{root}/configs/mini/mask-rcnn_swinv2-nano-p4-w8_fpn_mini-128px.py"
model = dict(backbone=dict(drop_path_rate=0.3))
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="RandomResize", scale=(64, 64), ratio_range=(0.8, 1.2), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackDetInputs"),
]
"""
COMMON = """
train_dataloader = dict(
    batch_size=3,
    num_workers={workers},
    persistent_workers={persistent},
    sampler=dict(_delete_=True, type="{sampler}", shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = test_cfg = test_evaluator = None
train_cfg = dict(_delete_=True, {train_cfg})
default_hooks = dict(
    checkpoint=dict(by_epoch={by_epoch}, interval={interval}, max_keep_ckpts=1),
)
custom_hooks = [{hooks}]
randomness = dict(seed={seed})
optim_wrapper = dict(accumulative_counts={accumulates})
"""
DATA = {SEGMENTATION: "ade/ADEChallengeData2016", DETECTION: "coco/"}
EMA = 'dict(type="EMAHook", momentum=0.1)'
WINDOWS = """dict(
    type="mmswinv2.WindowResolutionTransferHook",
    plot=False,
    schedule=[dict(begin=0, window_size=4), dict(begin=4, window_size=8)],
)"""
ITERATIONS = dict(train_cfg="by_epoch=False, max_iters=9", by_epoch=False, interval=2)
EPOCHS = dict(train_cfg="by_epoch=True, max_epochs=3", by_epoch=True, interval=1)
VARIANTS = [
    dict(ITERATIONS, task=SEGMENTATION, workers=0, hooks=f"{EMA}, {WINDOWS}"),
    dict(EPOCHS, task=SEGMENTATION, workers=2, hooks=EMA),
    dict(ITERATIONS, task=DETECTION, workers=2, sampler="InfiniteSampler"),
    dict(EPOCHS, task=DETECTION, workers=0, hooks=EMA),
    dict(ITERATIONS, task=SEGMENTATION, workers=2, accumulates=2, interval=3),
    dict(EPOCHS, task=SEGMENTATION, workers=0, by_epoch=False, interval=2),
]


class Runs:
    """Runs of one variant: the one that nobody kills, and others."""

    def __init__(self, server: subprocess.Popen, folder: Path, number: int) -> None:
        given = VARIANTS[number % len(VARIANTS)]
        task = given["task"]
        settings = dict(sampler="DefaultSampler", hooks="", accumulates=1) | given
        persistent = given["workers"] > 0 and number % 4 == 1
        settings.update(seed=number, persistent=persistent, root=ROOT)
        self.server = server
        self.folder = folder / str(number)
        self.data = folder / "mini" / DATA[task]
        self.name = f"{given['train_cfg']}, {given['workers']} workers, {number=}"
        self.folder.mkdir()
        (self.folder / "config.py").write_text((task + COMMON).format(**settings))
        self.count = 0
        code, self.seconds, text = self.train("whole")
        if code:
            raise RuntimeError(f"{self.name}: {text[-2000:]}")
        self.acts = ACTS * text.count("Saving checkpoint")
        _, self.end = newest(self.folder / "whole")

    def train(
        self, work_dir: str, *more: str, death: dict | None = None
    ) -> tuple[int, float, str]:
        """Exit status, seconds and output of a run of the command."""
        self.count += 1
        out = self.folder / f"{self.count}.log"
        arguments = ["config.py", "--work-dir", work_dir, *more]
        arguments += ["--cfg-options", f"data_root={self.data}"]
        line = json.dumps(dict(arguments=arguments, out=str(out), death=death))
        self.server.stdin.write(f"{line}\n")
        self.server.stdin.flush()
        code, seconds = json.loads(self.server.stdout.readline())
        return code, seconds, out.read_text(errors="replace")

    def killed(self, work_dir: str, kills: int, random: Random) -> list[Outcome]:
        """What became of a run that is killed up to so many times, kill by kill."""
        found: list[Outcome] = []
        reached, text, more = 0, "", ()
        for _ in range(kills):
            death = self._death(random)
            case = f"{self.name}, {work_dir}, kill {len(found) + 1}: {death}"
            code, _, text = self.train(work_dir, *more, death=death)
            if code == 0:
                break  # it was over before
            if code != -signal.SIGKILL:
                return [*found, Outcome(Kind.RAW, case, text[-500:])]
            before, (reached, _) = reached, newest(self.folder / work_dir)
            kind = Kind.RIGHT if reached >= before else Kind.SILENT
            found.append(Outcome(kind, case, f"iteration {before}, then {reached}"))
            more = ("--resume",)
        if not found:
            return found
        if code != 0:
            code, _, text = self.train(work_dir, "--resume")
            if reached and f"iter: {reached}\n" not in text:  # as mmengine says it
                return [replace(x, kind=Kind.SILENT, detail=text) for x in found]
        return [self._judged(outcome, work_dir, code, text) for outcome in found]

    def _death(self, random: Random) -> dict:
        if random.random() < 0.5:
            return dict(seconds=random.uniform(0.4, 1) * self.seconds, acts=0)
        seconds = random.choice((0, random.uniform(0, 0.01)))
        return dict(seconds=seconds, acts=random.randint(1, self.acts))

    def _judged(self, outcome: Outcome, work_dir: str, code: int, text: str) -> Outcome:
        """An outcome, seen from the end of its run."""
        if code or not outcome.kind.good:
            kind = Kind.RAW if code else outcome.kind
            return Outcome(kind, outcome.case, f"{outcome.detail}: {text[-500:]}")
        _, end = newest(self.folder / work_dir)
        other = difference(self.end, end)
        if other:
            return Outcome(Kind.SILENT, outcome.case, f"{outcome.detail}: {other}")
        return outcome


def newest(work_dir: Path) -> tuple[int, dict]:
    """Iteration and content of the newest checkpoint that torch can read."""
    found: list[tuple[int, dict]] = [(0, {})]
    for path in work_dir.glob("*.pth"):
        try:
            checkpoint = torch.load(path, weights_only=False)
        except Exception:
            continue
        found.append((checkpoint["meta"]["iter"], checkpoint))
    return max(found, key=lambda pair: pair[0])


def difference(one: dict, other: dict) -> str:
    """The first thing in which two checkpoints have other bits; '' where there is none.

    Their message hubs, with times, and metas are left out.
    """
    flat = []
    for checkpoint in (one, other):
        parts = {
            k: v for k, v in checkpoint.items() if k not in ("meta", "message_hub")
        }
        flat.append(dict(leaves(parts)))
    if not flat[0] or flat[0].keys() != flat[1].keys():
        return "other keys"
    for name, value in flat[0].items():
        same = flat[1][name]
        tensors = isinstance(value, torch.Tensor)
        if not (torch.equal(value, same) if tensors else value == same):
            return name
    return ""


def leaves(node: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Everything in nested dicts and lists, by its place."""
    if isinstance(node, (dict, list, tuple)):
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in pairs:
            yield from leaves(value, f"{name}.{key}")
    else:
        yield name, node


def outcomes(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """An outcome per kill."""
    random = Random(seed)
    make_mini = runpy.run_path(str(ROOT / "tools/dataset_converters/make_mini.py"))
    make_mini["make_mini"](folder / "mini", train=8, val=2, size=64)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("prepared.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    variants: dict[int, Runs] = {}
    done = 0
    try:
        for run in range(3 * count):  # some are over before they are killed
            if done == count:
                break
            number = random.randrange(min(len(VARIANTS), 1 + count // 4))
            if number not in variants:
                variants[number] = Runs(server, folder, number)
            kills = 1
            while kills < count - done and random.random() < AGAIN:
                kills += 1
            found = variants[number].killed(f"run{run}", kills, random)
            done += len(found)
            yield from found
    finally:
        server.stdin.close()
        server.wait()
