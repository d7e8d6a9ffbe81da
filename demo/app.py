"""A page in the browser: what a model finds in photos, and what its windows do.

Examples:
    >>> python demo/app.py
    >>> python demo/app.py CONFIG WEIGHTS --port 8000
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from mmswinv2.cli import console
from mmswinv2.cli.launch import explain
from mmswinv2.large_images import check_tile
from mmswinv2.page.choices import Choice, find_choices


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description="Show in the browser what a model finds in photos.",
    )
    parser.add_argument(
        "config",
        nargs="?",
        help="a config file, or the name of one in configs/ (default: choose among the "
        "runs in --work-dirs)",
    )
    parser.add_argument(
        "weights", nargs="?", help="trained weights: a file, URL or name"
    )
    parser.add_argument(
        "--work-dirs",
        default="work_dirs",
        metavar="DIR",
        help="folder of runs to choose from (default: work_dirs)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; 0.0.0.0 opens the page to the network (default: "
        "127.0.0.1, this machine only)",
    )
    parser.add_argument(
        "--port", type=int, help="default: the first free one from 7860 on"
    )
    parser.add_argument("--device", help="default: a GPU where there is one")
    parser.add_argument(
        "--tile",
        default="auto",
        metavar="PX",
        help="side of the tiles that large pictures are cut into; 'auto': of those "
        "that the model would see too little of, or memory be too small for (default: "
        "auto)",
    )
    parser.add_argument(
        "--score-thr",
        type=float,
        default=0.3,
        help="detections below this score are hidden at first (default: 0.3)",
    )
    return parser.parse_args()


def start(args: argparse.Namespace) -> str:
    """Starts the page in threads of its own, and gives its address.

    Raises:
        RuntimeError: gradio is missing, or the port is taken.
        FileNotFoundError, ValueError, RuntimeError: The given model cannot be loaded.
    """
    try:
        from mmswinv2.page.server import build_page, serve
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise RuntimeError(
            "the page needs gradio; install the extra 'demo': pip install -e '.[demo]'"
        ) from error
    from mmswinv2.page.models import Models

    tile = int(args.tile) if args.tile.isdecimal() else args.tile
    check_tile(tile)
    options = dict(device=args.device, tile=tile)
    if args.config:
        given = Choice(Path(args.config).stem, args.config, args.weights)
        models = Models(lambda: [given], **options)
        models.get(given.name)  # what is wrong with it is told here
    else:
        models = Models(lambda: find_choices(args.work_dirs), **options)
    page = build_page(models, root=args.work_dirs, score=args.score_thr)
    return serve(page, args.host, args.port)


def main() -> int:
    """Serves until it is stopped, and returns the exit code."""
    args = parse_args()
    console.hide_noise()
    # by a service manager, too, so that uploads go
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with tempfile.TemporaryDirectory(prefix="mmswinv2-page-") as uploads:
        os.environ.setdefault("GRADIO_TEMP_DIR", uploads)  # read when it is imported
        try:
            print(f"open {start(args)} (Ctrl-C stops)", flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")
        except Exception as error:
            if os.environ.get("MMSWINV2_TRACEBACK") == "1":
                raise
            print(f"error: {explain(error)}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
