"""Lists, shows, fetches and inspects weights of Swin V2.

Examples:
    >>> python tools/weights.py list                  # of SimMIM: list simmim base
    >>> python tools/weights.py show swinv2://base-w12-192-22k
    >>> python tools/weights.py fetch tiny-w8-256     # prints where it is
    >>> python tools/weights.py inspect FILE          # or a folder, URL or name
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from rich.console import Console
from rich.table import Table

from mmswinv2.architectures import ARCHITECTURES, Architecture
from mmswinv2.checkpoints import read_swin_weights
from mmswinv2.checkpoints.download import cache_folder
from mmswinv2.checkpoints.tensors import STEM, num_axes
from mmswinv2.checkpoints.urls import shown
from mmswinv2.checkpoints.windows import StageWindows, Window, short
from mmswinv2.checkpoints.zoo import (
    ENTRIES,
    SCHEME,
    Entry,
    entry_of_file,
    fetch,
    find_cached,
    find_entry,
)
from mmswinv2.cli import launch


def list_entries(words: Sequence[str]) -> None:
    """Prints a table of the weights whose names have all of these words.

    Raises:
        ValueError: If there are none.
    """
    chosen = [e for e in ENTRIES if all(word in e.name for word in words)]
    if not chosen:
        raise ValueError(f"no name has {' and '.join(words)} in it; try 'list' alone")
    hidden = [e for e in chosen if "simmim" in e.name and not words]
    columns = ("name", "params", "px", "windows", "top-1", "cached")
    shown = [e for e in chosen if e not in hidden]
    widths = {"name": max(len(e.name) for e in chosen), "windows": 11}
    console = Console(highlight=False)
    for group in dict.fromkeys(e.group for e in shown):
        table = Table(box=None, pad_edge=False, title=group, title_justify="left")
        for column in columns:
            right = column in ("params", "px", "top-1")
            table.add_column(
                column,
                justify="right" if right else "left",
                min_width=widths.get(column),
                no_wrap=True,
            )
        for entry in (e for e in shown if e.group == group):
            table.add_row(
                entry.name,
                f"{entry.params:.0f}M",
                str(entry.image_size),
                per_stage(window for window, _ in entry.windows),
                f"{entry.top1:.1f}" if entry.top1 else "-",
                "yes" if find_cached(entry) else "-",
            )
        console.print(table, "")
    if hidden:
        print(f"and {len(hidden)} of SimMIM: tools/weights.py list simmim base")
    print("top-1: percent on ImageNet-1K, as the authors publish it")
    print("SimMIM's names tell data (1kper10: 10 % of ImageNet-1K) and iterations")


def show(name: str) -> None:
    """Prints all that is known of one name, and lines for a config."""
    entry = find_entry(name)
    facts = {
        "name": SCHEME + entry.name,
        "training": f"{entry.group}; {entry.image_size} px",
        "pre-trained on": entry.data,
        "architecture": describe(entry.architecture),
        "unpublished": entry.uncertain and f"{entry.uncertain}; try 'inspect'",
        "parameters": f"{entry.params}M, {4 * entry.params:,.0f} MB in fp32",
        **describe_windows(entry.windows),
        "head": f"{entry.classes} classes" if entry.classes else "none",
        "top-1": f"{entry.top1} % on ImageNet-1K" if entry.top1 else "",
        "loss": f"{entry.loss} (reconstruction)" if entry.loss else "",
        "cached": str(find_cached(entry) or "no"),
    }
    print_facts(facts)
    print(f"\nMirrors, and their names in {cache_folder()}:")
    for mirror in entry.mirrors:
        print(f"  {mirror.host}: {shown(mirror.address)}")
        print(f"    {mirror.file}")
    print("\nIn a config:\n", *config_lines(entry), sep="\n")


def config_lines(entry: Entry) -> list[str]:
    """Lines of a config for a backbone that starts from these weights."""
    size = arch_of(entry.architecture)
    numbers = {"arch": size} if size else asdict(entry.architecture)
    own = [height for (height, _), _ in entry.windows]
    dims = [entry.architecture.embed_dims * 2**stage for stage in range(len(own))]
    return [
        "backbone=dict(",
        '    type="mmswinv2.SwinTransformerV2",',
        *(f"    {k}={v!r},".replace("'", '"') for k, v in numbers.items()),
        f"    window_size={own},  # theirs; others work too",
        "    init_cfg=dict(",
        f'        type="Pretrained", checkpoint="{SCHEME}{entry.name}"',
        "    ),",
        f"),  # channels of its outputs: {dims}",
    ]


def inspect(path: str) -> None:
    """Prints what is in a file."""
    weights = read_swin_weights(path)
    tensors = {k: v for k, v in weights.tensors.items() if not k.startswith("head.")}
    head = weights.tensors.get("head.weight")
    kinds = {str(t.dtype).removeprefix("torch.") for t in tensors.values()}
    count = sum(tensor.numel() for tensor in tensors.values())
    known = None if path.startswith(SCHEME) else entry_of_file(path)
    first = ", ".join(weights.unused[:3]) + ", ..." * (len(weights.unused) > 3)
    frames = num_axes(tensors) == 3 and tensors[STEM].shape[2]
    facts = {
        "file": shown(path),
        "is": SCHEME + known.name if known else "",
        "checksum": weights.protection,
        "layout": weights.layout,
        "architecture": describe(weights.architecture),
        "parameters": f"{count / 1e6:.1f}M, {', '.join(sorted(kinds))}",
        "video": f"tokens of {frames} frames" if frames else "",
        **describe_windows(weights.windows),
        "head": "none" if head is None else f"{len(head)} classes",
        "not used": f"{len(weights.unused)} ({first})" if weights.unused else "",
    }
    print_facts(facts)


def arch_of(architecture: Architecture) -> str | None:
    """The backbone's ``arch`` of these numbers."""
    return next((k for k, v in ARCHITECTURES.items() if v == architecture), None)


