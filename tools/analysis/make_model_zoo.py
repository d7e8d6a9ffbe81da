"""Writes metafile.yml, model-index.yml, docs/model_zoo.md and docs/results.md.

All of it follows from the configs, published numbers and weights, and the records of
tools/leaderboard/run.py. Run it again when a config is added or changed.

Examples:
    >>> python tools/analysis/make_model_zoo.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

import yaml
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmswinv2.apis import is_of_videos
from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.checkpoints.whole_files import write_whole
from mmswinv2.checkpoints.zoo import ENTRIES, SCHEME, Entry, find_entry
from mmswinv2.evaluation.paper import HUB, PAPER
from mmswinv2.evaluation.records import percent, read_records, write_results
from mmswinv2.places import CONFIG_DIR, ROOT
from mmswinv2.planning import training_batch
from mmswinv2.planning.config_plan import read_memory, read_plan
from mmswinv2.planning.flops import build_without_memory, count_flops, count_parameters
from mmswinv2.planning.memory_report import GIB

RECORDS = ROOT / "docs" / "results"
PAPER_URL = "https://arxiv.org/abs/2111.09883"
TITLE = "Swin Transformer V2: Scaling Up Capacity and Resolution"
METHODS = {
    "mask-rcnn": "Mask R-CNN",
    "cascade-mask-rcnn": "Cascade Mask R-CNN",
    "htc": "HTC",
    "htc-without-semantic": "HTC without stuff",
    "htc++": "HTC++",
    "htc++-without-semantic": "HTC++ without stuff",
    "dino-4scale": "DINO, 4 scales",
    "dino-5scale": "DINO, 5 scales",
    "mask2former": "Mask2Former",
    "retinanet": "RetinaNet",
    "upernet": "UPerNet",
    "simmim": "SimMIM",
    "token-labeling": "Token Labeling",
}
DATASETS = {
    "coco": "COCO 2017",
    "ade20k": "ADE20K",
    "imagenet": "ImageNet",
    "simmim": "ImageNet, without labels",
    "token_labeling": "ImageNet, with label maps",
    "feature_distillation": "ImageNet, without labels",
    "kinetics400": "Kinetics-400",
    "mini": "generated",
}
TITLES = {  # on the page
    "simmim": "SimMIM",
    "token_labeling": "Token Labeling",
    "feature_distillation": "Feature Distillation",
}
CLASSIFIERS = ("imagenet", "kinetics400", "feature_distillation")
CODE = {
    "kinetics400": "mmswinv2/video/backbone.py",
    "token_labeling": "mmswinv2/pretraining/token_labeling/classifier.py",
    "feature_distillation": "mmswinv2/pretraining/feature_distillation/model.py",
}
INPUT = "Input (width x height)"  # of clips, frames x width x height
TASKS = {
    "mmdet": "Object Detection",
    "mmseg": "Semantic Segmentation",
    "mmpretrain": "Image Classification",
    "videos": "Action Recognition",
}


def folders() -> list[Path]:
    """Folders of configs, those of benchmarks first."""
    return [CONFIG_DIR / name for name in DATASETS]


def method(config: Path) -> str:
    """Name of the model of a config, from its file's name."""
    if config.stem.startswith("fd-"):
        return "Feature Distillation"
    names = config.stem.split("_")
    clips = "_mini-clips-" in config.name
    if clips or config.parent.name in CLASSIFIERS:
        return "Classifier"
    for name in names:
        if name in METHODS:
            return METHODS[name]
    raise ValueError(f"{config.name} names no method of {', '.join(METHODS)}")


def image_size(cfg: Config) -> tuple[int, ...]:
    """Height and width of a test image, in px, for which FLOPs are counted.

    For detectors, 1280 x 800 where tests resize to 1333 x 800, as Swin's tables have
    it; for segmentors, the crop; for classifiers and SimMIM, the size of training; of
    clips frames come first.
    """
    if cfg.default_scope == "mmpretrain":
        return training_batch.image_size(cfg)
    crop = cfg.model.get("test_cfg", {}).get("crop_size")
    if crop:
        return tuple(crop)
    if cfg.default_scope == "mmseg":
        return tuple(cfg.model.data_preprocessor.size)
    (resize,) = [t for t in cfg.test_pipeline if t.type == "Resize"]
    long, short = max(resize.scale), min(resize.scale)
    return short, 1280 if long == 1333 else long


def per_stage(window: object) -> str:
    """A window, or one per stage, in tokens; that of clips as '8x7x7'."""
    values = window if isinstance(window, (list, tuple)) else [window]
    return ("x" if len(values) == 3 else ", ").join(map(str, values))


