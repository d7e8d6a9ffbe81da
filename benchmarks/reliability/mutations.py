"""Checkpoints with faults: in bytes, in what tells where tensors are, in content.

All layouts and containers, read as the converter does, into a backbone as a config
does, and of training checkpoints also as tests and ``--resume`` do. A case goes well if
all numbers are those of the sound checkpoint, or if it is refused with a sentence. In a
container without a checksum, wrong numbers that came of changed bytes cannot be told.
"""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import content_damage
import torch
from file_damage import damages
from isolation import Isolation
from mmengine.logging import MessageHub
from outcomes import Kind, Outcome, refusal
from safetensors.torch import load_file, save_file
from sound_checkpoints import (
    RUN,
    SIZE,
    SOURCES,
    WINDOWS,
    Detector,
    Source,
    save,
    training_state,
    weights,
    write,
)
from torch import Tensor, nn

from mmswinv2.apis import load_trained_weights
from mmswinv2.checkpoints import read_checkpoint, read_swin_weights
from mmswinv2.checkpoints.checksums import sealed
from mmswinv2.checkpoints.convert import convert
from mmswinv2.checkpoints.files import metadata_of
from mmswinv2.checkpoints.sources import load_checkpoint_safely
from mmswinv2.cli.training_state import check_training_state
from mmswinv2.models import SwinTransformerV2

COUNT = 10_000
SECONDS = 60  # that a case may take, the start of its process included
CONTENTS = ("values", "shapes", "names", "entries", "windows", "wrappers")


def outcomes(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """Outcomes of ``count`` checkpoints; the seed makes them."""
    for number, source in enumerate(SOURCES):
        place = folder / f"sound-{number}"
        place.mkdir()
        files = write(source, place)
        case = f"{source}, sound"
        sound = judge(source, place if source.is_folder else files[-1], case, set())
        if sound.kind is not Kind.RIGHT:
            raise RuntimeError(f"{sound.case} is not read: {sound.detail}")
    with Isolation(seconds=SECONDS) as isolated:
        for number in range(count):
            case = f"{SOURCES[number % len(SOURCES)]}, {seed} {number}"
            yield isolated(run_case, number, seed, folder, case=case)


def run_case(number: int, seed: int, folder: Path) -> Outcome:
    """Make and read one checkpoint."""
    logging.disable(logging.WARNING)
    which = number % len(SOURCES)
    source, rng = SOURCES[which], Random(f"{seed} {number}")
    place = folder / "faulty"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder / f"sound-{which}", place)
    files = sorted(place.iterdir())
    file = rng.choice(files)
    untold: set[Kind] = set()
    if rng.random() < 0.6:
        done = rng.choice(damages(file))(file, rng)
        untold = set() if source.protected else {Kind.SILENT}
    else:
        file = rng.choice([f for f in files if f.suffix != ".json"])
        done = change_content(source, file, rng)
    given = files[-1] if source.container == "shards" else place
    if not source.is_folder:
        given = file
    return judge(source, given, f"{source}, {seed} {number}: {done}", untold)


def change_content(source: Source, file: Path, rng: Random) -> str:
    """Write a checkpoint anew with content that no checkpoint has."""
    kind = rng.choice(CONTENTS + ("training",) * 2 * (source.layout == RUN))
    change: Callable[[dict, Random], str] = getattr(content_damage, kind)
    if file.suffix != ".safetensors":
        content = torch.load(file, weights_only=False)
        inner = content.get("state_dict", content.get("model", content))
        whole = kind in ("wrappers", "training")
        done = change(content if whole else inner, rng)
        save(content, file, source.container)
        return done
    content, metadata = load_file(file), metadata_of(file)
    for _ in range(20):  # until it is something that this container can have
        changed = dict(content)
        done = change(changed, rng)
        try:
            new = {name: tensor.contiguous() for name, tensor in changed.items()}
            record = sealed(new, metadata) if source.protected else metadata
            save_file(new, file, metadata=record)
            return done
        except Exception:  # of any kind, from the library that writes it
            kind = rng.choice(CONTENTS)
            change = getattr(content_damage, kind)
    return "nothing"


def judge(source: Source, path: Path, case: str, untold: set[Kind]) -> Outcome:
    """Read a checkpoint in every way that it is read; the worst outcome."""
    ways = [_converted, _into_backbone]
    if source.layout == RUN:
        ways += [_as_trained, _as_run]
    found = []
    for way in ways:
        try:
            flaw = way(path)
        except Exception as error:
            found.append(refusal(error, f"{case}; {way.__name__}"))
        else:
            kind = Kind.SILENT if flaw else Kind.RIGHT
            kind = Kind.UNTOLD if kind in untold else kind
            found.append(Outcome(kind, f"{case}; {way.__name__}", flaw))
    for kind in (Kind.RAW, Kind.SILENT, Kind.UNTOLD, Kind.REFUSED, Kind.RIGHT):
        if alike := [outcome for outcome in found if outcome.kind is kind]:
            return alike[0]
    raise AssertionError(found)


def _converted(path: Path) -> str:
    """Flaw of what the converter makes of it."""
    read = read_swin_weights(path)
    given = convert(read, "mmswinv2").tensors
    if read.windows != WINDOWS:
        return f"windows are {read.windows}"
    expected = {f"backbone.{name}": x for name, x in weights().tensors.items()}
    return _difference(given, expected)


@functools.cache
def _backbone() -> SwinTransformerV2:
    return SwinTransformerV2(**SIZE)


def _into_backbone(path: Path) -> str:
    """Flaw of a backbone that has loaded it as ``init_cfg`` and ``load_from`` do."""
    backbone = _backbone()
    _forget(backbone)
    content = load_checkpoint_safely(str(path))
    state = content.get("state_dict", content)
    own = [k for k in state if isinstance(k, str) and k.startswith("backbone.")]
    backbone.load_state_dict({k.removeprefix("backbone."): state[k] for k in own})
    if [*backbone.pretrained_window_size] != [unit for _, unit in WINDOWS]:
        return f"normalisers are {backbone.pretrained_window_size}"
    return _difference(backbone.state_dict(), weights().tensors)


@functools.cache
def _run() -> tuple[Detector, dict]:
    return Detector(), training_state()


def _as_trained(path: Path) -> str:
    """Flaw of a model that tests and draws with it."""
    model, expected = _run()
    _forget(model)
    load_trained_weights(model, path)
    return _difference(model.state_dict(), expected["state_dict"])


def _as_run(path: Path) -> str:
    """Flaw of a run that goes on from it."""
    check_training_state(str(path))
    content = read_checkpoint(path)
    model, expected = _run()
    MessageHub("faulty").load_state_dict(content["message_hub"])
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.load_state_dict(content["optimizer"])
    for number, state in content["optimizer"]["state"].items():
        sound = expected["optimizer"]["state"].get(number, {})
        kept = {k: sound[k] for k in state.keys() & sound.keys()}
        if flaw := _difference(state, kept):
            return flaw
    return ""


def _forget(model: nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(-1.0)


def _difference(given: dict, expected: dict[str, Tensor]) -> str:
    """The first number that differs; '' if none does."""
    for name, tensor in expected.items():
        if name not in given or not tensor.equal(given[name].to(tensor.dtype)):
            return f"{name} differs or is missing"
    return ""
