"""Other implementations of Swin V2 that ours is compared with.

transformers and mmpretrain stand apart from the environment, in ``peers/`` of it: see
``benchmarks/backbone/isolated.py``, whose ``visible`` lets ``import`` find them.
"""

import mmdet.models  # noqa: F401  before either is seen, or it would import them
from tiny import load_script

visible = load_script("benchmarks/backbone/isolated.py").visible
