"""Swin V2 in shards: torch's ``fully_shard`` with one unit per block."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from mmengine._strategy import DDPStrategy
from mmengine.device import get_device
from mmengine.model import BaseDataPreprocessor
from mmengine.runner.checkpoint import load_state_dict
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.utils._pytree import tree_map_only

from mmswinv2.models.blocks import SwinBlock
from mmswinv2.models.position_bias import LogCPB
from mmswinv2.models.swin_transformer_v2 import SwinTransformerV2
from mmswinv2.registry import STRATEGIES

try:
    from torch.distributed.fsdp import FSDPModule, fully_shard
    from torch.distributed.tensor import DTensor, distribute_tensor
except ImportError:  # before torch 2.6
    fully_shard = None  # type: ignore[assignment]  # asked before it is called

# The meta network of a block is called in front of it, so it is gathered by itself.
UNITS = (SwinBlock, LogCPB)


@STRATEGIES.register_module()
class FSDPStrategy(DDPStrategy):
    """Shards parameters, gradients and optimizer state over all processes.

    A block of Swin V2 is the unit that is gathered, used and freed; what is left, heads
    included, is one more. Checkpoints are whole and those of a run without the
    strategy: either resumes the other. Weights of other layouts and windows are adapted
    in ``load_from``, too.

    Args:
        backbone_dtype (str, optional): Such as 'bfloat16': the backbone runs under
            autocast, its output is fp32. MMCV's RoI and deformable operators have no
            bfloat16 kernels, so heads stay in fp32. Defaults to None.
        with_cp (bool): Recompute all blocks in the backward pass, as the backbone's
            argument of this name does. Defaults to True.
        model_wrapper (dict, optional): Further arguments of torch's ``fully_shard``.
            Defaults to None.
        **kwargs (Any): Of mmengine's ``DDPStrategy``.

    Raises:
        RuntimeError: If torch is older than 2.6.
        ValueError: If ``backbone_dtype`` is no floating dtype, an argument is one of
            mmengine's FSDP strategy only, or the model's position bias is a table.

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
        **kwargs: Any,
    ) -> None:
        if fully_shard is None:
            raise RuntimeError(
                f"{type(self).__name__} needs torch 2.6 or newer, this is "
                f"{torch.__version__}; --strategy zero1 does without"
            )
        self.backbone_dtype = None
        if backbone_dtype is not None:
            self.backbone_dtype = getattr(torch, backbone_dtype, None)
            if self.backbone_dtype not in (torch.bfloat16, torch.float16):
                raise ValueError(
                    f"backbone_dtype={backbone_dtype!r}: expected 'bfloat16' or "
                    "'float16', or None for fp32"
                )
        for name in ("activation_checkpointing", "state_dict_cfg", "skip_init_weights"):
            if name in kwargs:
                raise ValueError(
                    f"{name} is not for {type(self).__name__}: it has with_cp, and its "
                    "checkpoints are whole"
                )
        self.with_cp = with_cp
        super().__init__(model_wrapper=model_wrapper, **kwargs)
        self._gathered: tuple[dict, Any] = {}, None

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
        model = self.convert_model(model)
        mesh = init_device_mesh(get_device(), (torch.distributed.get_world_size(),))
        options = dict(mesh=mesh, **(self.model_wrapper or {}))
        modules = [*model.modules()]
        for module in reversed(modules):  # what is inside of a unit comes first
            if isinstance(module, BaseDataPreprocessor):
                module.to(get_device())
            if isinstance(module, UNITS):
                fully_shard(module, **options)
        return fully_shard(model, **options)

    def save_checkpoint(
        self, filename: str, *, save_optimizer: bool = True, **kwargs: Any
    ) -> None:
        """Gathers all shards, in the memory of the host; the first process saves."""
        optimizer = None
        if save_optimizer and hasattr(self, "optim_wrapper"):
            optimizer = _whole(self.optim_wrapper.state_dict())
        weights = self.model.state_dict()  # its attributes are to be saved, too
        for name, tensor in weights.items():
            weights[name] = _whole(tensor)
        self._gathered = weights, optimizer
        super().save_checkpoint(filename, save_optimizer=save_optimizer, **kwargs)
        self._gathered = {}, None

    def model_state_dict(self) -> dict:
        """What :meth:`save_checkpoint` has gathered."""
        return self._gathered[0]

    def optim_state_dict(self) -> dict:
        """What :meth:`save_checkpoint` has gathered."""
        return self._gathered[1]

    def load_checkpoint(self, filename: str, **kwargs: Any) -> dict:
        """As mmengine, into the memory of the host: the file holds all shards."""
        return super().load_checkpoint(filename, **{**kwargs, "map_location": "cpu"})

    def load_model_state_dict(
        self, state_dict: dict, *, strict: bool = False, **unused: Any
    ) -> None:
        """Loads through a whole model, as backbones adapt whole state dicts."""
        whole = copy.deepcopy(self._shapes).to_empty(device="cpu")
        tensors = whole.state_dict()
        shards = self.model.state_dict()
        for name, shard in shards.items():
            tensors[name].copy_(_whole(shard))  # what the checkpoint lacks stays
        load_state_dict(whole, state_dict, strict, logger=self.logger)
        for name, shard in shards.items():
            shard.copy_(_like(tensors[name], shard))
        for backbone, loaded in zip(_backbones(self.model), _backbones(whole)):
            backbone.loaded = loaded.loaded
            for stage, other in zip(backbone.layers, loaded.layers):
                stage.pretrained_window = other.pretrained_window

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Loads what a run with or without the strategy has saved.

        Parameters go by numbers, or by names in files of torch's first FSDP; in both
        their order is that of the groups.

        Raises:
            ValueError: If it is of parameters that are not there.
        """
        groups = self.optim_wrapper.optimizer.param_groups
        saved = [key for group in state_dict["param_groups"] for key in group["params"]]
        parameters = dict(zip(saved, (p for group in groups for p in group["params"])))
        if strange := [*state_dict["state"].keys() - parameters.keys()]:
            raise ValueError(
                f"the checkpoint has an optimizer state of {strange[0]!r}, which is "
                f"none of this run's {len(parameters)} parameters: it is of another "
                "model. Start from its weights with load_from"
            )
        state = {
            key: {
                name: _like(x, parameters[key]) if x.dim() else x
                for name, x in of_one.items()
            }
            for key, of_one in state_dict["state"].items()
        }
        self.optim_wrapper.load_state_dict({**state_dict, "state": state})


def is_sharded(model: nn.Module) -> bool:
    """Whether parameters of a model can only be used inside of its forward pass."""
    return fully_shard is not None and isinstance(model, FSDPModule)


def _backbones(model: nn.Module) -> Iterator[SwinTransformerV2]:
    return (m for m in model.modules() if isinstance(m, SwinTransformerV2))


def _whole(tensors: Any) -> Any:
    """Tensors, of all shards and on the CPU, in place of shards."""
    tensors = tree_map_only(DTensor, DTensor.full_tensor, tensors)
    return tree_map_only(Tensor, Tensor.cpu, tensors)


def _like(whole: Tensor, shard: Tensor) -> Tensor:
    """A whole tensor in shards, if the other one is."""
    if not isinstance(shard, DTensor):
        return whole
    return distribute_tensor(
        whole.to(shard.device), shard.device_mesh, shard.placements
    )


def _run_in(backbone: SwinTransformerV2, dtype: torch.dtype) -> None:
    forward = backbone.forward

    def run(x: torch.Tensor, *more: Any) -> tuple[torch.Tensor, ...]:
        with torch.autocast(x.device.type, dtype):
            outs = forward(x, *more)
        return tuple(out.float() for out in outs)

    backbone.__dict__["forward"] = run
    backbone.autocast_dtype = dtype  # for what shall run as the backbone does
