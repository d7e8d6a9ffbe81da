"""Prints the tables of docs/large_models.md, or writes them into it.

All of it is arithmetic on shapes; what runs are forward passes of heads on zeros.

Examples:
    >>> python benchmarks/scale/tables.py
    >>> python benchmarks/scale/tables.py runs calibration --write
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import warnings
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
sys.path.insert(0, str(Path(__file__).resolve().parent))

from calibration import backbone_rows, kernel_rows
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.planning import run_choice, run_data
from mmswinv2.planning.config_plan import read_memory, read_plan
from mmswinv2.planning.gpus import GIB, GPUS
from mmswinv2.planning.memory_model import Training
from mmswinv2.planning.memory_plan import Memory, Plan
from mmswinv2.planning.run_choice import DAY, Choice
from mmswinv2.planning.run_cost import Assumptions, step
from mmswinv2.planning.run_report import NAMES, SLOW_NETWORK
from mmswinv2.planning.step_time import forward_flops

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "large_models.md"
LOADING = Path(__file__).parent / "results" / "loading.json"
ADE = "ade20k/swinv2-l-p4-w40-in22k-192-pre_upernet_16xb4-40k_ade20k-640x640"
COUNTS = (1, 8, 64, 512)
EACH = 2  # pictures per GPU in the tables of sizes
CARDS = ("h100", "a100-80", "a100-40", "rtx4090")
PAPER_CARD = "a100-40"


@dataclass(frozen=True)
class Run:
    """A run of the paper.

    Attributes:
        label (str): In tables.
        config (str): Under configs/, without its ending.
        pictures (int, optional): Of the training set, where it was never published.
    """

    label: str
    config: str
    pictures: int | None = None


RUNS = (
    Run("22K, B", "imagenet/swinv2-b-p4-w12_32xb128-90e_in22k-192px"),
    Run("22K, L", "imagenet/swinv2-l-p4-w12_32xb128-90e_in22k-192px"),
    Run("SimMIM, H, 1K", "simmim/simmim_swinv2-h-p4-w12_16xb128-800e_in1k-192px"),
    Run("SimMIM, G, 22K", "simmim/simmim_swinv2-g-p4-w12_96xb96-20e_in22k-192px"),
    Run(
        "SimMIM, G, 70M",
        "simmim/simmim_swinv2-g-p4-w12_96xb96-20e_in22k-192px",
        70_000_000,
    ),
    Run(
        "COCO, L",
        "coco/htc++_swinv2-l-p4-w32-in22k_fpn_64xb1-instaboost-lsj-3x_coco",
    ),
    Run("COCO, G", "coco/htc++_swinv2-g-p4-w32_fpn_96xb1-lsj-45k_coco"),
    Run("ADE20K, L", ADE),
    Run("ADE20K, G", "ade20k/swinv2-g-p4-w40_upernet_32xb1-80k_ade20k-640x640"),
    Run(
        "K400, G, 256 px",
        "kinetics400/swinv2-g-p2x4x4-w8x16x16_16xb5-20e_kinetics400-16x4-256px",
    ),
    Run(
        "K400, G, 320 px",
        "kinetics400/swinv2-g-p2x4x4-w8x20x20_16xb4-5e_kinetics400-16x4-320px",
    ),
)


def read(name: str) -> Config:
    """A config of configs/, without weights to load."""
    cfg = Config.fromfile(ROOT / "configs" / f"{name}.py")
    cfg.model.backbone.init_cfg = None
    return cfg


def table(header: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@cache
def planned(name: str, arch: str | None = None) -> tuple[Memory, Plan, Config]:
    """Memory and plan of a config, counted for one picture."""
    cfg = read(name)
    if arch:
        widths = [ARCHITECTURES[arch].embed_dims * 2**i for i in range(4)]
        cfg.model.backbone.arch = arch
        cfg.model.decode_head.in_channels = widths
        cfg.model.auxiliary_head.in_channels = widths[2]
    each = cfg.train_dataloader.batch_size
    model, plan = read_plan(cfg)
    cfg.train_dataloader.batch_size = 1
    training = replace(plan.training, batch=1)
    memory = read_memory(cfg, model, training)
    cfg.train_dataloader.batch_size = each
    return memory, replace(plan, training=training), cfg


def ms(value: float) -> str:
    """Seconds in ms, three digits."""
    return f"{value * 1000:,.0f}" if value >= 0.1 else f"{value * 1000:.3g}"


def size_cell(arch: str, card: str, gpus: int) -> str:
    """The fastest strategy, GiB and ms of a size on some GPUs."""
    memory, plan, _ = planned(ADE, arch)
    gpu = GPUS[card]
    plan = replace(plan, gpus=gpus)
    choices = run_choice.choose(memory, plan, gpu, gpus * EACH)
    best = run_choice.fastest(choices)
    if best is None:
        least = min(choice.size for choice in choices.values())
        return f"no: {least / GIB:.0f} GiB"
    name = NAMES[best.plan.strategy].split()[0] if gpus > 1 else "alone"
    again = {None: "", "mlp": ", mlp", "block": ", block"}[
        best.plan.training.recompute(0)
    ]
    return f"{name}{again}: {best.size / GIB:.0f} GiB, {ms(best.step.total)} ms"


def size_row(arch: str, card: str) -> list[str]:
    """A size on all numbers of GPUs."""
    return [arch, *(size_cell(arch, card, gpus) for gpus in COUNTS)]


def sizes(card: str) -> str:
    """Sizes against numbers of GPUs."""
    archs = [name for name in ARCHITECTURES if name != "nano"]
    header = [GPUS[card].label, *(f"{n} GPU{'s' * (n > 1)}" for n in COUNTS)]
    return table(header, [size_row(arch, card) for arch in archs])


@cache
def chosen(run: Run, card: str) -> tuple[Choice | None, dict, int]:
    """The fastest way of a run, all strategies, and pictures of the schedule."""
    memory, plan, cfg = planned(run.config)
    batch = run_data.step_pictures(cfg, plan.gpus)
    choices = run_choice.choose(memory, plan, GPUS[card], batch)
    pictures = run_data.run_pictures(cfg, batch, run.pictures)
    return run_choice.fastest(choices), choices, pictures


def run_row(run: Run) -> list[str]:
    """A run of the paper on its GPU and on another."""
    memory, _, cfg = planned(run.config)
    best, _, pictures = chosen(run, PAPER_CARD)
    other, _, _ = chosen(run, "h100")
    known = run_data.data_set(cfg)
    low, high = run_choice.spread(memory, best, GPUS[PAPER_CARD], 1)
    days = best.gpu_days(pictures)
    scale = days / best.step.total
    recomputed = best.plan.training.recompute(0)
    how = f"{NAMES[best.plan.strategy].split()[0]}, {best.accumulate} x "
    how += f"{best.plan.training.batch}" + (f", {recomputed}" if recomputed else "")
    return [
        run.label,
        f"{best.plan.gpus}",
        how,
        f"{best.size / GIB:.0f}",
        ms(best.step.total),
        f"{days:,.3g} ({low * scale:,.3g} to {high * scale:,.3g})".replace("e+03", "k"),
        f"{other.gpu_days(pictures):,.3g}",
        f"{other.rate:,.0f}, {other.rate * known.size / 1e6:,.0f}",
    ]


def runs() -> str:
    """GPU-days and data rates of the paper's runs."""
    header = [
        *("run", "GPUs", "A100 40 GB: strategy", "GiB", "ms a step"),
        *("GPU-days (in doubt)", "GPU-days, H100", "H100: pictures/s, MB/s"),
    ]
    return table(header, [run_row(run) for run in RUNS])


