"""What a benchmark runs on, as JSON: ``python machine.py cuda``."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "triton", "timm", "transformers", "torchvision", "numpy")


def facts(device: str) -> dict:
    """Name of the GPU or processor, and versions.

    Raises:
        RuntimeError: If there is no such device.
    """
    import torch

    found = {
        "device": device,
        "name": _processor(),
        "python": platform.python_version(),
    }
    found |= {name: _version(name) for name in PACKAGES}
    found["torch"] = torch.__version__  # with what it was built for
    if device == "cpu":
        return found | {"threads": torch.get_num_threads()}
    if not torch.cuda.is_available():
        raise RuntimeError(
            f"torch {torch.__version__} finds no GPU here; '--device cpu --smoke' goes "
            "through all sections without one"
        )
    gpu = torch.cuda.get_device_properties(0)
    return found | {
        "name": gpu.name,
        "capability": f"{gpu.major}.{gpu.minor}",
        "GiB": round(gpu.total_memory / 2**30, 1),
        "processors": gpu.multi_processor_count,
        "driver": _driver(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    text = Path("/proc/cpuinfo")
    line = text.exists() and re.search("model name.*: (.*)", text.read_text())
    return line[1] if line else platform.processor() or platform.machine()


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return (answer.stdout.splitlines() or ["unknown"])[0]


if __name__ == "__main__":
    try:
        print(json.dumps(facts(sys.argv[1])))
    except (ImportError, RuntimeError) as error:
        sys.exit(str(error))
