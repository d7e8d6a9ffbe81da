"""Where demos and converters put what they make."""

from __future__ import annotations

import tempfile
from itertools import count
from pathlib import Path


def free_path(out_dir: Path, source: str, *suffixes: str) -> Path:
    """A name for what is drawn of a file, under which the folder has nothing.

    Args:
        out_dir (Path): The folder.
        source (str): The file.
        *suffixes (str): Of all that is written under the name.

    Returns:
        Path: With the first suffix.
    """
    stem = Path(source).stem
    names = (f"{stem}_{number}" if number > 1 else stem for number in count(1))
    free = next(
        name
        for name in names
        if not any((out_dir / f"{name}{suffix}").exists() for suffix in suffixes)
    )
    return out_dir / f"{free}{suffixes[0]}"


def make_folder(out_dir: Path, option: str = "--out-dir") -> None:
    """Make a folder that files can be written to.

    Args:
        out_dir (Path): The folder.
        option (str): That it is given by. Defaults to '--out-dir'.

    Raises:
        ValueError: That is not possible there.
    """
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out_dir):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(
            f"{option} {out_dir} is no folder that can be written to ({reason}); name "
            "another"
        ) from error
