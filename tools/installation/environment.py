"""A virtual environment, and commands run in it with a log and signs of life."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

from .checks import InstallError, python_version

HEARTBEAT = 20  # seconds between two signs of life
LOG_TAIL = 15  # lines of a failed command's output that are shown

# What a failed command's output says -> what to do about it.
ADVICE = {
    r"No space left on device": "Free some disk space and run it again.",
    r"name resolution|Max retries|timed out|Could not fetch URL|Connection refused": (
        "Check the network and pip's index settings (pip config list) and run it again."
    ),
    r"Python\.h: No such file": "Run 'sudo apt-get install python3-dev'.",
    r"Killed signal|[Cc]annot allocate memory": (
        "The memory ran out: run it again with MAX_JOBS=1."
    ),
    r"No matching distribution|ResolutionImpossible": (
        "pip found no version that fits: try another PYTHON or TORCH."
    ),
}


class Venv:
    """A virtual environment of the running Python.

    Args:
        path (Path): Its folder, which need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.python = path / "bin" / "python"
        self.log = path / "install.log"
        self.stamp = path / "install-stamp.json"
        lib = path / "lib" / f"python{python_version()}"
        self.site_packages = lib / "site-packages"

    def create(self) -> None:
        """Make the environment; leaves a sound one as it is.

        Raises:
            InstallError: If the folder is something else, or of another Python.
        """
        config = self.path / "pyvenv.cfg"
        if config.exists():
            version = re.search(r"^version\S* = (\d+\.\d+)", config.read_text(), re.M)
            if version and version[1] != python_version():
                raise InstallError(
                    f"{self.path} was made with Python {version[1]} and this is Python "
                    f"{python_version()}: remove it, or name another with VENV=..."
                )
            if self.python.exists() and self.version("pip"):
                return
        elif self.path.exists() and any(self.path.iterdir()):
            raise InstallError(
                f"{self.path} is no virtual environment and not empty: name another "
                "folder with VENV=..."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        run_logged([sys.executable, "-m", "venv", str(self.path)], self.log)

    def version(self, name: str) -> str | None:
        """Return the version of an installed distribution, None where missing."""
        found = distributions(name=name, path=[str(self.site_packages)])
        return next((dist.version for dist in found), None)

    def run(self, *arguments: str, **variables: str) -> None:
        """Run its Python, with more environment variables, into the log."""
        env = {**os.environ, **variables}
        env["PATH"] = f"{self.python.parent}{os.pathsep}{env['PATH']}"  # for ninja
        run_logged([str(self.python), *arguments], self.log, env)

    def pip(self, *arguments: str, **variables: str) -> None:
        """Run its pip, with more environment variables, into the log."""
        self.run("-m", "pip", *arguments, **variables)

    def check_network(self) -> None:
        """Raise unless pip can download a small package."""
        options = "download --no-deps --no-cache-dir --retries 0 --timeout 20 --dest"
        try:
            with tempfile.TemporaryDirectory() as folder:
                self.pip(*options.split(), folder, "wheel")
        except InstallError as error:
            raise InstallError(
                "pip cannot download packages: check the network, the proxy "
                "(HTTPS_PROXY) and pip's index settings (pip config list); what pip "
                f"said is in {self.log}."
            ) from error

    def read_stamp(self) -> dict[str, str]:
        """Return what :meth:`write_stamp` wrote; {} after a broken installation."""
        try:
            return json.loads(self.stamp.read_text())
        except (OSError, ValueError):
            return {}

    def write_stamp(self, **facts: str) -> None:
        """Note that the installation is complete, and what it holds."""
        self.stamp.write_text(json.dumps(facts, indent=2))


def run_logged(
    command: list[str], log: Path, env: Mapping[str, str] | None = None
) -> None:
    """Run a command, its output going to the end of a log, with signs of life.

    Raises:
        InstallError: If the command fails; holds the end of its output.
    """
    start = time.monotonic()
    with log.open("ab") as out:
        offset = out.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=env,
            start_new_session=True,
        )
        try:
            while (code := wait(process)) is None:
                counts = re.findall(r"^ *\[(\d+/\d+)\]", read_from(log, offset), re.M)
                files = f", {counts[-1]} files compiled" if counts else ""
                say(f"      ... {duration(time.monotonic() - start)}{files}")
        finally:
            if process.poll() is None:  # interrupted: stop the compilers, too
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
    if code:
        raise explain(command, code, log, read_from(log, offset))


def wait(process: subprocess.Popen) -> int | None:
    """Wait for one heartbeat; return the exit code, None while it still runs."""
    try:
        return process.wait(timeout=HEARTBEAT)
    except subprocess.TimeoutExpired:
        return None


def explain(command: list[str], code: int, log: Path, output: str) -> InstallError:
    """Return the error of a failed command: what it said and what to do about it."""
    advice = [text for said, text in ADVICE.items() if re.search(said, output)]
    advice.append("Mend what it names and run it again.")
    how = f"failed with exit code {code}"
    if code < 0:
        how = f"was ended by {signal.Signals(-code).name}"
        advice.insert(0, "If nobody did that, the memory ran out: set MAX_JOBS=1.")
    return InstallError(
        f"'{' '.join(command[1:4])}' {how} (all output: {log}). {advice[0]}",
        output="\n".join(output.splitlines()[-LOG_TAIL:]),
    )


def read_from(file: Path, offset: int) -> str:
    """Return the text of a file from a byte on."""
    return file.read_bytes()[offset:].decode(errors="replace")


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def duration(seconds: float) -> str:
    """Return a duration as people say it."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
