"""Swin V2 in shards: mmengine's FSDP strategy with one unit per block."""

import copy
from collections.abc import Iterator

import torch
from mmengine._strategy import FSDPStrategy as MMEngineFSDPStrategy
from mmengine.optim import BaseOptimWrapper
from mmengine.runner.checkpoint import load_state_dict
from torch import nn
from torch.distributed.fsdp import (
    FullOptimStateDictConfig,
    FullStateDictConfig,
)
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP

from mmswinv2.models.blocks import SwinBlock
from mmswinv2.models.position_bias import LogCPB
from mmswinv2.models.swin_transformer_v2 import SwinTransformerV2
from mmswinv2.registry import STRATEGIES

# The meta network of a block is called in front of it, so it is gathered by itself.
UNITS = (SwinBlock, LogCPB)
FSDP_NAME = "_fsdp_wrapped_module."


def wraps_swin_block(module: nn.Module, recurse: bool, nonwrapped_numel: int) -> bool:
    """FSDP's wrap policy: every block is a unit, and every position bias.

    Args:
        module (nn.Module): A part of the model.
        recurse (bool): Whether FSDP asks if to look at the children.
        nonwrapped_numel (int): Parameters that belong to no unit yet.
    """
    return recurse or isinstance(module, UNITS)


@STRATEGIES.register_module()
class FSDPStrategy(MMEngineFSDPStrategy):
    """Shards parameters, gradients and optimizer state over all processes.

    A block of Swin V2 is the unit that is gathered, used and freed; what is left, heads
    included, is one more. Checkpoints are whole and their weights the same as without
    the strategy; their optimizer state goes by names, so that only FSDP resumes it.
    Weights of other layouts and windows are adapted in ``load_from``, too.

    Args:
        backbone_dtype (str, optional): Such as 'bfloat16': the backbone runs under
            autocast, its output is fp32. MMCV's RoI and deformable operators have no
            bfloat16 kernels, so heads stay in fp32. Defaults to None.
        with_cp (bool): Recompute all blocks in the backward pass, as the backbone's
            argument of this name does. Defaults to True.
        model_wrapper (dict, optional): Further arguments of
            ``MMFullyShardedDataParallel``. Defaults to None.
        **kwargs (Any): Of mmengine's ``BaseStrategy``.

    Raises:
        ValueError: If ``backbone_dtype`` is no floating dtype, checkpoints are asked
            for in shards, or the model's position bias is a table.

    Examples:
        >>> runner_type = "FlexibleRunner"
        >>> strategy = dict(type="mmswinv2.FSDPStrategy", backbone_dtype="bfloat16")
    """

    def __init__(
        self,
        *,
        backbone_dtype: str | None = None,
        with_cp: bool = True,
        model_wrapper: dict | None = None,
        **kwargs: object,
    ) -> None:
        self.backbone_dtype = None
        if backbone_dtype is not None:
            self.backbone_dtype = getattr(torch, backbone_dtype, None)
            if self.backbone_dtype not in (torch.bfloat16, torch.float16):
                raise ValueError(
                    f"backbone_dtype={backbone_dtype!r}: expected 'bfloat16' or "
                    "'float16', or None for fp32"
                )
        for name in ("activation_checkpointing", "state_dict_cfg"):
            if name in kwargs:
                raise ValueError(
                    f"{name} is not for {type(self).__name__}: it has with_cp, and its "
                    "checkpoints are whole"
                )
        self.with_cp = with_cp
        on_gpu = torch.cuda.is_available()
        offload = dict(rank0_only=True, offload_to_cpu=on_gpu)  # from the CPU: a crash
        state_dict_cfg = dict(
            state_dict_type="FULL_STATE_DICT",
            state_dict_config=FullStateDictConfig(**offload),
            optim_state_dict_config=FullOptimStateDictConfig(**offload),
        )
        super().__init__(state_dict_cfg=state_dict_cfg, **kwargs)
        self.model_wrapper = dict(
            type="MMFullyShardedDataParallel",
            auto_wrap_policy=wraps_swin_block,
            **(model_wrapper or {}),
        )
        if not on_gpu:  # mmengine would give a CUDA device
            self.model_wrapper["device_id"] = torch.device("cpu")

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        for backbone in _backbones(model):
            if backbone.position_bias == "table":
                raise ValueError(
                    "FSDP gathers position biases as networks, but this backbone has "
                    "position_bias='table'; train it without the strategy"
                )
            for stage in backbone.layers:
                stage.with_cp = stage.with_cp or self.with_cp
            if self.backbone_dtype is not None:
                _run_in(backbone, self.backbone_dtype)
        self._shapes = copy.deepcopy(model).to("meta")
        return super()._wrap_model(model)

    def build_optim_wrapper(
        self,
        optim_wrapper: BaseOptimWrapper | dict,
        model: nn.Module | None = None,
    ) -> BaseOptimWrapper:
        """As mmengine, but gradients are clipped by the norm over all shards."""
        wrapper = super().build_optim_wrapper(optim_wrapper, model)
        if getattr(wrapper, "clip_grad_kwargs", None):
            kwargs = dict(wrapper.clip_grad_kwargs)
            if kwargs.pop("type", "norm") != "norm":
                raise ValueError("FSDP clips gradients by norm: clip_grad.type='norm'")

            def clip() -> None:
                norm = model.clip_grad_norm_(**kwargs)
                wrapper.message_hub.update_scalar("train/grad_norm", float(norm))

            wrapper._clip_grad = clip
        return wrapper

    def load_checkpoint(self, filename: str, **kwargs: object) -> dict:
        """As mmengine, into the memory of the host: the file holds all shards."""
        return super().load_checkpoint(filename, **{**kwargs, "map_location": "cpu"})

    def load_model_state_dict(
        self, state_dict: dict, *, strict: bool = False, **unused: object
    ) -> None:
        """Loads through a whole model, as backbones adapt whole state dicts."""
        whole = copy.deepcopy(self._shapes).to_empty(device="cpu")
        tensors = whole.state_dict(keep_vars=True)
        with torch.no_grad(), FSDP.summon_full_params(self.model):
            shards = dict(_named_tensors(self.model.module))
            for name, shard in shards.items():
                tensors[name].copy_(shard)  # what the checkpoint lacks stays
            load_state_dict(whole, state_dict, strict, logger=self.logger)
            for name, shard in shards.items():
                shard.copy_(tensors[name])
        for backbone, loaded in zip(_backbones(self.model), _backbones(whole)):
            backbone.loaded = loaded.loaded
            for stage, other in zip(backbone.layers, loaded.layers):
                stage.pretrained_window = other.pretrained_window

    def optim_state_dict(self) -> dict:
        """Optimizer state of all shards by parameter names, on the first process."""
        state = self.optim_wrapper.state_dict()
        optimizer = self.optim_wrapper.optimizer
        return {**state, **FSDP.optim_state_dict(self.model, optimizer)}

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Loads what :meth:`optim_state_dict` gave."""
        optimizer = self.optim_wrapper.optimizer
        parts = {name: state_dict[name] for name in ("state", "param_groups")}
        if any(isinstance(p, int) for g in parts["param_groups"] for p in g["params"]):
            raise ValueError(
                "this checkpoint's optimizer state is not of an FSDP run, so FSDP "
                "cannot resume it; start from its weights with load_from"
            )
        shards = FSDP.optim_state_dict_to_load(self.model, optimizer, parts)
        self.optim_wrapper.load_state_dict({**state_dict, **shards})


def is_sharded(model: nn.Module) -> bool:
    """Whether parameters of a model can only be used inside of its forward pass."""
    return isinstance(model, FSDP)


def _backbones(model: nn.Module) -> Iterator[SwinTransformerV2]:
    return (m for m in model.modules() if isinstance(m, SwinTransformerV2))


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and persistent buffers by the names that they have without FSDP."""
    for prefix, module in model.named_modules():
        own = {**module._parameters, **module._buffers}
        for name, tensor in own.items():
            if tensor is not None and name not in module._non_persistent_buffers_set:
                whole_name = f"{prefix}.{name}" if prefix else name
                yield f"{whole_name}".replace(FSDP_NAME, ""), tensor


def _run_in(backbone: SwinTransformerV2, dtype: torch.dtype) -> None:
    forward = backbone.forward

    def run(x: torch.Tensor, *more: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.autocast(x.device.type, dtype):
            outs = forward(x, *more)
        return tuple(out.float() for out in outs)

    backbone.forward = run