def describe(architecture: Architecture) -> str:
    """Numbers of an architecture, and its name if it has one."""
    numbers = (
        f"{architecture.embed_dims} channels, "
        f"depths {' '.join(map(str, architecture.depths))}, "
        f"heads {' '.join(map(str, architecture.num_heads))}"
    )
    if every := architecture.extra_norm_every_n_blocks:
        numbers += f", an extra norm every {every} blocks"
    size = arch_of(architecture)
    return f"{size}: {numbers}" if size else numbers


def describe_windows(windows: StageWindows | None) -> dict[str, str]:
    """Window and normaliser of all stages, by label."""
    if windows is None:
        return {"windows": "not in the file: set pretrained_window_size in the config"}
    used, normalisers = zip(*windows)
    return {
        "windows": f"{per_stage(used)} tokens per stage",
        "normalisers": f"{per_stage(normalisers)} (pretrained_window_size)",
    }


def per_stage(windows: Iterable[Window]) -> str:
    """Windows in tokens, in one word each."""
    return " ".join(map(short, windows))


def print_facts(facts: dict[str, str]) -> None:
    """Prints labels and facts, where there are any, in two columns."""
    for label, fact in facts.items():
        if fact:
            print(f"{label:<16}{fact}")


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("list", help="a table of published weights")
    command.add_argument("words", nargs="*", help="parts that a name must have")
    command = commands.add_parser("show", help="one of them, and lines for a config")
    command.add_argument("name", help="such as swinv2://tiny-w8-256")
    command = commands.add_parser("fetch", help="downloads it and prints where it is")
    command.add_argument("name", help="such as swinv2://tiny-w8-256")
    command = commands.add_parser("inspect", help="what is in a file of weights")
    command.add_argument("path", help="a file, a folder, a URL or a name")
    return parser.parse_args()


def main() -> None:
    """Runs one of the commands."""
    with launch.Preparation():
        args = parse_args()
        if args.command == "list":
            list_entries(args.words)
        elif args.command == "show":
            show(args.name)
        elif args.command == "fetch":
            print(fetch(args.name))
        else:
            inspect(args.path)


if __name__ == "__main__":
    main()
