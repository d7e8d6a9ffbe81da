"""Published weights by name: ``swinv2://tiny-w8-256``."""

import difflib
import os
from pathlib import Path

from .download import TransferError, once_per_machine, retrieve
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
    return _BY_FILE.get(Path(file).name.partition("?")[0])


def cache_folder() -> Path:
    """Where downloads are kept; ``MMSWINV2_HOME`` moves it."""
    home = os.environ.get("MMSWINV2_HOME")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home or Path(base) / "mmswinv2").expanduser().absolute() / "weights"


def find_cached(entry: Entry) -> Path | None:
    """The file of the first mirror whose file is in the cache, or None."""
    files = (cache_folder() / mirror.file for mirror in entry.mirrors)
    return next((file for file in files if file.is_file()), None)


def fetch(entry: Entry | str) -> Path:
    """A file of published weights, from the cache or else from a mirror.

    Mirrors are tried in order. In a distributed run local rank 0 fetches, and all
    ranks have to call this.

    Args:
        entry (Entry | str): The weights or their name.

    Returns:
        Path: The file in :func:`cache_folder`.

    Raises:
        ValueError: If the name is unknown or no mirror could be reached; the message
            says which file to put where.
    """
    if isinstance(entry, str):
        entry = find_entry(entry)
    once_per_machine(lambda: _fill_cache(entry))
    file = find_cached(entry)
    if file is None:
        raise ValueError(
            f"{SCHEME}{entry.name} is not in {cache_folder()}: local rank 0 could not "
            "fetch it, see its message"
        )
    return file


def _fill_cache(entry: Entry) -> None:
    """Bring one file of an entry into the cache.

    Raises:
        ValueError: If no mirror gave one.
    """
    if find_cached(entry):
        return
    failures = []
    for mirror in entry.mirrors:
        file = cache_folder() / mirror.file
        try:
            retrieve(mirror.address, file, sha256_prefix=mirror.sha256_prefix)
            return
        except TransferError as error:
            failures.append(f"\n  {mirror.address} as {mirror.file} ({error.reason})")
    raise ValueError(
        f"{SCHEME}{entry.name} could not be fetched; fetch one of these elsewhere and "
        f"put it into {cache_folder()} (MMSWINV2_HOME moves that):" + ",".join(failures)
    )
