"""Host time of 'base' and of its operators, beside timm, with kernels that do nothing.

What the processor does for a step on a GPU: Python, autograd and the dispatch of
operators. Triton's launches, products of matrices, norms and
activations return at once (``no_ops.cpp``,
compiled at the first call); all else runs on maps of a few tokens and channels, where
operators take about as long as on an empty map. The depths are those of 'base'. What a
launch itself takes on a GPU (some 5 us of a CUDA kernel, more of a Triton kernel) is in
neither number.

Process CPU time, contenders in turns, least of the rounds. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

os.environ["TRITON_INTERPRET"] = "0"  # read where kernels are defined
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled

import timm
import torch
from torch import Tensor, nn
from torch.utils.cpp_extension import load
from triton.runtime.jit import JITFunction

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.blocks import Mlp
from mmswinv2.ops import linear, self_check
from mmswinv2.ops.residual_norm import choice
from mmswinv2.ops.window_attention import dispatch, window_attention

SIDE, WINDOW, CHANNELS = 64, 4, 16  # px, tokens, channels of stage 0 and of a head
HEADS = (1, 2, 4, 8)


def pretend_gpu() -> None:
    """Let CPU tensors take the way of CUDA tensors, up to the launch."""
    load(name="no_ops", sources=[str(Path(__file__).with_name("no_ops.cpp"))])
    JITFunction.run = lambda *args, **kwargs: None
    linear.HAS_ONEDNN = False
    Mlp.forward = Mlp._mix  # no pieces
    known = {"window_attention": None, "residual_norm": None}
    dispatch._judge = lambda device, dtype, channels: known["window_attention"]
    choice._refusal = lambda x, branch: known["residual_norm"]
    self_check.unsupported = lambda device: None
    os.environ[dispatch.VARIABLE] = os.environ[choice.VARIABLE] = "triton"


def build(name: str) -> nn.Module:
    """'base', thin, of this project or of timm."""
    depths = ARCHITECTURES["base"].depths
    if name == "ours":
        return SwinTransformerV2(
            embed_dims=CHANNELS,
            depths=depths,
            num_heads=HEADS,
            window_size=WINDOW,
            drop_path_rate=0.2,
        )
    return timm.create_model(
        "swinv2_base_window8_256",
        img_size=SIDE,
        window_size=WINDOW,
        embed_dim=CHANNELS,
        depths=depths,
        num_heads=HEADS,
        num_classes=0,
        drop_path_rate=0.2,
        features_only=True,
    )


def step(model: nn.Module, image: Tensor, autocast: bool) -> None:
    """A forward pass, in training with its backward pass."""
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        with torch.set_grad_enabled(model.training):
            outs = model(image)
        loss = sum(out.float().mean() for out in outs)
    if model.training:
        loss.backward()
        for parameter in model.weights:
            parameter.grad = None


def least(steps: dict[str, Callable[[], None]], rounds: int, calls: int) -> dict:
    """Milliseconds of CPU time of a call, per contender."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for run in steps.values():
        run()
    for _ in range(rounds):
        for name, run in steps.items():
            start = time.process_time()
            for _ in range(calls):
                run()
            times[name].append(1e3 * (time.process_time() - start) / calls)
    return {name: min(own) for name, own in times.items()} | {
        "ratio": median(a / b for a, b in zip(*times.values())) if len(times) > 1 else 1
    }


def operators() -> dict[str, Callable[[], None]]:
    """Single calls of the attention operator."""
    n, d, w = 1, 32, 9  # the smallest window whose gradients three kernels give
    qkv = torch.randn(1, 2 * w, 2 * w, 3 * n * d)
    table, scale = torch.randn(n, 2 * w - 1, 2 * w - 1), torch.ones(n)
    leaves = [x.clone().requires_grad_() for x in (qkv, table, scale)]
    grad = torch.randn(1, 2 * w, 2 * w, n * d)
    options = dict(window=(w, w), shift=(w // 2, w // 2))

    def forward() -> None:
        with torch.no_grad():
            window_attention(qkv, table, scale, frozen=True, **options)

    def training() -> None:
        torch.autograd.grad(window_attention(*leaves, **options), leaves, grad)

    return {"no gradients": forward, "forward and backward": training}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pretend_gpu()
    processor = platform.processor()
    if line := re.search("model name.*: (.*)", Path("/proc/cpuinfo").read_text()):
        processor = line[1]
    print(f"{processor}, torch {torch.__version__}, timm {timm.__version__}\n")
    print("| depths of 'base' | ours, ms | timm, ms | ours / timm |")
    print("| --- | --- | --- | --- |")
    image = torch.randn(1, 3, SIDE, SIDE)
    for mode in ("forward", "training"):
        for autocast in (True, False):
            models = {name: build(name) for name in ("ours", "timm")}
            for model in models.values():
                model.weights = tuple(model.train(mode == "training").parameters())
            steps = {n: partial(step, m, image, autocast) for n, m in models.items()}
            found = least(steps, args.rounds, 1)
            kind = "autocast" if autocast else "fp32"
            print(
                f"| {mode}, {kind} | {found['ours']:.1f} | {found['timm']:.1f} | "
                f"{found['ratio']:.2f} |",
                flush=True,
            )
    print("\n| attention operator | us |\n| --- | --- |")
    for name, run in operators().items():
        found = least({name: run}, args.rounds, 100)
        print(f"| {name} | {1e3 * found[name]:.0f} |")


if __name__ == "__main__":
    main()