def schedule(cfg: Config) -> dict[str, int]:
    """Length of training, as metafiles have it."""
    loop = cfg.train_cfg
    if "max_epochs" in loop:
        return {"Epochs": loop.max_epochs}
    return {"Iterations": loop.max_iters}


def pretraining(cfg: Config) -> str:
    """Which weights the backbone or the model starts from."""
    init_cfg = cfg.model.backbone.get("init_cfg") or cfg.model.get("init_cfg")
    if init_cfg:
        find_entry(init_cfg.checkpoint)  # raises where no such weights are published
        return init_cfg.checkpoint
    return "a run of this repository" if cfg.get("load_from") else "from scratch"


def teacher(cfg: Config) -> dict[str, str]:
    """Whom a model learns from, as metafiles have it."""
    given = cfg.model.get("teacher")
    return {"Teacher": given.get("model") or given.config} if given else {}


def published_weights(cfg: Config) -> Entry | None:
    """The weights that others have published of what a config trains.

    Of SimMIM's many runs, that of 500 thousand iterations on ImageNet-1K, 800 epochs.
    """
    kinds = ("ImageClassifier", "SimMIM")
    if cfg.default_scope != "mmpretrain" or cfg.model.type not in kinds:
        return None
    if cfg.get("load_from"):
        return None
    backbone = cfg.model.backbone
    arch = ARCHITECTURES[backbone.arch]
    if "extra_norm_every_n_blocks" in backbone:
        extra = backbone.extra_norm_every_n_blocks
        arch = replace(arch, extra_norm_every_n_blocks=extra)
    window = backbone.window_size
    window = window if isinstance(window, int) else max(window)
    fine_tuned = pretraining(cfg) != "from scratch"
    fitting = (
        entry
        for entry in ENTRIES
        if entry.classes == cfg.model.head.get("num_classes", 0)
        and (entry.image_size, entry.window) == (image_size(cfg)[0], window)
        and entry.architecture == arch
        and entry.name.endswith("ft1k") == fine_tuned
        and ("simmim" not in entry.name or "simmim-1k-500k" in entry.name)
    )
    return next(fitting, None)


def training_memory(cfg: Config) -> float:
    """GiB on each GPU that tools/analysis/plan_memory.py predicts for a config."""
    model, plan = read_plan(cfg)
    return round(read_memory(cfg, model, plan.training).total(plan) / GIB, 1)


def describe(config: Path, records: Iterable[dict]) -> dict:
    """The entry of a config in its metafile."""
    cfg = Config.fromfile(config)
    model = build_without_memory(cfg)
    size = *frames, height, width = image_size(cfg)
    published = [
        {
            "Protocol": reported.protocol,
            "Metric": reported.metric,
            "Value": reported.value,
            "Source": reported.source,
        }
        for reported in PAPER.get(config.stem, ())
    ]
    metadata = {
        "Architecture": [method(config), "Swin Transformer V2"],
        "Backbone": cfg.model.backbone.arch,
        "Window": per_stage(cfg.model.backbone.window_size),
        "Pretraining": pretraining(cfg),
        **teacher(cfg),
        **schedule(cfg),
        "Batch Size (per GPU)": cfg.train_dataloader.batch_size,
        "Parameters (M)": round(count_parameters(model) / 1e6, 1),
        "Backbone Parameters (M)": round(count_parameters(model.backbone) / 1e6, 1),
        "Backbone GFLOPs": round(count_flops(model.backbone, size) / 1e9, 1),
        INPUT: " x ".join(map(str, (*frames, width, height))),
        "Training Memory (GB)": training_memory(Config.fromfile(config)),
    }
    weights = published_weights(cfg)
    if weights and weights.loss:
        published.append(
            {
                "Protocol": "validation",
                "Metric": "loss",
                "Value": weights.loss,
                "Source": HUB,
            }
        )
    if published:
        metadata["Published Results"] = published
    entry = {
        "Name": config.stem,
        "In Collection": f"Swin V2, {config.parent.name}",
        "Config": str(config.relative_to(ROOT)),
        "Metadata": metadata,
    }
    results = {
        name: value
        for record in records
        if record["config"] == config.stem and record["protocol"] == "ss"
        for name, value in record["results"].items()
    }
    if results:
        task = TASKS["videos" if is_of_videos(cfg) else cfg.default_scope]
        dataset = DATASETS[config.parent.name]
        entry["Results"] = [{"Task": task, "Dataset": dataset, "Metrics": results}]
    if weights:
        entry["Weights"] = f"{SCHEME}{weights.name}"
    return entry


