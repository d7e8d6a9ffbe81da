"""Learning rates that shrink from layer to layer, and which weights do not decay."""

import logging
import re
from collections import Counter, defaultdict
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmswinv2.registry import OPTIM_WRAPPER_CONSTRUCTORS

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
# Not one-dimensional, but not decayed in the official training either.
NO_DECAY = (
    "cpb_mlp",
    "logit_scale",
    "mask_token",
    "relative_position_bias_table",
)
OPTIONS = ("layer_decay_rate", "norm_decay_mult", "bias_decay_mult", "custom_keys")
# What FSDP, activation checkpointing and torch.compile insert into names.
WRAPPERS = re.compile(r"_(fsdp_wrapped_module|checkpoint_wrapped_module|orig_mod)\.")


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Layer-wise learning rate decay, for models with a backbone.

    The learning rate of a parameter is ``lr * lr_mult * rate ** (n - 1 - id)``, with
    the layer id and the number of ids n from ``get_layer_depth`` of the backbone (patch
    embedding 0, then one per block); what lies outside of it has ``lr * lr_mult``.
    Norms, biases, ``cpb_mlp``, ``logit_scale`` and SimMIM's ``mask_token`` have no
    weight decay.

    Args:
        optim_wrapper_cfg (dict): Config of the wrapper; its ``optimizer`` has ``lr``
            and ``weight_decay``.
        paramwise_cfg (dict, optional): May have

            - ``layer_decay_rate`` (float): The rate, in (0, 1]; 0.95 for Swin V2-T on
              ADE20K (paper, appendix A1). Defaults to 1, no layer decay.
            - ``norm_decay_mult``, ``bias_decay_mult`` (float): Factors on the weight
              decay of norms and of biases. Default to 0.
            - ``custom_keys`` (dict[str, dict]): ``lr_mult`` and ``decay_mult`` by part
              of a name, as in ``dict(backbone=dict(lr_mult=0.1))``. Of several parts
              that match, the longest wins, for each of both by itself. Unlike in
              mmengine, they multiply with all that is said above, so that norms in a
              backbone with an ``lr_mult`` still do not decay.

    Raises:
        ValueError: If an option is unknown or out of range, or the rate is below 1 and
            no part of the model has ``get_layer_depth``.

    Examples:
        >>> optim_wrapper = dict(
        ...     constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
        ...     optimizer=dict(type="AdamW", lr=4e-5, weight_decay=0.05),
        ...     paramwise_cfg=dict(layer_decay_rate=0.95),
        ... )
    """

    def __init__(
        self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None
    ) -> None:
        # never empty: mmengine asks add_params only where there are options
        super().__init__(
            optim_wrapper_cfg, {"custom_keys": {}, **(paramwise_cfg or {})}
        )
        # A plain dict keeps groups plain; torch.compile knows no others.
        self.optimizer_cfg: dict = dict(self.optimizer_cfg)
        if None in (self.base_lr, self.base_wd):
            raise ValueError(
                f"optimizer={self.optimizer_cfg}: layer decay needs lr and "
                "weight_decay there"
            )
        if unknown := self.paramwise_cfg.keys() - set(OPTIONS):
            raise ValueError(
                f"paramwise_cfg has {', '.join(sorted(unknown))}, but "
                f"{type(self).__name__} knows {', '.join(OPTIONS)}"
            )
        self.rate = self.paramwise_cfg.get("layer_decay_rate", 1.0)
        if not 0 < self.rate <= 1:
            raise ValueError(
                f"layer_decay_rate={self.rate}: expected a factor per layer above 0 "
                "and up to 1, such as 0.95; 1 is no layer decay"
            )
        # longest first: the most special one wins
        self.custom_keys = sorted(
            self.paramwise_cfg["custom_keys"].items(),
            key=lambda item: (-len(item[0]), item[0]),
        )
        for key, factors in self.custom_keys:
            if unknown := factors.keys() - {"lr_mult", "decay_mult"}:
                raise ValueError(
                    f"paramwise_cfg.custom_keys[{key!r}] has "
                    f"{', '.join(sorted(unknown))}; expected lr_mult or decay_mult"
                )

    def add_params(self, params: list[dict], module: nn.Module, **unused: Any) -> None:
        """Append the parameter groups of a model, one per learning rate and decay.

        Args:
            params (list[dict]): Groups, extended in place.
            module (nn.Module): The model; its frozen parameters are left out.
            **unused (Any): Of mmengine's recursion.
        """
        kinds = {
            id(p): m for m in module.modules() for p in m.parameters(recurse=False)
        }
        backbones = self._backbones(module)
        groups: dict[tuple, list] = defaultdict(list)
        rows: Counter = Counter()
        names = []
        for name, parameter in module.named_parameters():
            name = WRAPPERS.sub("", name)
            names.append(name)
            if not parameter.requires_grad:
                continue
            layer, scale = self._layer(name, backbones)
            scale *= self._custom(name, "lr_mult")
            decay = self._custom(name, "decay_mult") * self._decay_mult(
                name, kinds[id(parameter)]
            )
            groups[scale, decay].append(parameter)
            rows[layer, scale, decay] += 1
        params.extend(
            dict(
                params=parameters,
                lr=self.base_lr * scale,
                weight_decay=self.base_wd * decay,
            )
            for (scale, decay), parameters in groups.items()
        )
        frozen = len(names) - sum(rows.values())
        kind = self.optimizer_cfg["type"]
        print_log(
            f"{getattr(kind, '__name__', kind)}: lr {self.base_lr:g}, weight decay "
            f"{self.base_wd:g}, layer decay {self.rate:g}; {frozen} tensors frozen",
            logger="current",
        )
        print_log(self._table(rows), logger="current")
        for key, _ in self.custom_keys:
            if not any(key in name for name in names):
                print_log(
                    f"paramwise_cfg.custom_keys[{key!r}] is part of no parameter's "
                    "name, so it changes nothing",
                    logger="current",
                    level=logging.WARNING,
                )

    def _backbones(self, model: nn.Module) -> dict[str, Any]:
        """Modules that know the layers of their parameters, by prefix."""
        if self.rate == 1:
            return {}
        found = {
            WRAPPERS.sub("", f"{name}.") if name else "": module
            for name, module in model.named_modules()
            if hasattr(module, "get_layer_depth")
        }
        # A classifier of mmpretrain has it too, and asks its backbone.
        found = {
            prefix: module
            for prefix, module in found.items()
            if not any(inner != prefix and inner.startswith(prefix) for inner in found)
        }
        if not found:
            raise ValueError(
                f"layer_decay_rate={self.rate}, but no part of this "
                f"{type(model).__name__} has get_layer_depth(), as the backbone "
                "mmswinv2.SwinTransformerV2 has; leave layer_decay_rate out"
            )
        return found

    def _layer(self, name: str, backbones: dict[str, Any]) -> tuple[int | None, float]:
        """Layer id of a parameter (None outside of backbones) and its factor."""
        for prefix, backbone in backbones.items():
            if name.startswith(prefix):
                layer, count = backbone.get_layer_depth(name, prefix)
                return layer, self.rate ** (count - 1 - layer)
        return None, 1.0

    def _custom(self, name: str, factor: str) -> float:
        matching = (
            factors[factor]
            for key, factors in self.custom_keys
            if key in name and factor in factors
        )
        return next(matching, 1.0)

    def _decay_mult(self, name: str, module: nn.Module) -> float:
        # By type and name: wrappers may have flattened what had several dimensions.
        if isinstance(module, NORMS):
            return self.paramwise_cfg.get("norm_decay_mult", 0.0)
        if any(part in name for part in NO_DECAY):
            return 0.0
        if name.endswith("bias"):
            return self.paramwise_cfg.get("bias_decay_mult", 0.0)
        return 1.0

    def _table(self, rows: Counter) -> str:
        lines = ["layer  lr factor  tensors with weight decay + without"]
        last = float("inf")
        for layer, scale in sorted(
            {row[:2] for row in rows},
            key=lambda row: (last if row[0] is None else row[0], row[1]),
        ):
            counts = {d: n for (*row, d), n in rows.items() if row == [layer, scale]}
            without = counts.pop(0, 0)
            where = "rest" if layer is None else layer
            with_decay = sum(counts.values())
            lines.append(f"{where:>5}  {scale:9.4g}  {with_decay} + {without}")
        return "\n".join(lines)
