"""The table and the plot of measured cases."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from contenders import Size, parse_size, write_size

from mmswinv2.architectures import ARCHITECTURES, Architecture
from mmswinv2.planning.memory_model import stage_maps


def flops(arch: Architecture, size: Size, window: int | Size, batch: int) -> float:
    """Of matrix products in one forward pass; padding not counted."""
    total = 0.0
    patch = (2, 4, 4)[-len(size) :]
    for stage, lengths in enumerate(stage_maps(size, len(arch.depths), patch)):
        depth, channels = arch.depths[stage], arch.embed_dims * 2**stage
        tokens = batch * np.prod(lengths)
        area = np.minimum(window, lengths).prod()
        # qkv 3, projection 1, MLP 8 products of channels; attention 2 of a window
        total += depth * tokens * 2 * (12 * channels**2 + 2 * channels * area)
        if stage + 1 < len(arch.depths):
            total += tokens / 4 * 2 * 8 * channels**2
    return total


def read_results(folder: Path) -> list[dict]:
    """All records of a folder, by size, window, mode and batch."""
    records = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    return sorted(
        records,
        key=lambda r: (
            r["case"]["mode"],
            r["case"]["compiled"],
            r["case"]["batch"],
            np.prod(r["case"]["size"]),
            np.prod(r["case"]["window"]),
        ),
    )


def write_report(folder: Path) -> None:
    """Write ``table.md`` and ``plot.png`` beside the results."""
    records = read_results(folder)
    machine = records[0]["machine"]
    roof = machine["matmul_flops_per_second"]
    names = [*dict.fromkeys(name for r in records for name in r["result"])]
    others = [name for name in names if name != "ours"]
    lines = [
        f"{records[0]['arch']}, {_conditions(machine)}; large matrix products run at "
        f"{roof / 1e9:.0f} GFLOP/s.",
        "",
        "Batch 1, eager: seconds of ours, time of the fastest other over ours, and "
        "memory of ours over the leanest.",
        "",
        *_summary(records),
        "",
        "Time of others over ours (median over rounds of the ratio within a round), "
        "and memory of ours over theirs. Of the roof: share of that rate.",
        "",
        "| case | ours, ms | of the roof | fastest other | "
        + " | ".join(f"{name}: time, memory" for name in others)
        + " |",
        "| --- |" + " --- |" * (len(others) + 3),
    ]
    for record in records:
        lines.append(_row(record, others, roof))
    (folder / "table.md").write_text("\n".join(lines) + "\n")
    _plot(records, names, folder / "plot.png")


def _conditions(machine: dict) -> str:
    """What the times depend on; records of before have no capability and no clock."""
    processor = machine["processor"]
    if "capability" in machine:
        processor += f", {machine['capability']}"
    limits = ["=".join(limit) for limit in machine.get("limits", {}).items()]
    if limits:
        processor += f" (limited by {' '.join(limits)})"
    threads = machine["threads"]
    return (
        f"{processor}, {threads} thread{'s' * (threads > 1)}, "
        f"{'CPU' if machine.get('clock') == 'cpu' else 'wall'} time, "
        f"torch {machine['torch']}, {machine['dtype']}"
    )


def _summary(records: list[dict]) -> list[str]:
    """Rows of sizes, columns of windows."""
    cells: dict[str, dict[str, str]] = {}
    for record in records:
        case, result = record["case"], record["result"]
        if case["batch"] > 1 or case["compiled"] or "error" in result["ours"]:
            continue
        mine, *others = (r for r in result.values() if "error" not in r)
        cell = f"{mine['seconds']:.2f} s"
        if len(result) > 1 and not others:
            cell += ", others cannot"
        elif others:
            cell += f", {min(r['ratio'] for r in others):.2f}"
            if least := min(r["bytes"] for r in others):
                cell += f", {mine['bytes'] / least:.2f}"
        row = f"{case['mode']}, {' x '.join(map(str, case['size']))}"
        cells.setdefault(row, {})[write_size(case["window"])] = cell
    windows = {window for row in cells.values() for window in row}
    windows = sorted(windows, key=lambda window: np.prod(parse_size(window)))
    return [
        "| | " + " | ".join(f"window {window}" for window in windows) + " |",
        "| --- |" + " --- |" * len(windows),
        *(
            f"| {name} | "
            + " | ".join(row.get(window, "not measured") for window in windows)
            + " |"
            for name, row in cells.items()
        ),
    ]


def _row(record: dict, others: Iterable[str], roof: float) -> str:
    case, result = record["case"], record["result"]
    size, window = write_size(case["size"]), write_size(case["window"])
    name = f"{case['mode']} {size} w{window} b{case['batch']}"
    name += " compiled" * case["compiled"]
    mine = result["ours"]
    if "error" in mine:
        return f"| {name} | {mine['error']} |"
    arch = ARCHITECTURES[record["arch"]]
    work = flops(arch, case["size"], case["window"], case["batch"])
    work *= 3 if case["mode"] == "training" else 1
    part_of_roof = work / roof / mine["seconds"]
    cells = [name, f"{mine['seconds'] * 1e3:.0f}", f"{part_of_roof:.2f}"]
    ratios = [result[o]["ratio"] for o in others if "ratio" in result.get(o, {})]
    cells.append(f"{min(ratios):.2f}" if ratios else "none")
    for other in others:
        theirs = result.get(other)
        if theirs is None:
            cells.append("not measured")
        elif "error" in theirs:
            cells.append("cannot: " + theirs["error"][:40].replace("|", "/"))
        else:
            memory = mine["bytes"] / theirs["bytes"] if theirs["bytes"] else None
            cells.append(
                f"{theirs['ratio']:.2f}" + (f", {memory:.2f}" if memory else "")
            )
    return "| " + " | ".join(cells) + " |"


def _plot(records: list[dict], names: list[str], file: Path) -> None:
    """Time and memory of training against the side of square images."""
    chosen = [
        r
        for r in records
        if r["case"]["mode"] == "training"
        and r["case"]["size"] == 2 * r["case"]["size"][:1]
        and r["case"]["batch"] == 1
        and not r["case"]["compiled"]
    ]
    windows = sorted({r["case"]["window"] for r in chosen})
    if not windows:
        return
    figure, axes = plt.subplots(
        2,
        len(windows),
        figsize=(3.4 * len(windows), 6),
        squeeze=False,
        sharex=True,
        sharey="row",
    )
    all_sides = sorted({r["case"]["size"][0] for r in chosen})
    for column, window in enumerate(windows):
        for row, (key, unit) in enumerate((("seconds", 1.0), ("bytes", 2**30))):
            axis = axes[row, column]
            for name in names:
                points = [
                    (r["case"]["size"][0], r["result"][name][key] / unit)
                    for r in chosen
                    if r["case"]["window"] == window
                    and key in r["result"].get(name, {})
                ]
                if not points:
                    continue
                sides, values = map(np.array, zip(*sorted(points)))
                (line,) = axis.loglog(sides, values, "o-", label=name)
                if name == "ours" and len(sides) > 1:
                    factor = (values @ sides**2) / (sides**2 @ sides**2.0)
                    axis.loglog(
                        sides,
                        factor * sides**2,
                        ":",
                        color=line.get_color(),
                        label="ours: linear in pixels",
                    )
            axis.grid(alpha=0.3)
            axis.set_xticks(all_sides, map(str, all_sides))
            axis.minorticks_off()
            if row == 0:
                axis.set_title(f"window {window}")
            else:
                axis.set_xlabel("image side, px")
    axes[0, 0].set_ylabel("forward and backward, s")
    axes[1, 0].set_ylabel("memory, GiB")
    axes[0, 0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)
