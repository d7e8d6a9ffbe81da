"""Swin Transformer V2 as a backbone for dense prediction."""
# B batch, H W map in tokens, C channels

import logging
import re
from collections.abc import Callable, Sequence

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule, PretrainedInit
from torch import Tensor, nn

from mmswinv2.architectures import check_stages, resolve_architecture
from mmswinv2.checkpoints import LoadReport, adapt_state_dict, forget_heads
from mmswinv2.checkpoints.position_biases import LINEAR_CPB, TABLE
from mmswinv2.checkpoints.windows import WINDOW_RECORD, per_stage
from mmswinv2.ops.layer_norm import LayerNorm
from mmswinv2.registry import MODELS

from .blocks import PATCH_SIZE, PatchEmbed, SwinBlock, SwinStage
from .layer_ids import layer_id
from .module_lists import ModuleList
from .window_fit import AXES, WINDOW_FITS, Window, parse_windows

# What published weights need not have; the token of SimMIM is a subclass's.
_OPTIONAL = re.compile(rf"norm\d\.|(mask_token|{WINDOW_RECORD})$")


@MODELS.register_module()
class SwinTransformerV2(BaseModule):
    """`Swin Transformer V2 <https://arxiv.org/abs/2111.09883>`_ backbone.

    Takes images of any height and width. Weights load from published files, from
    checkpoints of this package and from detectors; the window that they were
    pre-trained with is read from them and the position bias is carried to
    ``window_size``.

    Args:
        arch (str, optional): 'nano', 'tiny', 'small', 'base', 'large', 'huge' or
            'giant'. Explicit numbers win over it. Defaults to None.
        in_channels (int): Channels of the image. Defaults to 3.
        embed_dims (int, optional): Channels at stage 0. Defaults to that of ``arch``.
        depths (Sequence[int], optional): Blocks per stage. Likewise.
        num_heads (Sequence[int], optional): Heads per stage. Likewise.
        window_size (int | Sequence | str): Attention window in tokens: an int, (h, w),
            or one of these per stage. One token is 4, 8, 16, 32 px at stages 0 to 3.
            'auto' is the largest within ``auto_windows``. Defaults to 8.
        auto_windows (dict, optional): For 'auto', ``image_size`` in px, ``memory`` in
            GiB or ``slowdown``, and ``batch_size``; see :func:`choose_windows`.
        pretrained_window_size (int | Sequence | str): Window whose offsets are the unit
            of the position bias (the normaliser), as ``window_size``. 'auto' takes it
            from the checkpoint, and the window itself where there is none. Defaults to
            'auto'.
        mlp_ratio (float): Hidden channels of an MLP over its channels. Defaults to 4.
        qkv_bias (bool): Whether queries and values have a bias. Defaults to True.
        drop_rate (float): Dropout of projections and MLPs. Defaults to 0.
        attn_drop_rate (float): Dropout of attention weights. Defaults to 0.
        drop_path_rate (float): Stochastic depth of the last block; it grows linearly
            from 0 at the first. Defaults to 0.1.
        patch_norm (bool): LayerNorm after patch embedding. Defaults to True.
        out_indices (Sequence[int]): Stages whose maps are returned; those after the
            last of them are not built. Defaults to (0, 1, 2, 3).
        frozen_stages (int): As in mmdet's ``SwinTransformer``: -1 freezes nothing, 0
            the patch embedding, k also the first k stages and their output norms.
            Defaults to -1.
        with_cp (bool | Sequence[bool]): Recompute blocks in the backward pass to save
            memory; one per stage or for all. Defaults to False.
        checkpoint (str): What ``with_cp`` recomputes: 'block', or 'mlp', which keeps
            the attention and costs less time. Defaults to 'block'.
        window_fit (str): 'shrink', 'pad' or 'divide', see :func:`fit_axis`. Defaults to
            'shrink', the official rule.
        position_bias (str): 'log_cpb', 'linear_cpb' or 'table', see
            :class:`PositionBias`. A table has the window ``pretrained_window_size``
            ('auto': ``window_size``). Defaults to 'log_cpb'.
        attention (str): Implementation, see :func:`window_attention`. Defaults to
            'auto'.
        extra_norm_every_n_blocks (int, optional): LayerNorm on the main branch after
            every n blocks of a stage, 6 in H and G (paper, section 3.6). Defaults to
            that of ``arch``, else 0.
        init_cfg (dict, optional): Defaults to None: linear layers as in the official
            code, norms of residual branches zero, so that every block starts as the
            identity.

    Raises:
        ValueError: If an argument is out of range or unknown.

    Examples:
        >>> backbone = SwinTransformerV2('nano', window_size=8)
        >>> [tuple(x.shape) for x in backbone(torch.rand(1, 3, 100, 64))]
        [(1, 32, 25, 16), (1, 64, 13, 8), (1, 128, 7, 4), (1, 256, 4, 2)]
    """

    patch_size: Window = (PATCH_SIZE, PATCH_SIZE)  # px of a token of stage 0

    def __init__(
        self,
        arch: str | None = None,
        *,
        in_channels: int = 3,
        embed_dims: int | None = None,
        depths: Sequence[int] | None = None,
        num_heads: Sequence[int] | None = None,
        window_size: int | Sequence | str = 8,
        auto_windows: dict | None = None,
        pretrained_window_size: int | Sequence | str = "auto",
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        patch_norm: bool = True,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        with_cp: bool | Sequence[bool] = False,
        checkpoint: str = "block",
        window_fit: str = "shrink",
        position_bias: str = "log_cpb",
        attention: str = "auto",
        extra_norm_every_n_blocks: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        sizes = resolve_architecture(
            arch, embed_dims, depths, num_heads, extra_norm_every_n_blocks
        )
        self.num_stages = len(sizes.depths)
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        check_stages(self.out_indices, frozen_stages, self.num_stages)
        num_stages = max(self.out_indices) + 1
        sizes = sizes.first(num_stages)
        self.embed_dims, self.depths = sizes.embed_dims, sizes.depths
        if window_fit not in WINDOW_FITS:
            raise ValueError(
                f"window_fit={window_fit!r} is unknown; choose one of "
                f"{', '.join(map(repr, WINDOW_FITS))}"
            )
        if isinstance(with_cp, bool):
            with_cp = (with_cp,) * num_stages
        if len(with_cp) not in (num_stages, self.num_stages):
            raise ValueError(
                f"with_cp={with_cp!r}: expected a bool or {self.num_stages}, one per "
                "stage"
            )
        if checkpoint not in ("block", "mlp"):
            raise ValueError(f"checkpoint={checkpoint!r}: expected 'block' or 'mlp'")
        if window_size == "auto" or auto_windows is not None:
            # here, as planning counts what these models keep
            from mmswinv2.planning.auto_windows import resolve_windows

            window_size = resolve_windows(
                window_size,
                auto_windows,
                arch=sizes,
                attention=attention,
                with_cp=with_cp[:num_stages],
                checkpoint=checkpoint,
                patch=self.patch_size,
            )
        windows = self.parse_windows(window_size)
        self.position_bias = position_bias
        pretrained = windows
        if pretrained_window_size != "auto":
            pretrained = self.parse_windows(
                pretrained_window_size, name="pretrained_window_size"
            )
        # A table keeps its shape: optimizers and wrappers hold it before weights load.
        fixed = pretrained_window_size != "auto" or position_bias == "table"
        self.adopt_pretrained_window = not fixed

        self.patch_embed = PatchEmbed(
            in_channels, self.embed_dims, size=self.patch_size, norm=patch_norm
        )
        self.pos_drop = nn.Dropout(drop_rate)
        num_blocks = sum(self.depths)
        rates = [drop_path_rate * i / max(num_blocks - 1, 1) for i in range(num_blocks)]
        self.layers = ModuleList(
            SwinStage(
                self.embed_dims * 2**i,
                drop_path_rates=rates[sum(self.depths[:i]) :][: self.depths[i]],
                downsample=i + 1 < num_stages,
                window=windows[i],
                pretrained_window=pretrained[i],
                window_fit=window_fit,
                position_bias=position_bias,
                with_cp=with_cp[i],
                checkpoint=checkpoint,
                extra_norm_every_n_blocks=sizes.extra_norm_every_n_blocks,
                num_heads=sizes.num_heads[i],
                mlp_ratio=mlp_ratio,
                drop_rate=drop_rate,
                qkv_bias=qkv_bias,
                attn_drop_rate=attn_drop_rate,
                implementation=attention,
            )
            for i in range(num_stages)
        )
        for i in self.out_indices:
            self.add_module(f"norm{i}", LayerNorm(self.embed_dims * 2**i))
        # What a later run needs to know of this one, kept in checkpoints.
        self.register_buffer(WINDOW_RECORD, self._window_record())
        if position_bias == "linear_cpb":
            self.register_buffer(LINEAR_CPB, torch.tensor(1))
        self.loaded: LoadReport | None = None
        self._reset_parameters()
        self._freeze_stages()

    def forward(
        self, x: Tensor, change: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Tensor, ...]:
        """Feature maps of an image.

        Args:
            x (Tensor): Images ``(B, 3, height, width)``, any size from 1 px up.
            change (Callable, optional): Of the tokens ``(B, H, W, C)`` of stage 0,
                before the first block. Defaults to None.

        Returns:
            tuple[Tensor]: ``(B, C_i, H_i, W_i)`` for every stage i of ``out_indices``,
            contiguous; ``H_i`` is the height over 4, 8, 16 or 32, rounded up.
        """
        x = self.patch_embed(x)
        if change is not None:
            x = change(x)
        x = self.pos_drop(x)
        maps = []
        for i, stage in enumerate(self.layers):
            x = stage(x)
            if i in self.out_indices:
                out = self.get_submodule(f"norm{i}")(x).movedim(-1, 1)
                # mmcv's RoIAlign takes any memory for contiguous, and reads
                # channels-last maps, which convolutions keep as such, wrongly.
                maps.append(out.contiguous())
            if stage.downsample is not None:
                x = stage.downsample(x)
        return tuple(maps)

    # Windows

    @property
    def window_size(self) -> tuple[Window, ...]:
        """Configured window of every stage, in tokens: (h, w)."""
        return tuple(stage.window for stage in self.layers)

    @property
    def pretrained_window_size(self) -> tuple[Window, ...]:
        """Normaliser of the position bias of every stage, in tokens: (h, w)."""
        return tuple(stage.pretrained_window for stage in self.layers)

    def set_window_size(self, window_size: int | Sequence) -> None:
        """Change the windows, as in the constructor; weights and normaliser stay."""
        windows = self.parse_windows(window_size)
        for stage, window in zip(self.layers, windows):
            stage.window = window
        self.get_buffer(WINDOW_RECORD).copy_(self._window_record())

    def parse_windows(
        self, value: int | Sequence, *, name: str = "window_size"
    ) -> tuple[Window, ...]:
        """Windows of the stages of this model, see :func:`parse_windows`."""
        built, axes = len(self.depths), AXES[len(self.patch_size)]
        return parse_windows(value, self.num_stages, name=name, built=built, axes=axes)

    def _window_record(self) -> Tensor:
        """``(stages, 2, axes)``: window and pre-training window of every stage."""
        return torch.tensor([*zip(self.window_size, self.pretrained_window_size)])

    # Weights

    def init_weights(self) -> None:
        """Initialise as the official code does, or as ``init_cfg`` says."""
        if not self.is_init and not self._loads_checkpoint():
            self._reset_parameters()
        super().init_weights()

    def _loads_checkpoint(self) -> bool:
        kinds = ("Pretrained", PretrainedInit)
        return isinstance(self.init_cfg, dict) and self.init_cfg["type"] in kinds

    def _reset_parameters(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif hasattr(module, TABLE):
                nn.init.trunc_normal_(module.get_parameter(TABLE), std=0.02)
        # Every block starts as the identity; training from scratch needs it.
        for module in self.modules():
            if isinstance(module, SwinBlock):
                for norm in (module.norm1, module.norm2):
                    nn.init.zeros_(norm.weight)
                    nn.init.zeros_(norm.bias)

    def _load_from_state_dict(
        self,
        state_dict: dict,
        prefix: str,
        local_metadata: dict,
        strict: bool,
        *lists: list,
    ) -> None:
        """Adapt names and windows of ``state_dict``, in place, before it is loaded.

        Every way of loading comes through here: ``init_cfg``, ``load_from``, resuming,
        the inferencers and ``load_state_dict``, nested in a detector or not.
        """
        own = self.state_dict()
        given = {k: v for k, v in state_dict.items() if k.startswith(prefix)}
        weights, report = adapt_state_dict(
            {k[len(prefix) :]: v for k, v in given.items()},
            own,
            optional=[k for k in own if _OPTIONAL.match(k)],
            unbuilt=range(len(self.layers), self.num_stages),
        )
        self._adopt_windows(report)
        weights |= {k: own[k] for k in report.absent}
        weights[WINDOW_RECORD] = self._window_record()
        for name in given:
            del state_dict[name]
        state_dict.update({prefix + k: v for k, v in weights.items()})
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, *lists
        )
        report.ignored += forget_heads(lists[1], prefix)
        self.loaded = report
        where = prefix.rstrip(".") or "the backbone"
        text = report.describe(where, self.window_size, self.pretrained_window_size)
        print_log(text, logger="current")

    def _adopt_windows(self, report: LoadReport) -> None:
        if report.windows is None:
            if self.adopt_pretrained_window:
                raise ValueError(
                    "the checkpoint does not tell at which window it was pre-trained; "
                    "write pretrained_window_size=8, or one per stage, such as "
                    "[16, 16, 16, 8] for window 16 at 256 px"
                )
            return
        pretrained = tuple(window for _, window in report.windows)[: len(self.layers)]
        if self.adopt_pretrained_window:
            for stage, window in zip(self.layers, pretrained):
                stage.pretrained_window = window
        elif self.position_bias == "table":
            return
        elif pretrained != self.pretrained_window_size:
            print_log(
                f"pretrained_window_size={per_stage(self.pretrained_window_size)} in "
                f"the config, but the checkpoint has {per_stage(pretrained)}: its "
                "position bias is stretched. Use 'auto' unless that is wanted",
                logger="current",
                level=logging.WARNING,
            )

    # Training

    def _freeze_stages(self) -> None:
        frozen = [self.patch_embed, self.pos_drop] if self.frozen_stages >= 0 else []
        for i in range(min(self.frozen_stages, len(self.layers))):
            frozen.append(self.layers[i])
            if i in self.out_indices:
                frozen.append(self.get_submodule(f"norm{i}"))
        for module in frozen:
            module.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "SwinTransformerV2":
        """Set the mode; frozen stages stay in eval mode."""
        super().train(mode)
        self._freeze_stages()
        return self

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """Layer id of a parameter for layer decay, see :func:`layer_id`.

        Args:
            param_name (str): Name of a parameter.
            prefix (str): Prefix of the backbone in ``param_name``. Defaults to ''.

        Returns:
            tuple[int, int]: (layer id, number of ids). The usual learning rate scale is
            ``decay ** (number - 1 - id)``.
        """
        num_ids = sum(self.depths) + 2
        if not param_name.startswith(prefix):
            return num_ids - 1, num_ids
        return layer_id(param_name[len(prefix) :], self.depths), num_ids

    def no_weight_decay(self) -> set[str]:
        """Names of parameters without weight decay, as in the official training.

        They are biases, norms, ``logit_scale``, SimMIM's token and position biases.
        """
        keywords = ("cpb_mlp", TABLE, "logit_scale", "mask_token")
        return {
            name
            for name, parameter in self.named_parameters()
            if parameter.dim() == 1 or any(word in name for word in keywords)
        }