def loading() -> str:
    """Cores that bring the pictures of the paper's runs."""
    measured = json.loads(LOADING.read_text())
    rows = []
    for run in RUNS:
        if run.config not in measured["ms"]:
            continue
        best, _, _ = chosen(run, "h100")
        each = measured["ms"][run.config] / 1000
        given = planned(run.config)[2].train_dataloader.num_workers
        cores = best.rate * each
        rows.append(
            [
                run.label,
                f"{best.plan.gpus} H100",
                f"{best.rate:,.0f}",
                f"{each * 1000:.1f}",
                f"{cores:,.1f}",
                f"{cores / best.plan.gpus:.1f}",
                f"{given}",
            ]
        )
    header = ["run", "GPUs", "pictures/s", f"ms a picture ({measured['processor']})"]
    return table([*header, "cores", "workers per GPU", "in the config"], rows)


def sensitivity() -> str:
    """Steps of the paper's runs, over the ones above, if assumptions were other."""
    cases = {
        "rates x 0.7": Assumptions(efficiency=0.7),
        "rates x 1.3": Assumptions(efficiency=1.3),
        "nothing hidden": Assumptions(overlap=0.0),
        "100 Gb/s a node": Assumptions(network=SLOW_NETWORK),
    }
    rows = []
    for run in RUNS:
        memory, _, _ = planned(run.config)
        best, _, _ = chosen(run, PAPER_CARD)
        times = []
        for assumed in cases.values():
            how = dict(accumulate=best.accumulate, assumed=assumed)
            time = step(memory, best.plan, GPUS[PAPER_CARD], 1, **how)
            times.append(f"{time.total / best.step.total:.2f}")
        rows.append([run.label, *times])
    return table(["run", *cases], rows)


