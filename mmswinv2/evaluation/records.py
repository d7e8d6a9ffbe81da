"""What a leaderboard run measured, with all that is needed to doubt it; and the table.

A record is a JSON file ``<config>.<protocol>.json``.
"""

import importlib.metadata
import json
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

import torch
from mmengine.config import Config

import mmswinv2
from mmswinv2.checkpoints.whole_files import write_whole
from mmswinv2.config_types import HOSTS

from .benchmarks import IMAGENET_V2, IMAGENET_V2_IMAGES
from .files import sha256
from .paper import PAPER, Reported

# Folder of configs: images of the validation set that its table is about.
VALIDATION_IMAGES = {
    "coco": 5000,
    "ade20k": 2000,
    "imagenet": 50000,
    "token_labeling": 50000,
    "kinetics400": 20000,
}
# Every copy of Kinetics-400 has lost other videos; a record has a hash of their list.
LEAST_IMAGES = {"kinetics400": 19000}
PACKAGES = ("torch", "mmengine", "mmcv", *HOSTS, "numpy", "pycocotools", "PIL")
# Our names of metrics: those of the hosts, factor to percent.
METRICS = {
    "box AP": ("coco/bbox_mAP", 100),
    "mask AP": ("coco/segm_mAP", 100),
    "mIoU": ("mIoU", 1),
    "top-1": ("accuracy/top1", 1),
    "top-5": ("accuracy/top5", 1),
    "mean class accuracy": ("single-label/recall", 1),
}
PROTOCOLS = {
    "ss": "one scale; of videos one view",
    "views": "of videos, all views of the test pipeline",
    "ms": "several scales and flips",
    "v2": "ImageNet-V2, matched frequency",
    "v2-threshold-0.7": "ImageNet-V2, threshold 0.7",
    "v2-top-images": "ImageNet-V2, top images",
}
NOT_TRAINED = "not trained"
# Options that change no number.
HARMLESS = {
    "data_root",
    "test_dataloader.num_workers",
    "test_dataloader.persistent_workers",
}


def make_record(
    cfg: Config,
    *,
    protocol: str,
    checkpoint: Path,
    name: str,
    options: Mapping[str, object],
    metrics: Mapping[str, float],
    images: int,
    processes: int,
    list_hash: str | None = None,
) -> dict:
    """A record of one evaluation.

    Args:
        cfg (Config): The config as it was run.
        protocol (str): One of ``PROTOCOLS``.
        checkpoint (Path): The weights.
        name (str): What they are called.
        options (Mapping): What ``--cfg-options`` changed.
        metrics (Mapping[str, float]): All metrics of the evaluator.
        images (int): How many were evaluated.
        processes (int): How many evaluated them.
        list_hash (str, optional): Of videos, which ones these were.

    Returns:
        dict: Of plain values.
    """
    cuda = torch.cuda.is_available()
    videos = {}
    if list_hash is not None:
        videos = dict(views=_views(cfg.test_dataloader.dataset), list_hash=list_hash)
    dataset = cfg.test_dataloader.dataset
    root = cfg.data_root.rstrip("/")
    return dict(
        config=Path(cfg.filename).stem,
        protocol=protocol,
        date=date.today().isoformat(),
        results={
            name: round(float(metrics[key]) * factor, 2)
            for name, (key, factor) in METRICS.items()
            if key in metrics
        },
        metrics={name: float(value) for name, value in metrics.items()},
        images=images,
        **videos,
        checkpoint=dict(name=name, sha256=sha256(checkpoint)),
        options=_plain({key: str(value) for key, value in options.items()}, root),
        evaluator=_plain(cfg.test_evaluator, root),
        pipeline=_plain(dataset.pipeline, root),
        hooks=_plain(cfg.get("custom_hooks", []), root),
        device=torch.cuda.get_device_name() if cuda else platform.processor() or "CPU",
        processes=processes,
        versions=_versions(),
    )


def _views(dataset: Mapping) -> str:
    """Clips of a video x crops of each, that a test pipeline makes."""
    numbers = dict(num_clips=1, number=1)
    for step in dataset["pipeline"]:
        numbers |= {key: step[key] for key in numbers if key in step}
    return " x ".join(map(str, numbers.values()))


def _plain(node: object, root: str) -> object:
    """Plain values, without the folder of the data, which is of one machine."""
    text = json.dumps(node, default=str)
    start = re.escape(json.dumps(root)[:-1])
    return json.loads(re.sub(f'{start}(?=[/"])', '"DATA_ROOT', text))


def _versions() -> dict[str, str]:
    """Versions by import name, with the distribution where its name is another."""
    versions = {"python": platform.python_version(), "mmswinv2": mmswinv2.__version__}
    if commit := _commit():
        versions["mmswinv2"] += f" ({commit})"
    owners = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        for name in owners.get(package, [])[:1]:
            version = importlib.metadata.version(name)
            versions[package] = version if name == package else f"{name} {version}"
    if torch.version.cuda:
        versions["cuda"] = torch.version.cuda
    return versions


