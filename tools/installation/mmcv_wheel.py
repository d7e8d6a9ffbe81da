"""mmcv with its compiled operators: built once, kept in the user's cache folder."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .checks import InstallError, check_compiler, check_nvcc, python_version
from .environment import Venv, say

JOB_MEMORY = 2 * 2**30  # bytes that one compiler process may need

PROBE = """
import json, torch
gpu = torch.cuda.is_available()
arch = '.'.join(map(str, torch.cuda.get_device_capability())) if gpu else ''
print(json.dumps([torch.__version__, torch.version.cuda, arch]))
"""


class Torch(NamedTuple):
    """The torch of an environment.

    Attributes:
        version (str): Version with its local part, such as '2.13.0+cpu'.
        cuda (str | None): CUDA version that it was built for; None for the CPU.
        arch (str): Compute capability of the first GPU, such as '9.0'; '' without.
    """

    version: str
    cuda: str | None
    arch: str

    def cuda_ops(self, env: Mapping[str, str] = os.environ) -> str:
        """Return what mmcv compiles its CUDA operators for; '' where it does not.

        This is mmcv's own rule: where torch sees a GPU, and with FORCE_CUDA=1.
        """
        if not self.cuda or not (self.arch or env.get("FORCE_CUDA") == "1"):
            return ""
        return f"cuda{self.cuda}-sm{env.get('TORCH_CUDA_ARCH_LIST') or self.arch}"


def probe_torch(venv: Venv) -> Torch:
    """Ask the torch of an environment what it is.

    Raises:
        InstallError: If it cannot be imported.
    """
    command = [str(venv.python), "-c", PROBE]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InstallError(
            f"the torch in {venv.path} cannot be imported: remove that folder and run "
            "it again.",
            output=done.stderr,
        )
    return Torch(*json.loads(done.stdout.splitlines()[-1]))


def wheels_folder() -> Path:
    """Return where wheels are kept, by the XDG rules."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "mmswinv2" / "wheels"


def wheel_key(mmcv: str, torch: Torch) -> str:
    """Return the folder name of a wheel: all that its operators depend on.

    Args:
        mmcv (str): Its requirement, such as 'onedl-mmcv==2.3.6'.
        torch (Torch): The torch that it is compiled against.
    """
    parts = [
        mmcv.replace("==", "-"),
        f"torch-{torch.version}",
        f"cp{python_version().replace('.', '')}",
        torch.cuda_ops() or "cpu",
        platform.machine(),
    ]
    return re.sub(r"[^\w.+-]", "-", "_".join(parts))


def find_wheel(key: str) -> Path | None:
    """Return the kept wheel of a key, None where there is none."""
    return next((wheels_folder() / key).glob("*.whl"), None)


def build_wheel(venv: Venv, mmcv: str, torch: Torch) -> Path:
    """Compile mmcv against the environment's torch and keep the wheel.

    The wheel appears in the cache by one rename, when it is whole.

    Raises:
        InstallError: If something is missing for it, or the build fails.
    """
    check_compiler()
    if torch.cuda_ops():
        check_nvcc(torch.cuda)
        say("      CUDA operators take longer than the CPU's 8 to 11 minutes.")
    target = wheels_folder() / wheel_key(mmcv, torch)
    target.mkdir(parents=True, exist_ok=True)
    # Not through pip's own cache: its wheels do not know the torch they are for.
    options = "wheel -v --no-build-isolation --no-deps --no-cache-dir --wheel-dir"
    with tempfile.TemporaryDirectory(prefix="build-", dir=target) as scratch:
        venv.pip(
            *options.split(),
            scratch,
            mmcv,
            TMPDIR=scratch,
            MMCV_WITH_OPS="1",
            MAX_JOBS=os.environ.get("MAX_JOBS") or str(compile_jobs()),
        )
        (wheel,) = Path(scratch).glob("*.whl")
        if wheel.name.endswith("-none-any.whl"):
            raise InstallError(
                f"{wheel.name} was built without operators; see {venv.log}."
            )
        return wheel.rename(target / wheel.name)


def compile_jobs() -> int:
    """Return how many compilers fit into this machine's cores and memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), memory // JOB_MEMORY))