def collection(folder: Path) -> dict:
    """The head of a folder's metafile."""
    return {
        "Name": f"Swin V2, {folder.name}",
        "Metadata": {
            "Training Data": DATASETS[folder.name],
            "Architecture": ["Swin Transformer V2"],
        },
        "Paper": {"URL": PAPER_URL, "Title": TITLE},
        "README": str((folder / "README.md").relative_to(ROOT)),
        "Code": {
            "URL": CODE.get(folder.name, "mmswinv2/models/swin_transformer_v2.py")
        },
    }


def write_yaml(path: Path, content: dict) -> None:
    """Writes a YAML file, whole or not at all."""
    text = "# Written by tools/analysis/make_model_zoo.py\n"
    text += yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    write_whole(path, text)


def row(entry: dict) -> str:
    """The line of a config in docs/model_zoo.md."""
    data = entry["Metadata"]
    stem = entry["Name"]
    time = f"{data['Epochs']} epochs" if "Epochs" in data else ""
    time = time or f"{data['Iterations']} iterations"
    published = "; ".join(
        f"{r['Value'] if r['Metric'] == 'loss' else percent(r['Value'])} {r['Metric']}"
        + f" ({r['Protocol']})" * (r["Protocol"] in ("ms", "v2", "views"))
        for r in data.get("Published Results", [])
    )
    if "Weights" in entry:
        weights = f"weights {entry['Weights'].removeprefix(SCHEME)}"
        published += "; " * bool(published) + weights
    results = [m for result in entry.get("Results", []) for m in [result["Metrics"]]]
    ours = "; ".join(f"{v:.1f} {k}" for metrics in results for k, v in metrics.items())
    cells = [
        f"[{stem}](../{entry['Config']})",
        data["Architecture"][0],
        data["Backbone"],
        data["Window"],
        data["Pretraining"].removeprefix(SCHEME),
        time,
        f"{data['Parameters (M)']:.1f}",
        f"{data['Backbone GFLOPs']:.1f} at {data[INPUT]}",
        f"{data['Training Memory (GB)']:.1f}",
        published or "-",
        ours or "not trained",
    ]
    return "| " + " | ".join(cells) + " |"


def write_page(entries: list[dict]) -> None:
    """Writes docs/model_zoo.md."""
    parts = [PAGE]
    for name in [name for name in DATASETS if name != "mini"]:
        rows = [e for e in entries if Path(e["Config"]).parent.name == name]
        title = TITLES.get(name, DATASETS[name])
        parts += [f"\n## {title}\n", HEAD, *map(row, rows)]
    write_whole(ROOT / "docs" / "model_zoo.md", "\n".join(parts) + "\n")


PAGE = """# Model zoo

Written by `tools/analysis/make_model_zoo.py` from the configs. Window: tokens; one
number for all stages. Weights: those that training starts from, a name of
`tools/weights.py list`. Parameters: millions, of the whole model. GFLOPs: billions of
multiply-adds of the backbone for one image of the size given, width x height in px, or
for one clip, frames x width x height, padding included. Memory: GiB of a GPU in
training with the batch, precision and strategy of the config, on as many GPUs as it is
for, predicted by `tools/analysis/plan_memory.py`, not measured.

Published: by the paper, and of classifiers by the authors' model hub; validation set,
one scale or several (ms), ImageNet-V2 (v2), of videos one view or several (views), or
SimMIM's loss;
[results.md](results.md) has sources, and our numbers beside them. Weights that are
published there are named: `build_inferencer` takes those of a classifier by itself,
`tools/test.py CONFIG swinv2://NAME` and `tools/leaderboard/run.py` by that name.
"not trained" says just that. The small configs on generated data are in
[configs/mini](../configs/mini/README.md)."""
HEAD = """| config | method | backbone | window | weights | schedule | parameters | GFLOPs | memory | published | ours |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"""  # noqa: E501


def main() -> None:
    """Writes all of the zoo's files."""
    MMLogger.get_current_instance().setLevel("WARNING")
    records = read_records(RECORDS)
    entries, metafiles = [], []
    for folder in folders():
        models = []
        for path in sorted(folder.glob("*.py")):
            print(path.relative_to(ROOT), flush=True)
            models.append(describe(path, records))
        metafile = folder / "metafile.yml"
        write_yaml(metafile, {"Collections": [collection(folder)], "Models": models})
        metafiles.append(str(metafile.relative_to(ROOT)))
        entries += models
    write_yaml(ROOT / "model-index.yml", {"Import": metafiles})
    write_page(entries)
    configs = [path for folder in folders() for path in sorted(folder.glob("*.py"))]
    write_results(configs, RECORDS, ROOT / "docs" / "results.md")


if __name__ == "__main__":
    main()
