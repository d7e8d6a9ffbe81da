"""transformers, which may stand apart from the environment, in ``peers/`` of it.

``make install`` puts it there: where it can be imported, MMDetection imports it, which
takes seconds. An environment that holds it needs no folder.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(sys.prefix) / "peers" / "transformers"


@contextmanager
def transformers_visible() -> Iterator[None]:
    """Let ``import`` find transformers.

    Raises:
        FileNotFoundError: If it is installed neither here nor in its folder.
    """
    if not FOLDER.is_dir():
        if find_spec("transformers"):
            yield
            return
        raise FileNotFoundError(
            f"transformers is not installed and {FOLDER} does not exist; 'make "
            "install' makes it, or pip install --no-deps --target "
            f"{FOLDER} -r requirements/transformers.txt"
        )
    sys.path.append(str(FOLDER))
    try:
        yield
    finally:
        sys.path.remove(str(FOLDER))
