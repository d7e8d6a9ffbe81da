"""Published weights by name: ``swinv2://tiny-w8-256``."""

import difflib
import os
from pathlib import Path

from .download import Copy, cache_folder, load
from .locate import describe, locate
from .shapes import check_complete
from .urls import published_name
from .zoo_entries import ENTRIES, SCHEME, Entry

_BY_NAME = {entry.name: entry for entry in ENTRIES}
_BY_FILE = {mirror.file: entry for entry in ENTRIES for mirror in entry.mirrors}


def find_entry(name: str) -> Entry:
    """The weights of a name.

    Args:
        name (str): Such as 'swinv2://tiny-w8-256', or without the scheme.

    Raises:
        ValueError: If there are none of that name.
    """
    name = name.removeprefix(SCHEME)
    if name not in _BY_NAME:
        close = difflib.get_close_matches(name, _BY_NAME, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(SCHEME + n for n in close)}? " * bool(close)
        raise ValueError(
            f"no published weights are called {SCHEME}{name}; {hint}"
            "'python tools/weights.py list' shows all names"
        )
    return _BY_NAME[name]


def entry_of_file(file: str | os.PathLike[str]) -> Entry | None:
    """The weights that a file has by its name, or None.

    Args:
        file (str | PathLike): A path, a name or a URL. A file that was renamed is not
            known.
    """
    return _BY_FILE.get(published_name(os.fspath(file)))


def find_cached(entry: Entry) -> Path | None:
    """The file of the first mirror whose file is in the cache, or None."""
    files = (cache_folder() / mirror.file for mirror in entry.mirrors)
    return next((file for file in files if file.is_file()), None)


def fetch(entry: Entry | str) -> Path:
    """The file of published weights in the cache, as :func:`read` finds it."""
    return read(entry)[0]


def read(entry: Entry | str) -> tuple[Path, dict]:
    """Published weights, from the cache or else from a mirror.

    Mirrors are tried in order. In a distributed run local rank 0 fetches, and all
    ranks have to call this.

    Args:
        entry (Entry | str): The weights or their name.

    Returns:
        tuple[Path, dict]: The file in :func:`cache_folder` and its content.

    Raises:
        ValueError: If the name is unknown or no mirror has them; the message says which
            file to put where.
        RuntimeError: If the cache cannot be read or written.
    """
    if isinstance(entry, str):
        entry = find_entry(entry)

    def check(checkpoint: dict) -> None:
        _check_entry(checkpoint, entry)

    folder = cache_folder()
    copies = [
        Copy(mirror.address, folder / mirror.file, mirror.sha256_prefix, check)
        for mirror in entry.mirrors
    ]
    return load(SCHEME + entry.name, copies)


def _check_entry(checkpoint: dict, entry: Entry) -> None:
    """Raise ValueError unless a file has all tensors that its name promises."""
    try:
        location = locate(checkpoint)
        if location is None:
            raise RuntimeError(describe(checkpoint))
        weights = location.read()
        check_complete(weights)
        found, expected = weights.architecture, entry.architecture
        if (found.embed_dims, found.depths) != (expected.embed_dims, expected.depths):
            raise RuntimeError(f"it has {found}, expected {expected}")
    except RuntimeError as error:
        raise ValueError(f"is not '{SCHEME}{entry.name}': {error}") from error
