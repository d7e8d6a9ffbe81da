"""Other implementations of Swin V2 that ours is compared with.

transformers and mmpretrain stand apart from the environment, in ``peers/`` of it: with
both in one place the import of mmpretrain fails, and with it that of mmdet.
``make install`` puts them there.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mmdet.models  # noqa: F401  before either is seen, or it would import them

FOLDER = Path(sys.prefix) / "peers"


@contextmanager
def visible(name: str) -> Iterator[None]:
    """Let ``import`` find an implementation: 'transformers' or 'mmpretrain'.

    Raises:
        FileNotFoundError: If it is not installed.
    """
    folder = FOLDER / name
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} does not exist; 'make install' puts {name} there, or "
            f"pip install --no-deps --target {folder} -r requirements/peers/{name}.txt"
        )
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
