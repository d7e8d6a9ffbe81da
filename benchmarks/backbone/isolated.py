"""Projects that may stand apart from the environment, in ``peers/`` of it.

transformers and mmpretrain cannot be in one place: the import of mmpretrain would fail,
and with it that of mmdet. ``make install`` puts each into a folder of its own; an
environment that holds just one of them needs no folder.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(sys.prefix) / "peers"


@contextmanager
def visible(name: str) -> Iterator[None]:
    """Let ``import`` find an implementation: 'transformers' or 'mmpretrain'.

    Raises:
        FileNotFoundError: If it is installed neither here nor in a folder of its own.
    """
    folder = FOLDER / name
    if not folder.is_dir():
        if find_spec(name):
            yield
            return
        raise FileNotFoundError(
            f"{name} is not installed and {folder} does not exist; 'make install' puts "
            f"{name} there, or pip install --no-deps --target {folder} -r "
            f"requirements/peers/{name}.txt"
        )
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
