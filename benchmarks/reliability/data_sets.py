"""Data sets with a fault, before a run and in a loader with workers.

Every case spoils a small sound set in COCO's format, of label maps or of folders of
classes. It goes well if the check before a run refuses it with a sentence, or if what a
loader reads, and COCO's evaluation of perfect predictions gives, are the numbers that
the set was made from; where the check warns, in all but one object or picture. In
every case the loader reads the set without that check, too, and may stop, but neither
it, nor a worker, nor the evaluation may die or hang.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from random import Random

import coco_faults as coco
import numpy as np
import picture_faults as pictures
import torch
from isolation import Isolation
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, METRICS
from outcomes import Kind, Outcome, refusal
from set_writers import (
    CLASSES,
    FOLDER_FAULTS,
    LIST_FAULTS,
    SOUND,
    WRITERS,
    Case,
    label_map,
    picture,
)
from torch import Tensor
from torch.utils.data import DataLoader

from mmswinv2.datasets.bounds import check_truth
from mmswinv2.datasets.fetch import use_fetch
from mmswinv2.own_data.checks.config import check_config
from mmswinv2.own_data.checks.findings import raise_errors

DEAD = "exited unexpectedly|killed by signal"  # what torch says of a worker
Samples = dict[str, object]  # what was read, by the names of files


def _all_faults() -> Iterator[tuple[str, str, str]]:
    for field in coco.FIELDS:
        for value in coco.VALUES:
            if (field, value) not in coco.SOUND:
                yield "coco", field, value
    for fault in coco.TEXTS:
        yield "coco", "file", fault
    for kind in WRITERS:
        for fault in pictures.FAULTS:
            if kind != "classes" or fault not in pictures.NO_FAULT_OF_CLASSES:
                yield kind, "picture", fault
    for fault in (*pictures.FAULTS, *pictures.LABEL_FAULTS):
        if fault != "one bit":  # a sound label map of two classes
            yield "labels", "label map", fault
    for fault in FOLDER_FAULTS:
        yield "classes", "folder", fault
    for fault in LIST_FAULTS:
        yield "classes", "list", fault


COUNT = len([*_all_faults()])


def outcomes(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """Outcomes of so many cases, all of them different."""
    random = Random(seed)
    faults = random.sample([*_all_faults()], count)
    with Isolation(seconds=120) as isolated:
        for number, sound in enumerate(sound_cases({kind for kind, *_ in faults})):
            outcome = isolated(run, sound, folder / f"sound{number}", case=str(sound))
            if outcome.kind is not Kind.RIGHT or outcome.detail:
                raise RuntimeError(f"{sound}: {outcome.kind.value}, {outcome.detail}")
        for number, fault in enumerate(faults):
            split = random.choice(("train", "val"))
            case = Case(*fault, split, random.randrange(2**32))
            place = folder / str(number)
            yield isolated(run, case, place, case=str(case))
            shutil.rmtree(place, ignore_errors=True)


def sound_cases(kinds: Collection[str]) -> Iterator[Case]:
    """Sets without a fault, in which nothing may be found."""
    for kind in sorted(kinds):
        for split in ("train", "val"):
            yield Case(kind, SOUND, SOUND, split, 0)


def run(case: Case, folder: Path) -> Outcome:
    """The outcome of one case."""
    torch.set_num_threads(1)
    torch.multiprocessing.set_sharing_strategy("file_system")
    cfg = WRITERS[case.kind](case, folder)
    loaded, stopped = None, None
    try:
        loaded = read(cfg, case)
    except Exception as error:
        stopped = error
        if re.search(DEAD, str(error)):
            return Outcome(Kind.CRASH, str(case), str(error))
    findings = [*check_config(cfg, [case.split])]
    try:
        raise_errors(findings)
    except ValueError as error:
        return refusal(error, str(case))
    if stopped is not None:
        return Outcome(Kind.RAW, str(case), f"{type(stopped).__name__}: {stopped}")
    told = "; ".join(map(str, findings))
    if told:  # what is left out, or cut, has a lower score
        loaded.pop("scores", None)
    wrong = compare(loaded, case)
    if len(wrong) > bool(told) and not (told and case.part == "folder"):
        return Outcome(Kind.SILENT, str(case), f"{wrong}; told: {told or 'nothing'}")
    return Outcome(Kind.RIGHT, str(case), told)


def read(cfg: Config, case: Case) -> Samples:
    """What a worker of a loader reads, and scores of perfect predictions."""
    dataset = DATASETS.build(cfg[f"{case.split}_dataloader"].dataset)
    loader = DataLoader(
        dataset, num_workers=1, collate_fn=_first, multiprocessing_context="fork"
    )
    use_fetch(loader)
    metric = None
    if case.kind == "coco" and case.split == "val":
        metric = METRICS.build(cfg.val_evaluator)
        metric.dataset_meta = dict(classes=coco.CLASSES)
        check_truth(Evaluator([metric]))
    found: Samples = {}
    for sample in loader:
        data = sample["data_samples"]
        name = "/".join(Path(data.img_path).parts[-2:])
        found[name] = (sample["inputs"], data)
        if metric is not None:
            metric.process({}, [_prediction(data)])
    if metric is not None:
        found["scores"] = metric.evaluate(len(dataset))
    return found


def _first(batch: list) -> object:
    return batch[0]


def _prediction(data: object) -> dict:
    """What a perfect model gives for a picture."""
    objects = coco.truth()[Path(data.img_path).name]
    boxes, labels, masks = (np.array(values) for values in zip(*objects))
    found = dict(
        bboxes=torch.tensor(boxes, dtype=torch.float32),
        labels=torch.tensor(labels),
        scores=torch.ones(len(objects)),
        masks=torch.tensor(masks).bool(),
    )
    return dict(img_id=data.img_id, ori_shape=data.ori_shape, pred_instances=found)


def compare(found: Samples, case: Case) -> list[str]:
    """What was read otherwise than it was meant."""
    wrong = []
    scores = found.pop("scores", {})
    for name in ("bbox_mAP", "segm_mAP"):
        if scores and scores[f"coco/{name}"] < 0.999:
            wrong.append(f"{name} {scores[f'coco/{name}']}")
    expected = expected_names(case)
    wrong += [f"{name} was not read" for name in sorted(expected - found.keys())]
    wrong += [f"{name} was read" for name in sorted(found.keys() - expected)]
    for name in sorted(expected & found.keys()):
        inputs, data = found[name]
        if likeness(inputs, np.asarray(picture(int(Path(name).stem)))) < 0.7:
            wrong.append(f"{name} is another picture")
        if case.kind == "coco":
            wrong += [f"{name}: {text}" for text in _compare_objects(data)]
        elif case.kind == "classes":
            label = int(data.gt_label)
            if CLASSES[label] != name.split("/")[0]:
                wrong.append(f"{name} has label {label}")
        elif not np.array_equal(data.gt_sem_seg.data[0].numpy(), label_map()):
            wrong.append(f"{name} has other labels")
    return wrong


def expected_names(case: Case) -> set[str]:
    """The files of a set without faults, with their folders."""
    numbers = range(1, coco.PICTURES + 1)
    folders = CLASSES if case.kind == "classes" else ("images",)
    return {f"{folder}/{number}.png" for folder in folders for number in numbers}


def likeness(inputs: Tensor, pixels: np.ndarray) -> float:
    """Correlation of the brightness of blocks; 0 for pictures of other sizes."""
    loaded = inputs.numpy().mean(axis=0)
    if loaded.shape != pixels.shape[:2]:
        return 0.0
    views = (loaded, pixels.mean(axis=2))
    blocks = [
        v.reshape(coco.HEIGHT // 4, 4, coco.WIDTH // 4, 4).mean((1, 3)) for v in views
    ]
    return float(np.corrcoef(*(block.ravel() for block in blocks))[0, 1])


def _compare_objects(data: object) -> Iterator[str]:
    real = data.gt_instances
    masks = real.masks.masks
    found = [
        (box.tolist(), int(label), mask)
        for box, label, mask in zip(real.bboxes.tensor, real.labels, masks)
    ]
    for box, label, mask in coco.truth()["1.png"]:
        same = [m for b, n, m in found if (b, n) == (box, label)]
        if not any(np.array_equal(mask, other) for other in same):
            yield f"no object {box} of class {label}"
    if len(found) > len(coco.RECTANGLES):
        yield f"{len(found)} objects"
