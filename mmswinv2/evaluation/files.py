"""Archives, and checksums of files."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from mmswinv2.checkpoints.whole_files import whole_file


def write_zip(path: Path, members: Mapping[str, Path | str]) -> None:
    """Writes an archive, whole or not at all.

    Args:
        path (Path): Where it is to be.
        members (Mapping[str, Path | str]): Files, or texts, by name in the archive.
    """
    with (
        whole_file(path) as part,
        zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as z,
    ):
        for name, content in members.items():
            if isinstance(content, Path):
                z.write(content, name)
            else:
                z.writestr(name, content)


def sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