def strategies() -> str:
    """G on COCO with every strategy, on the GPUs of the paper and newer ones."""
    (run,) = (run for run in RUNS if run.label == "COCO, G")
    rows = []
    for card in CARDS:
        _, choices, _ = chosen(run, card)
        for name, choice in choices.items():
            time = choice.step
            rows.append(
                [
                    GPUS[card].label,
                    NAMES[name],
                    choice.plan.training.recompute(0) or "nothing",
                    f"{choice.size / GIB:.0f}" + ("" if choice.fits else ", no"),
                    ms(time.total),
                    ms(time.communication),
                    ms(time.exposed),
                ]
            )
    header = ["GPU", "strategy", "recomputed", "GiB", "ms a step"]
    return table([*header, "exchange, ms", "seen, ms"], rows)


def calibration() -> str:
    """Predicted beside measured."""
    rows = [
        [case, f"{own:.3g}", f"{measured:.3g}", f"{own / measured - 1:+.0%}"]
        for case, own, measured in [*backbone_rows(), *kernel_rows()]
    ]
    return table(["'base' in bf16 on an H200", "predicted ms", "measured ms", ""], rows)


def flops() -> str:
    """FLOPs of G's pre-training beside what the paper says of its time."""
    windows = ((12, 12),) * 3 + ((6, 6),)
    forward = forward_flops(Training(ARCHITECTURES["giant"], (192, 192), 1, windows))
    whole = 3 * forward * 3.5e9  # pictures seen, table 2
    core = 123e12 / 2  # of a TPUv3 chip with two cores
    rows = [
        ["forward pass of a picture, GFLOP", f"{forward / 1e9:,.0f}"],
        ["3.5 billion pictures, forward and backward, FLOP", f"{whole:.2g}"],
        ["TPUv3 core-days at the peak of a core", f"{whole / core / DAY:,.0f}"],
        ["the paper's, TPUv3 core-days", "under 500"],
        ["A100-days at its peak", f"{whole / GPUS[PAPER_CARD].half / DAY:,.0f}"],
    ]
    return table(["G, 192 px, window 12", ""], rows)


def gpus() -> str:
    """What is taken for known of GPUs and of the nodes around them."""
    rows = [
        [
            name,
            f"{gpu.memory}",
            f"{gpu.half / 1e12:g}",
            f"{gpu.bandwidth / 1e12:g}",
            f"{gpu.processors} x {gpu.clock / 1e9:g}",
            f"{gpu.link / 1e9:g}",
            f"{8 * gpu.network / 1e9:g}",
            f"{gpu.doubt:.0%}",
        ]
        for name, gpu in GPUS.items()
    ]
    header = ["GPU", "GiB", "16-bit TFLOP/s", "memory, TB/s", "processors x GHz"]
    return table([*header, "link, GB/s", "node, Gb/s", "in doubt"], rows)


TABLES = {
    "calibration": calibration,
    "gpus": gpus,
    **{f"sizes-{card}": lambda card=card: sizes(card) for card in CARDS},
    "runs": runs,
    "loading": loading,
    "strategies": strategies,
    "sensitivity": sensitivity,
    "flops": flops,
}


def write(name: str, text: str) -> None:
    """Puts a table between its marks in the page."""
    page = PAGE.read_text()
    mark = f"<!-- table: {name} -->"
    pattern = re.compile(rf"({re.escape(mark)}\n).*?(\n<!-- end -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"{PAGE} has no place for table {name!r}: expected {mark}")
    PAGE.write_text(pattern.sub(lambda match: match[1] + text + match[2], page))


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--write", action="store_true", help="into the page")
    args = parser.parse_args()
    if unknown := sorted({*args.tables} - {*TABLES}):
        parser.error(f"no table {', '.join(unknown)}; known are {', '.join(TABLES)}")
    MMLogger.get_current_instance().setLevel("ERROR")
    warnings.filterwarnings("ignore")  # of the frameworks, on models without data
    for name in args.tables or TABLES:
        text = TABLES[name]()
        print(f"\n{name}\n\n{text}")
        if args.write:
            write(name, text)


if __name__ == "__main__":
    main()
