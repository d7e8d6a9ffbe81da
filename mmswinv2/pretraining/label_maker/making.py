"""The whole of making a store: what is asked for, said, done and checked."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from rich.console import Console
from rich.filesize import decimal

from mmswinv2.apis import check_device
from mmswinv2.checkpoints.whole_files import write_whole
from mmswinv2.cli.out_dir import make_folder
from mmswinv2.cli.progress import progress_bar
from mmswinv2.cli.work_dir_lock import WorkDirLock
from mmswinv2.errors import RunError
from mmswinv2.pretraining.map_store import (
    FEATURES,
    MapSpec,
    MapStore,
    MapWriter,
    Picture,
    begin_store,
    find_pictures,
)
from mmswinv2.pretraining.map_store.manifest import MANIFEST
from mmswinv2.pretraining.map_store.shards import shard_bytes
from mmswinv2.pretraining.teachers import Teacher, build_teacher

from .batches import choose_batch
from .labelling import GO_ON, Job, Labeller, describe_maps, label_all

UNREADABLE = "unreadable.txt"
NAMED = 5  # unreadable pictures on the console
MAX_WORKERS = 8


def make_store(
    teacher: str | dict,
    data: Path,
    out: Path,
    *,
    weights: str | None = None,
    size: tuple[int, int] | None = None,
    top_k: int = 5,
    features: bool = False,
    exif_rotation: bool = False,
    device: str = "cpu",
    processes: int = 1,
    workers: int | None = None,
    batch: int | None = None,
    console: Console | None = None,
) -> MapStore:
    """Makes a store of a teacher's maps of all pictures of a folder, or goes on.

    Args:
        teacher (str | dict): As :func:`build_teacher` takes it.
        data (Path): The folder.
        out (Path): Of the store.
        weights (str, optional): Of the teacher.
        size (tuple[int, int], optional): (H, W) in px that pictures are squashed to.
            Defaults to the teacher's own.
        top_k (int): Classes to keep of each token. Defaults to 5.
        features (bool): Whether to keep features in place of classes. Defaults to
            False.
        exif_rotation (bool): Whether to turn pictures as their EXIF says. Defaults to
            False.
        device (str): Of torch; 'cuda' gives each process a GPU. Defaults to 'cpu'.
        processes (int): Defaults to 1.
        workers (int, optional): Of the data loader of each process. Defaults to the
            cores that each has, at most 8.
        batch (int, optional): Pictures in a batch. Defaults to what memory holds.
        console (Console, optional): Where progress is shown. Defaults to stderr.

    Raises:
        FileNotFoundError, ValueError, RuntimeError: In one sentence.
    """
    console = console or Console(stderr=True)

    def tell(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    least = dict(top_k=1, processes=1, batch=1, workers=0)
    given = dict(top_k=top_k, processes=processes, batch=batch, workers=workers)
    for name, value in given.items():
        if value is not None and value < least[name]:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} is {value}; expected at least {least[name]}")
    if size is not None and min(size) < 1:
        raise ValueError(f"--size is {size[0]} {size[1]}; expected px of at least 1")
    check_device(device)
    pictures = find_pictures(data)
    make_folder(out, "--out")
    with WorkDirLock(out, work="makes maps", option="--out"):
        model = build_teacher(teacher, weights=weights, input_size=size)
        size = size or model.input_size
        cores = len(os.sched_getaffinity(0)) // processes
        workers = min(max(cores, 1), MAX_WORKERS) if workers is None else workers
        job = Job(teacher, weights, data, out, size, device, processes, workers)
        kept = None if features else min(top_k, model.num_classes or top_k)
        labeller = Labeller(model, job.device_of(0), kept)
        probe = labeller(torch.zeros(1, 3, *size, dtype=torch.uint8))
        spec = describe_maps(model, probe, size, exif_rotation)
        if (out / MANIFEST).exists():
            return _finished(out, spec, data)
        why = "as --batch says"
        if batch is None:
            batch, why = choose_batch(
                labeller,
                model,
                size,
                labeller.device,
                processes=job.sharers(),
                pictures=len(pictures),
            )
        writer = begin_store(out, spec, pictures, block=batch)
        if writer.block != batch:
            batch, why = writer.block, "as it was begun"
        left = sum(map(len, writer.blocks()))
        tell(_summary(job, model, spec, pictures, left, f"{batch} pictures: {why}"))
        faults: dict[int, str] = {}
        done = 0
        with progress_bar("", console, unit="pictures") as show:
            for count, found in label_all(job, labeller, tell):
                faults |= found
                done += count
                show(done, left)
        paths = writer.paths()
        named = {
            path: f"{data / path}: {faults[row]}"
            for row in faults
            if (path := paths[row]) is not None
        }
        return finish(writer, named, console)


def _finished(out: Path, spec: MapSpec, data: Path) -> MapStore:
    """A store that is there already, if it is what was asked for."""
    store = MapStore(out)
    store.check(kind=spec.kind, teacher=spec.teacher, data=data)
    wanted, found = spec.to_json(), store.spec.to_json()
    if other := [key for key in wanted if wanted[key] != found[key]]:
        raise ValueError(
            f"{out} is a finished store with {other[0]} {found[other[0]]}, not "
            f"{wanted[other[0]]}; name another folder"
        )
    return store


def finish(writer: MapWriter, faults: dict[str, str], console: Console) -> MapStore:
    """The store, if all of its rows could be made.

    Args:
        writer (MapWriter): Of the store.
        faults (dict[str, str]): Lines on what could not be made, by paths of pictures.
        console (Console): Where progress is shown.

    Raises:
        RunError: If there are faults, which ``unreadable.txt`` names all.
    """
    file = writer.folder / UNREADABLE
    if faults:
        lines = [faults[path] for path in sorted(faults)]
        write_whole(file, "".join(f"{line}\n" for line in lines))
        more = f"\nand {len(lines) - NAMED:,} more" if len(lines) > NAMED else ""
        raise RunError(
            f"pictures without maps: {len(lines):,}, all others have theirs; mend or "
            f"remove those that {file} names, and {GO_ON}:\n"
            + "\n".join(lines[:NAMED])
            + more
        )
    file.unlink(missing_ok=True)
    console.print("computing checksums")
    writer.finish()
    return MapStore(writer.folder)


def _summary(
    job: Job,
    teacher: Teacher,
    spec: MapSpec,
    pictures: list[Picture],
    left: int,
    batch: str,
) -> str:
    identity = teacher.identity
    grid = f"{spec.grid[0]} x {spec.grid[1]}"
    files = spec.shards(len(pictures))
    size = sum(shard_bytes(dtype, shape) for _, _, dtype, shape in files)
    kept = f"{spec.channels} channels of features"
    if spec.kind != FEATURES:
        kept = f"the top {spec.top_k} of {spec.num_classes} classes"
        kept += f", by {teacher.answer}" if teacher.answer else ""
    count = len(pictures)
    done = f", {count - left:,} of them done before" if left < count else ""
    processes = "1 process" if job.processes == 1 else f"{job.processes} processes"
    rows = [
        (
            "teacher",
            f"{identity['name']} ({identity['kind']}, {identity['weights'][:12]})",
        ),
        ("maps", f"{grid} tokens of {job.size[0]} x {job.size[1]} px, {kept}"),
        ("pictures", f"{count:,} in {job.data}{done}"),
        ("store", f"{job.out}, {decimal(size)} in {len(files)} files"),
        ("batch", batch),
        ("device", f"{job.device}, {processes}, {job.workers} loader workers each"),
    ]
    return "\n".join(f"  {name:<9} {text}" for name, text in rows)


def check_store(
    out: Path,
    *,
    data: Path | None = None,
    teacher: str | None = None,
    weights: str | None = None,
    features: bool = False,
) -> MapStore:
    """A store, all of which is as it was written.

    Args:
        out (Path): Its folder.
        data (Path, optional): The folder of pictures that it shall be of.
        teacher (str, optional): That shall have made it.
        weights (str, optional): Of the teacher.
        features (bool): Whether it shall hold features. Defaults to False: it may.

    Raises:
        FileNotFoundError, ValueError, RuntimeError: If it is not.
    """
    store = MapStore(out)
    identity = None
    if teacher is not None:
        identity = build_teacher(
            teacher, weights=weights, input_size=store.spec.input_size
        ).identity
    kind = FEATURES if features else None
    store.check(kind=kind, teacher=identity, data=data, full=True)
    return store
