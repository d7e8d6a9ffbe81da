#!/usr/bin/env python3
"""Install mmswinv2 and one of its two stacks into a virtual environment.

Needs only the standard library. A second run finds the stamp of the first and
returns at once. mmcv's operators are compiled once per mmcv, torch, Python and CUDA
version, and kept in the user's cache folder.

pip works with the user's own settings: to take torch from another index (one with
CPU builds, say), set PIP_INDEX_URL, PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import signal
import sys
import time
from pathlib import Path

from installation.checks import (
    InstallError,
    check_compiler,
    check_disk,
    check_python,
    has_gpu,
    python_version,
)
from installation.environment import Venv, duration, say
from installation.mmcv_wheel import (
    build_wheel,
    find_wheel,
    probe_torch,
    wheel_key,
    wheels_folder,
)
from installation.repairs import mend_torchvision, use_headless_opencv

ROOT = Path(__file__).resolve().parent.parent
VENVS = {"onedl": ".venv", "openmmlab": ".venv-openmmlab"}
# The setup.py of mmcv 2.1.0 fails on Python 3.13, where exec() fills no locals().
NEWEST_PYTHON = {"onedl": (3, 13), "openmmlab": (3, 12)}
EXTRAS = ("video", "demo", "export", "tests", "docs")  # that every environment gets
DEFAULT_TORCH = "2.13.0"
DISK_GB, DISK_GB_CUDA = 5, 20  # at the peak of an installation
BUILD_TOOLS = ["setuptools<81", "wheel", "ninja", "numpy", "packaging", "psutil"]


def parse_torch(text: str) -> str:
    """Return the version of torch that is asked for, '' where none is.

    Args:
        text (str): '', '2.11.0', '2.11.0+cpu' or 'torch==2.11.0'.

    Raises:
        InstallError: If it is none of these.
    """
    version = text.strip().removeprefix("torch==")
    if version and not re.fullmatch(r"\d+\.\d+\.\d+[\w.]*(\+[\w.]+)?", version):
        raise InstallError(f"TORCH={text}: expected a version, such as TORCH=2.11.0.")
    return version


def read_pins(name: str) -> list[str]:
    """Return the packages of ``requirements/``, at the versions that it names."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return re.findall(r"^[\w-]+==[\w.]+", text.replace(">=", "=="), re.MULTILINE)


def mmcv_pin(stack: str) -> str:
    """Return the pin of a stack's mmcv, such as 'mmcv==2.1.0'."""
    return next(pin for pin in read_pins(stack) if re.match(r"(\w+-)?mmcv==", pin))


