"""How a config trains its model, in the terms of the planner."""

from __future__ import annotations

import copy
from functools import cache

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmswinv2.architectures import Architecture
from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.blocks import SwinBlock, SwinStage

from .heads_memory import Heads, heads_memory
from .memory_model import Block, Part, Training, block_kept, block_passing
from .memory_plan import Memory, Parameters, Plan
from .teacher_memory import teacher_memory
from .training_batch import image_size

STATES = {"Adam": 8, "AdamW": 8, "SGD": 4}  # bytes of an optimizer per parameter


def read_plan(
    cfg: Config, gpus: int | None = None, image: list[int] | None = None
) -> tuple[nn.Module, Plan]:
    """The model of a config, without memory, and how it is trained."""
    init_default_scope(cfg.default_scope)
    kind = cfg.model.get("backbone", {}).get("type", "none")
    with MODELS.switch_scope_and_registry(None) as registry:
        backbone = registry.get(kind) or object
    if not issubclass(backbone, SwinTransformerV2):
        raise ValueError(
            f"the backbone is {kind}; only mmswinv2.SwinTransformerV2, "
            "mmswinv2.SimMIMSwinV2 and mmswinv2.VideoSwinTransformerV2 are known here"
        )
    model = build_on_meta(cfg)
    training = read_training(cfg, model.backbone, image)
    whole = cfg.get("auto_scale_lr", {}).get("base_batch_size", training.batch)
    name = cfg.get("strategy", {}).get("type", "")
    strategy = "fsdp" if "FSDP" in name else "zero1" if name else None
    gpus = gpus or max(whole // training.batch, 1)
    return model, Plan(training, is_amp(cfg), strategy, gpus)


def build_on_meta(cfg: Config) -> nn.Module:
    """The model of a config without memory."""
    init_default_scope(cfg.default_scope)
    model = copy.deepcopy(cfg.model)
    with torch.device("meta"):
        return MODELS.build(model)


def read_training(
    cfg: Config, backbone: SwinTransformerV2, image: list[int] | None = None
) -> Training:
    """How a config trains its backbone."""
    stages = backbone.layers
    patch = backbone.patch_size
    image = tuple(image or image_size(cfg))
    if len(image) != len(patch):
        raise ValueError(
            f"--image-size {' '.join(map(str, image))}: expected HEIGHT WIDTH of "
            "images, or FRAMES HEIGHT WIDTH where the model is one of clips"
        )
    block: SwinBlock = stages[0].blocks[0]
    fsdp = "FSDP" in cfg.get("strategy", {}).get("type", "")
    all_cp = fsdp and cfg.strategy.get("with_cp", True)
    half = is_amp(cfg) or (fsdp and cfg.strategy.get("backbone_dtype"))
    extra = [
        i + 1
        for stage in stages
        for i, b in enumerate(stage.blocks)
        if isinstance(b.norm3, nn.LayerNorm)
    ]
    return Training(
        arch=Architecture(
            backbone.embed_dims,
            backbone.depths,
            tuple(stage.blocks[0].attn.logit_scale.shape[0] for stage in stages),
            min(extra, default=0),
        ),
        image=image,
        batch=cfg.train_dataloader.batch_size,
        windows=backbone.window_size,
        patch=patch,
        number=2 if half else 4,
        attention=block.attn.implementation,
        with_cp=tuple(bool(stage.with_cp or all_cp) for stage in stages),
        checkpoint=stages[0].checkpoint,
        window_fit=stages[0].window_fit,
        position_bias=backbone.position_bias,
        mlp_ratio=block.mlp.fc1.out_features / backbone.embed_dims,
        drop_rate=block.mlp.drop.p,
        frozen_stages=backbone.frozen_stages,
        out_indices=backbone.out_indices,
    )


def is_amp(cfg: Config) -> bool:
    """Whether the whole model runs under autocast."""
    kinds = ("AmpOptimWrapper", "mmswinv2.Bf16OptimWrapper")
    return cfg.optim_wrapper.get("type") in kinds


def read_parameters(model: nn.Module, training: Training) -> Parameters:
    """Numbers of parameters by parts."""

    def count(module: nn.Module, trainable: bool = True) -> int:
        return sum(
            p.numel() for p in module.parameters() if p.requires_grad | ~trainable
        )

    numbers = {
        part.name: count(model.backbone.get_submodule(part.name))
        for part in training.parts()
    }
    numbers["heads"] = count(model) - sum(numbers.values())
    blocks = [count(m, False) for m in model.modules() if isinstance(m, SwinBlock)]
    return Parameters(count(model, False), numbers, max(blocks), sum(blocks))


def read_memory(cfg: Config, model: nn.Module, training: Training) -> Memory:
    """What a model takes, with its heads counted once per precision."""

    @cache
    def counted(amp: bool) -> Heads:
        return heads_memory(cfg, training, amp=amp)

    def other_parts(plan: Plan) -> list[Part]:
        images = plan.training.batch / training.batch
        heads = counted(plan.amp)
        kept, largest = int(heads.kept * images), int(heads.largest * images)
        parts = [global_attention(stage, plan.training) for stage in stages]
        return [*parts, Part("heads", len(training.arch.depths), kept, 2 * largest)]

    teacher = getattr(model, "teacher", None)

    @cache
    def seen(half: bool) -> int:
        images = (training.batch, 3, *training.image)
        return teacher_memory(teacher, images, amp=half)[0]

    def teacher_pass(plan: Plan) -> int:
        half = plan.amp or plan.training.number == 2
        return int(seen(half) * plan.training.batch / training.batch)

    inside = {*model.backbone.layers}
    stages = [
        m for m in model.modules() if isinstance(m, SwinStage) and m not in inside
    ]
    optimizer = cfg.optim_wrapper.get("optimizer", {})
    kind = optimizer.get("optimizer_type", optimizer.get("type"))
    if kind not in STATES:
        raise ValueError(
            f"optimizer {kind!r}: the bytes of its state are not known; known are "
            f"{', '.join(STATES)}"
        )
    state = 0 if kind == "SGD" and not optimizer.get("momentum") else STATES[kind]
    hooks = cfg.get("custom_hooks") or ()
    averages = sum(str(hook.get("type")).endswith("EMAHook") for hook in hooks)
    memory = Memory(read_parameters(model, training), state, other_parts, averages)
    memory.heads = counted
    memory.more_blocks = lambda plan: [further_block(s, plan.training) for s in stages]
    if teacher is not None:
        memory.teacher = sum(p.numel() for p in teacher.parameters())
        memory.teacher_pass = teacher_pass
    return memory


def further_block(stage: SwinStage, training: Training) -> Block:
    """The block on the last map that HTC++ has as a neck."""
    size = training.maps[-1]
    block: SwinBlock = stage.blocks[0]
    return Block(
        batch=training.batch,
        size=size,
        window=size,
        shift=(0,) * len(size),
        channels=block.mlp.fc1.in_features,
        heads=block.attn.logit_scale.shape[0],
        hidden=block.mlp.fc1.out_features,
        number=training.number,
    )


def global_attention(stage: SwinStage, training: Training) -> Part:
    """What that block keeps."""
    shape, block = further_block(stage, training), stage.blocks[0]
    recompute = stage.checkpoint if stage.with_cp else None
    how = dict(attention=block.attn.implementation, recompute=recompute)
    kept = sum(block_kept(shape, **how).values())
    passing = block_passing(shape, **how)
    return Part("neck", len(training.arch.depths), kept, passing)