def _commit() -> str | None:
    """Commit of this package's repository, and whether files differ from it."""
    root = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def why_not_entered(
    cfg: Config, config_dir: Path, options: Iterable[str], images: int, protocol: str
) -> str | None:
    """Why a run has no place in the table, or None.

    Args:
        cfg (Config): The config.
        config_dir (Path): The repository's ``configs/``.
        options (Iterable[str]): Keys that ``--cfg-options`` changed.
        images (int): How many were evaluated.
        protocol (str): One of ``PROTOCOLS``.
    """
    path = Path(cfg.filename).resolve()
    expected = VALIDATION_IMAGES.get(path.parent.name)
    if protocol in IMAGENET_V2:
        expected = IMAGENET_V2_IMAGES
    if path.parent.parent != config_dir or expected is None:
        return f"{path.name} is none of configs/{{{','.join(VALIDATION_IMAGES)}}}"
    if changed := set(options) - HARMLESS:
        return f"--cfg-options changed {', '.join(sorted(changed))}"
    if not LEAST_IMAGES.get(path.parent.name, expected) <= images <= expected:
        return f"{images} images were evaluated, the benchmark has {expected}"
    return None


def read_records(folder: Path) -> list[dict]:
    """All records in a folder, by name.

    Raises:
        ValueError: If a file there is no record.
    """
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text())
            expected = f"{record['config']}.{record['protocol']}.json"
            record["results"], record["checkpoint"]["sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no record of a leaderboard run") from error
        if path.name != expected:
            raise ValueError(f"{path} should be named {expected}")
        records.append(record)
    return records


def write_record(record: dict, path: Path) -> None:
    """Writes a record, whole or not at all."""
    write_whole(path, json.dumps(record, indent=2) + "\n")


def write_results(configs: Iterable[Path], folder: Path, page: Path) -> None:
    """Writes the page with the table of all records.

    Args:
        configs (Iterable[Path]): Files of configs.
        folder (Path): The records.
        page (Path): The Markdown file, beside ``folder``.
    """
    records = {(r["config"], r["protocol"]): r for r in read_records(folder)}
    rows = []
    for config in configs:
        paper = PAPER.get(config.stem, ())
        measured = [r for (name, _), r in records.items() if name == config.stem]
        keys: dict[tuple[str, str], Reported | None] = {
            (r.protocol, r.metric): r for r in paper
        }
        for record in measured:
            for metric in record["results"]:
                keys.setdefault((record["protocol"], metric), None)
        link = f"[{config.stem}](../configs/{config.parent.name}/{config.name})"
        for (protocol, metric), reported in sorted(keys.items(), key=lambda k: k[0]):
            record = records.get((config.stem, protocol))
            ours = _ours(record, metric, folder.name)
            rows.append(
                f"| {link} | {protocol} | {metric} | {_paper(reported)} | {ours} |"
            )
    write_whole(page, PAGE.format(rows="\n".join(rows)))


def _paper(reported: Reported | None) -> str:
    return f"{percent(reported.value)} ({reported.source})" if reported else "-"


def percent(value: float) -> str:
    """A number with the one or two digits behind the point that it was given with."""
    return f"{value:.1f}" if value == round(value, 1) else f"{value:.2f}"


def _ours(record: dict | None, metric: str, folder: str) -> str:
    if record is None or metric not in record["results"]:
        return NOT_TRAINED if record is None else "not measured"
    name = f"{record['config']}.{record['protocol']}.json"
    value = record["results"][metric]
    shown = f"{value:.2f}" if metric.startswith("top-") else f"{value:.1f}"
    return f"[{shown}]({folder}/{name})"


PAGE = """# Results

Validation sets of COCO 2017, ADE20K, ImageNet-1K and Kinetics-400, and ImageNet-V2, in
percent. Published: tables of Swin Transformer V2, arXiv 2111.09883, if nothing else is
said; model hub: that of github.com/microsoft/Swin-Transformer. Ours: measured by
`tools/leaderboard/run.py`, which writes this page; each number links to its record:
checkpoint hash, evaluator, pipeline, versions, device. "not trained": nobody has
trained this configuration here.

ss: one scale; of videos one view, the middle. ms: several scales and flips, the
`tta_pipeline` of the config; the paper does not state its scales. With ms, box AP alone
where the merging keeps no masks. views: of videos, the clips x crops of the config's
tests; copies of Kinetics-400 differ, so a record has the number of videos and a hash of
their list.
v2: ImageNet-V2, matched frequency, which papers mean where they say no more; accuracies
on it differ by up to a point among those who evaluated the same weights.

| config | protocol | metric | published | ours |
| --- | --- | --- | --- | --- |
{rows}
"""
