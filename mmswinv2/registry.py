"""Registries of this package, children of mmengine's roots.

A type written ``mmswinv2.SwinTransformerV2`` or
``mmswinv2.WindowResolutionTransferHook`` resolves under any default scope, with no
import statement: mmengine imports this file and then the ``locations``.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

MODELS = Registry(
    "model", parent=MMENGINE_MODELS, scope="mmswinv2", locations=["mmswinv2.models"]
)
DATASETS = Registry("dataset", parent=MMENGINE_DATASETS, scope="mmswinv2")
HOOKS = Registry(
    "hook", parent=MMENGINE_HOOKS, scope="mmswinv2", locations=["mmswinv2.engine"]
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    "optimizer wrapper constructor",
    parent=MMENGINE_CONSTRUCTORS,
    scope="mmswinv2",
    locations=["mmswinv2.engine"],
)
OPTIM_WRAPPERS = Registry(
    "optim_wrapper",
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope="mmswinv2",
    locations=["mmswinv2.engine"],
)
STRATEGIES = Registry(
    "strategy",
    parent=MMENGINE_STRATEGIES,
    scope="mmswinv2",
    locations=["mmswinv2.engine"],
)
TRANSFORMS = Registry(
    "transform",
    parent=MMENGINE_TRANSFORMS,
    scope="mmswinv2",
    locations=["mmswinv2.datasets.instaboost"],
)
METRICS = Registry(
    "metric",
    parent=MMENGINE_METRICS,
    scope="mmswinv2",
    locations=["mmswinv2.evaluation.coco_metric"],
)
