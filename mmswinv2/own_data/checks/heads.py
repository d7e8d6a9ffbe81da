"""Whether the parts of a config fit each other, and the number of classes of the data.

Types may be names or, in mmengine's pure-Python configs, classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

from mmengine.registry import MODELS, DefaultScope

from mmswinv2.architectures import resolve_architecture
from mmswinv2.models.blocks import PATCH_SIZE

from .findings import Finding

# Arguments of Swin V1's backbone in mmdet and mmseg that Swin V2's does not have.
ONLY_V1 = (
    "pretrain_img_size",
    "patch_size",
    "strides",
    "qk_scale",
    "use_abs_pos_embed",
    "act_cfg",
    "norm_cfg",
    "pretrained",
    "convert_weights",
)
# These tell something else apart than the classes of the data.
OTHER_CLASSES = ("rpn_head", "semantic_head", "backbone", "neck")
# Classes of this package, of whose names mmpretrain has others.
NAMESAKES = ("SwinTransformerV2", "SimMIMHead")
BACKBONES = ("SwinTransformerV2", "SimMIMSwinV2", "VideoSwinTransformerV2")
POOLED = {  # heads with a branch that pools the whole map to one pixel
    "ASPPHead",
    "DepthwiseSeparableASPPHead",
    "LRASPPHead",
    "EncHead",
}


def kind_of(part: Mapping) -> str:
    """The type of a part of a config as a name without scope."""
    kind = part.get("type", "")
    return (kind if isinstance(kind, str) else kind.__name__).rpartition(".")[-1]


def parts(node: object, path: str = "") -> Iterator[tuple[str, Mapping]]:
    """All dicts within a part of a config, by their keys joined with dots."""
    if isinstance(node, Mapping):
        yield path, node
    pairs = node.items() if isinstance(node, Mapping) else ()
    if isinstance(node, (list, tuple)):
        pairs = enumerate(node)
    for name, child in pairs:
        yield from parts(child, f"{path}.{name}" if path else str(name))


def check_backbone(model: Mapping, scope: str) -> Iterator[Finding]:
    """Arguments of Swin V1 that were left in the backbone, and other Swins V2."""
    for path, part in parts(model):
        if scope == "mmpretrain" and part.get("type") in NAMESAKES:
            what = f"{part['type']!r} is mmpretrain's class of this name, another one"
            cure = f"write 'mmswinv2.{part['type']}'"
            where = ".".join(filter(None, ("model", path, "type")))
            yield Finding("error", where, what, cure)
    backbone = model.get("backbone") or {}
    left = [name for name in ONLY_V1 if name in backbone]
    if kind_of(backbone) == "SwinTransformerV2" and left:
        what = f"has Swin V1's {', '.join(left)}, which Swin V2 does not know"
        cure = (
            "write _delete_=True into the backbone's dict, so that nothing of the V1 "
            "config is left in it"
        )
        yield Finding("error", "model.backbone", what, cure)


def check_last_map(model: Mapping) -> Iterator[Finding]:
    """What reads a single map of Swin V2, and was made for another one.

    In SimMIM that is the decoder, in Feature Distillation the projection, in a
    classifier the head.
    """
    backbone, neck = model.get("backbone") or {}, model.get("neck") or {}
    kind, reader = kind_of(model), "head"
    every = kind == "FeatureDistillation"  # stages, where the config does not say it
    stages = backbone.get("out_indices", (0, 1, 2, 3) if every else (3,))
    if kind in ("SimMIM", "FeatureDistillation"):
        reader = "neck"
        if (kind, kind_of(backbone)) == ("SimMIM", "SwinTransformerV2"):
            what, cure = "cannot hide tokens", "write 'mmswinv2.SimMIMSwinV2'"
            yield Finding("error", "model.backbone.type", what, cure)
        if len(stages) > 1:
            what = f"is {tuple(stages)}, but {kind} reads one map"
            yield Finding("error", "model.backbone.out_indices", what, "write (3,)")
            return
    elif kind == "TokenLabelingClassifier":
        if kind_of(backbone) != "SwinTransformerV2":
            what = "has no tokens that can be mixed"
            cure = "write 'mmswinv2.SwinTransformerV2'"
            yield Finding("error", "model.backbone.type", what, cure)
        elif stages[-1] != 3:
            what = f"is {tuple(stages)}, but {kind} labels the tokens of stage 3"
            yield Finding("error", "model.backbone.out_indices", what, "write (3,)")
            return
    elif (
        kind_of(model) not in ("ImageClassifier", "VideoClassifier")
        or kind_of(neck) != "GlobalAveragePooling"
    ):
        return
    if kind_of(backbone) not in BACKBONES:
        return
    names = ("arch", "embed_dims", "depths", "num_heads", "extra_norm_every_n_blocks")
    size = resolve_architecture(*map(backbone.get, names))
    right = dict(in_channels=size.embed_dims << stages[-1])
    if kind == "SimMIM":
        right["encoder_stride"] = PATCH_SIZE << stages[-1]
    for name, number in right.items():
        given = model[reader].get(name)
        if given not in (None, number):
            what = f"is {given}, which does not fit the backbone's map"
            yield Finding("error", f"model.{reader}.{name}", what, f"write {number}")


def check_classes(model: Mapping, classes: int, source: str) -> Iterator[Finding]:
    """Heads and losses made for another number of classes than the data have.

    Args:
        model (Mapping): The config's.
        classes (int): How many the data have.
        source (str): The config's key or file that says so.
    """
    weights = []
    for path, part in _class_parts(model):
        weight = part.get("class_weight")
        if isinstance(weight, (list, tuple)):
            # softmax over objects has one more class, 'no object'
            allowed = (
                {classes}
                if "loss_decode" in path.split(".")
                else {classes, classes + 1}
            )
            if len(weight) not in allowed:
                weights.append(f"{path}.class_weight of {len(weight)}")
    if wrong := other_heads(model, classes):
        what = f"heads are made for another number of classes than the data's {classes}"
        cure = f"write {classes} there, the number of classes of {source}"
        yield Finding("error", "model", what, cure, examples=tuple(wrong))
    elif weights:
        what = f"losses have weights of another number of classes than {classes}"
        cure = "one weight a class; with a softmax over objects one more, for none"
        yield Finding("error", "model", what, cure, examples=tuple(weights))


def other_heads(model: Mapping, classes: int) -> list[str]:
    """Heads that are made for another number of classes, as ``key=number``."""
    wrong = []
    for path, part in _class_parts(model):
        if "num_things_classes" in part:
            things = part["num_things_classes"], part.get("num_stuff_classes", 0)
            if sum(things) != classes:
                wrong.append(f"{path}.num_things_classes={things[0]}")
        elif not part.get("class_agnostic") and (
            "type" in part or path == "data_preprocessor"
        ):
            number, note = part.get("num_classes"), ""
            names = path.split(".")
            if number is None and any(name.endswith("head") for name in names[-2:]):
                number, note = _default_classes(part), " by default"
            if number not in (None, classes):
                wrong.append(f"{path}.num_classes={number}{note}")
    return wrong


def _class_parts(model: Mapping) -> Iterator[tuple[str, Mapping]]:
    for path, part in parts(model):
        if not {*path.split(".")} & {*OTHER_CLASSES}:
            yield path, part


def _default_classes(part: Mapping) -> int | None:
    """The num_classes that a head takes where its config does not say it."""
    kind = part["type"]
    if isinstance(kind, str):
        scope = DefaultScope.get_current_instance()
        with MODELS.switch_scope_and_registry(scope and scope.scope_name) as registry:
            kind = registry.get(kind)
    for base in getattr(kind, "__mro__", ()):
        parameter = inspect.signature(base.__init__).parameters.get("num_classes")
        if parameter is not None:
            return parameter.default if isinstance(parameter.default, int) else None
    return None


def predicts_masks(model: Mapping) -> bool:
    """Whether a detector gives masks."""
    for path, part in parts(model):
        if {*path.split(".")} & {"mask_head", "panoptic_head", "segm_head"}:
            return True
        if path.endswith("bbox_head") and "Ins" in kind_of(part):
            return True
    return "Inst" in kind_of(model)


def check_norms(
    cfg: Mapping, processes: int | None, pictures: int | None
) -> Iterator[Finding]:
    """Batch norms that see one picture at a time in training.

    Args:
        cfg (Mapping): The config.
        processes (int, optional): How many train together, if that is known.
        pictures (int, optional): How many an epoch has, if that is known.
    """
    loader = cfg.get("train_dataloader") or {}
    batch = loader.get("batch_size")
    backbone = cfg["model"].get("backbone") or {}
    found = [
        (path, kind)
        for path, part in parts(cfg["model"])
        if path.endswith("norm_cfg")
        and (kind := kind_of(part)) in ("BN", "BN2d", "SyncBN", "MMSyncBN")
        and not (path.startswith("backbone") and backbone.get("norm_eval"))
    ]
    if not found or batch is None:
        return
    key = "train_dataloader.batch_size"
    pooled = any(_pools_to_a_pixel(part) for _, part in parts(cfg["model"]))
    fatal = "at which BN stops: a head pools the map to one pixel, one value a channel"
    for path, kind in found[:1]:
        synced = "Sync" in kind
        together = processes if synced else 1
        where = f"model.{path}"
        cure = f"set {key}=2 or more, or norm_cfg=dict(type='GN', num_groups=32)"
        alone = "one process makes BN of SyncBN; " if synced else ""
        if batch == 1 and together is None:
            what = "SyncBN with a batch of one needs several processes"
            yield Finding("warning", where, what, f"start more than one, or {cure}")
        elif batch == 1 and together == 1:
            what = (
                f"{alone}{key}=1, {fatal if pooled else 'whose statistics are noise'}"
            )
            yield Finding("error" if pooled else "warning", where, what, cure)
        elif pooled and together == processes == 1 and _leaves_one(loader, pictures):
            what = (
                f"the last batch of {pictures} pictures by {batch} holds one, {fatal}"
            )
            cure = "set train_dataloader.drop_last=True"
            yield Finding("error", where, what, cure)


def _pools_to_a_pixel(part: Mapping) -> bool:
    kind = kind_of(part)
    if kind in ("UPerHead", "PSPHead"):
        return 1 in part.get("pool_scales", (1, 2, 3, 6))
    return kind in POOLED


def _leaves_one(loader: Mapping, pictures: int | None) -> bool:
    infinite = "Infinite" in kind_of(loader.get("sampler") or {})
    if pictures is None or infinite or loader.get("drop_last"):
        return False
    return loader["batch_size"] > 1 and pictures % loader["batch_size"] == 1


def check_sliding(model: Mapping) -> Iterator[Finding]:
    """Tests by sliding windows that the head or the config cannot serve."""
    test = model.get("test_cfg") or {}
    if test.get("mode") != "slide":
        return
    key = "model.test_cfg"
    head = model.get("decode_head") or {}
    kind = kind_of(head[-1] if isinstance(head, (list, tuple)) else head)
    if kind in ("Mask2FormerHead", "MaskFormerHead"):
        what = (
            f"mode='slide' with {kind}, which scales what it finds in each window to "
            "the whole picture"
        )
        cure = "set model.test_cfg=dict(mode='whole')"
        yield Finding("error", key, what, cure)
    elif lacking := [name for name in ("crop_size", "stride") if not test.get(name)]:
        what = f"mode='slide' without {' and '.join(lacking)}"
        yield Finding("error", key, what, "set both to (height, width) in px")
