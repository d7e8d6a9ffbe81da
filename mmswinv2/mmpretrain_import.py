"""mmpretrain, imported so that it works beside any transformers.

Its multimodal models break the whole package where transformers is 5 or newer, and with
it MMDetection and MMSegmentation, which import it where it is installed. Nothing here
needs these models.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

REQUIREMENT = "onedl-mmpretrain>=1.3.6"


def import_mmpretrain() -> None:
    """Imports mmpretrain with its models; a second call costs nothing.

    Raises:
        RuntimeError: It is missing or its import fails. No ImportError: the
            ``custom_imports`` of a config would hide the reason.
    """
    try:
        with _without_multimodal():
            import mmpretrain.models  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] == "mmpretrain":
            raise RuntimeError(
                "classification, SimMIM and video need mmpretrain, which is not "
                f"installed: run pip install '{REQUIREMENT}'"
            ) from error
        raise _failure(error) from error
    except Exception as error:  # asserts its versions, and registers what it can
        raise _failure(error) from error


def protect_hosts() -> None:
    """Imports mmpretrain first where the hosts' own imports of it would fail."""
    if _has_new_transformers() and is_installed("mmpretrain"):
        import_mmpretrain()


def _failure(error: Exception) -> RuntimeError:
    reason = f"{type(error).__name__}: {error}".strip().splitlines()[0].rstrip(".")
    return RuntimeError(
        "classification, SimMIM and video need mmpretrain, whose import fails "
        f"({reason}): run pip install --upgrade '{REQUIREMENT}', or install what it "
        "names"
    )


def is_installed(name: str) -> bool:
    """Whether a package can be found, without importing it."""
    try:
        return find_spec(name) is not None
    except ValueError:  # blocked in sys.modules
        return False


def _has_new_transformers() -> bool:
    try:
        version = importlib.metadata.version("transformers")
    except importlib.metadata.PackageNotFoundError:
        return False
    return int(version.partition(".")[0]) >= 5


class _OldTransformers(importlib.metadata.Distribution):
    """Metadata of a transformers too old for mmpretrain's multimodal models."""

    def read_text(self, filename: str) -> str | None:
        return "Name: transformers\nVersion: 0\n" if filename == "METADATA" else None

    def locate_file(self, path: str | os.PathLike[str]) -> Path:
        return Path(path)


class _Finder:
    """Answers for transformers alone, before the finders of installed packages."""

    @staticmethod
    def find_spec(*_: Any) -> None:
        return None

    @staticmethod
    def find_distributions(
        context: importlib.metadata.DistributionFinder.Context,
    ) -> list[importlib.metadata.Distribution]:
        return [_OldTransformers()] if context.name == "transformers" else []


@contextmanager
def _without_multimodal() -> Iterator[None]:
    """Lets mmpretrain put placeholders where it would import transformers 5.

    It decides by the metadata; transformers itself stays importable.
    """
    if not _has_new_transformers():
        yield
        return
    sys.meta_path.insert(0, _Finder)
    try:
        yield
    finally:
        sys.meta_path.remove(_Finder)