def fingerprint(stack: str) -> str:
    """Return a hash of all that decides what an installation holds."""
    names = ("runtime", stack, *EXTRAS, "pretrain", "transformers")
    files = [ROOT / f"requirements/{name}.txt" for name in names]
    files += [ROOT / "setup.py", ROOT / "pyproject.toml", ROOT / "tools/install.py"]
    files += sorted((ROOT / "tools/installation").glob("*.py"))
    parts = [str(ROOT), stack, python_version(), *(file.read_text() for file in files)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_fresh(venv: Venv, stack: str, torch: str) -> bool:
    """Return whether the environment holds what is asked for, and is whole."""
    stamp = venv.read_stamp()
    return (
        stamp.get("fingerprint") == fingerprint(stack)
        and stamp["torch"] == venv.version("torch")
        and torch in ("", stamp["torch"], stamp["torch"].partition("+")[0])
    )


def install(venv: Venv, stack: str, torch: str) -> None:
    """Install step by step; each step leaves alone what is there already.

    Args:
        venv (Venv): Where to install.
        stack (str): 'onedl' or 'openmmlab'.
        torch (str): Version of torch, '' for what is there or the default.
    """
    mmcv = mmcv_pin(stack)
    say(f"Installing mmswinv2 with the stack '{stack}' into {venv.path}")
    say("[1/6] Checking compiler, disk and network")
    check_machine(venv, stack)
    old_key = venv.read_stamp().get("mmcv")
    venv.stamp.unlink(missing_ok=True)

    say("[2/6] Installing pip and build tools")
    venv.pip("install", "--upgrade", "pip", *BUILD_TOOLS)

    if torch or not venv.version("torch"):
        say(f"[3/6] Installing torch {torch or DEFAULT_TORCH}")
        venv.pip("install", f"torch=={torch or DEFAULT_TORCH}")
    else:
        say(f"[3/6] Keeping torch {venv.version('torch')}")

    probed = probe_torch(venv)
    key = wheel_key(mmcv, probed)
    if key == old_key and venv.version(mmcv.partition("==")[0]):
        say(f"[4/6] Keeping {mmcv}")
    else:
        wheel = find_wheel(key)
        if wheel is None:
            say(f"[4/6] Compiling {mmcv}: 8 to 11 minutes on two cores, and only once")
            wheel = build_wheel(venv, mmcv, probed)
        say(f"[4/6] Installing {wheel}")
        venv.pip("install", "--force-reinstall", "--no-deps", str(wheel))

    say("[5/6] Installing the stack, mmswinv2 and its tests' requirements")
    constraints = venv.path / "install-constraints.txt"
    pins = [*read_pins(stack), *read_pins("pretrain")]
    lines = [f"torch=={probed.version}", BUILD_TOOLS[0], *pins]
    constraints.write_text("\n".join(lines))
    options = ["install", "--no-build-isolation", "--constraint", str(constraints)]
    venv.pip(*options, "--editable", f"{ROOT}[{','.join((stack, *EXTRAS))}]")
    # Apart from the rest: see benchmarks/backbone/isolated.py.
    options = ["--no-deps", "--upgrade", "--target", f"{venv.path}/peers/transformers"]
    venv.pip("install", *options, "-r", f"{ROOT}/requirements/transformers.txt")
    use_headless_opencv(venv)
    mend_torchvision(venv)

    say("[6/6] Checking mmcv's operators and that all packages import")
    try:
        venv.run(str(ROOT / "tools/installation/verify.py"))
    except InstallError as error:
        raise InstallError(
            f"{error} If mmcv is what fails, remove {wheels_folder() / key} to have it "
            "compiled anew.",
            output=error.output,
        ) from error
    venv.write_stamp(fingerprint=fingerprint(stack), torch=probed.version, mmcv=key)


def check_machine(venv: Venv, stack: str) -> None:
    """Check what the installation needs, and make the environment.

    Raises:
        InstallError: If something is missing, or the environment cannot be used.
    """
    for other in VENVS.keys() - {stack}:
        if venv.version(mmcv_pin(other).partition("==")[0]):
            raise InstallError(
                f"{venv.path} holds the stack '{other}', which shares its import names "
                f"with '{stack}': name another folder with VENV=..."
            )
    if not venv.version("torch"):
        gpu = has_gpu()
        check_disk(venv.path, DISK_GB_CUDA if gpu else DISK_GB)
        if not gpu:
            say("      No NVIDIA GPU: a CPU build of torch (see --help) is smaller.")
    if not any(wheels_folder().glob(f"{mmcv_pin(stack).replace('==', '-')}_*/*.whl")):
        check_compiler()
    venv.create()
    venv.check_network()


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stack", default="onedl", help="onedl (default) or openmmlab")
    parser.add_argument(
        "--torch",
        default="",
        help=f"version of torch, such as 2.11.0 (default: the one in the environment, "
        f"or {DEFAULT_TORCH})",
    )
    parser.add_argument(
        "--venv", help=f"environment (default: {' or '.join(VENVS.values())})"
    )
    args = parser.parse_args()
    start = time.monotonic()
    try:
        if args.stack not in VENVS:
            raise InstallError(
                f"STACK={args.stack}: expected one of {', '.join(VENVS)}."
            )
        check_python(NEWEST_PYTHON[args.stack])
        torch = parse_torch(args.torch)
        venv = Venv(Path(args.venv or ROOT / VENVS[args.stack]).resolve())
        if is_fresh(venv, args.stack, torch):
            say(f"{venv.path} is up to date.")
            return 0
        install(venv, args.stack, torch)
    except (InstallError, OSError) as error:
        if output := getattr(error, "output", ""):
            print(output, file=sys.stderr)
        print(f"Installation failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command carries on from here.", file=sys.stderr)
        return 130
    say(f"Installed in {duration(time.monotonic() - start)}.")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidy up as for Ctrl-C
    sys.exit(main())
