"""What is trained and tested: sizes of the benchmark, phases of a run, one phase."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from network import Net, loss
from scenes import CLASSES, Scenes, draw, make_scenes
from scoring import evaluate
from torch import nn

from mmswinv2.checkpoints.windows import effective_windows
from mmswinv2.models import SwinTransformerV2

PRETRAIN_WINDOW = 8
LARGER_WINDOWS = (12, 16, 20, 24)
BIASES = ("table", "linear_cpb", "log_cpb")  # the order of the paper's Table 1
CONTROL = "none"  # the bias is the same everywhere, and stays so
PRETRAIN, TRANSFER, STRETCH, FINETUNE = "pretrain", "transfer", "stretch", "finetune"
TEST_SEED = 1_000_003


@dataclass(frozen=True)
class Size:
    """Numbers of a size of the benchmark; one step is one update of the weights.

    Attributes:
        backbone (dict): Arguments of the backbone.
        image (int): Side of pictures at window 8, in px; it grows with the window.
        steps (tuple[int, int]): Of pre-training and of each fine-tuning.
        batch (tuple[int, int]): Likewise, pictures per step.
        test_scenes (int): Scenes of the test set.
        seeds (tuple[int, ...]): Every seed is a run of its own.
        more_seeds (tuple[int, ...]): Of runs without fine-tuning, which takes longest.
        workers (int): Runs side by side, each on one thread.
        device (str): 'cpu' or 'cuda'.
        lr (tuple[float, float]): Highest rates of pre-training and fine-tuning.
        table_lr_factor (float): Factor of the rate for tables of biases. A meta network
            is scaled by 16 at its end; without a factor, a table cannot reach in as few
            steps the size that sharpens a softmax.
        windows (tuple[int, ...]): Windows to transfer to.
    """

    backbone: dict = field(hash=False)
    image: int
    steps: tuple[int, int]
    batch: tuple[int, int]
    test_scenes: int
    seeds: tuple[int, ...]
    more_seeds: tuple[int, ...]
    workers: int
    device: str = "cpu"
    lr: tuple[float, float] = (2e-3, 5e-4)
    table_lr_factor: float = 10.0
    windows: tuple[int, ...] = LARGER_WINDOWS


# Stage 0 is of plain windows and stage 1 of one window over the whole map: were there
# shifted windows, a model without a position bias would learn half of the directions.
SMALL = dict(embed_dims=32, depths=(1, 4), num_heads=(2, 4), out_indices=(0, 1))
SIZES = {
    "cpu": Size(SMALL, 64, (800, 60), (32, 16), 200, (0, 1, 2), (3, 4, 5), 2),
    "gpu": Size(
        dict(arch="nano"),
        128,
        (3000, 300),
        (128, 32),
        500,
        (0, 1, 2),
        (3, 4, 5),
        4,
        "cuda",
    ),
    "smoke": Size(SMALL, 64, (3, 1), (4, 2), 4, (0,), (), 2, windows=(12,)),
}


@dataclass(frozen=True)
class Phase:
    """One training or test, whose result is one JSON file.

    Attributes:
        bias (str): One of ``BIASES``, or ``CONTROL``.
        seed (int): Of weights and training scenes.
        kind (str): 'pretrain', 'transfer' (tested as pre-trained), 'finetune', or
            'stretch': tested as pre-trained but with the new window as the normaliser,
            which spreads the bias over the larger window.
        window (int): Window of training and test.
    """

    bias: str
    seed: int
    kind: str
    window: int

    def file(self, out: Path) -> Path:
        """Where the result is kept."""
        return out / self.bias / f"seed{self.seed}" / f"{self.kind}-w{self.window}.json"

    def result(self, out: Path, size: Size) -> dict | None:
        """The result, None where it is missing or of other settings."""
        file = self.file(out)
        if not file.is_file():
            return None
        result = json.loads(file.read_text())
        return result if result["settings"] == settings(size) else None


def settings(size: Size) -> dict:
    """The numbers that a result depends on, as JSON gives them back."""
    unrelated = ("seeds", "more_seeds", "windows", "workers")
    related = {k: v for k, v in asdict(size).items() if k not in unrelated}
    return json.loads(json.dumps(related))


def phases(bias: str, seed: int, size: Size) -> list[Phase]:
    """Phases of a run in their order."""
    kinds = [TRANSFER]
    if bias.endswith("cpb"):
        kinds.append(STRETCH)
    if bias != CONTROL and seed in size.seeds:
        kinds.append(FINETUNE)
    larger = [Phase(bias, seed, kind, w) for kind in kinds for w in size.windows]
    return [Phase(bias, seed, PRETRAIN, PRETRAIN_WINDOW), *larger]


def runs(size: Size, biases: tuple[str, ...] = BIASES) -> list[tuple[str, int]]:
    """(bias, seed) of all runs; the control is there once."""
    tuned, others = (
        [(bias, seed) for seed in seeds for bias in biases]
        for seeds in (size.seeds, size.more_seeds)
    )
    return [*tuned, (CONTROL, size.seeds[0]), *others]


def image_size(window: int, size: Size) -> int:
    """Side of the pictures at a window, in px."""
    return size.image * window // PRETRAIN_WINDOW


def build(phase: Phase, size: Size) -> Net:
    """The untrained model of a phase."""
    depth = len(size.backbone.get("depths", "0123"))
    side = image_size(phase.window, size)
    windows = effective_windows(phase.window, side, depth)
    backbone = SwinTransformerV2(
        **size.backbone,
        position_bias="log_cpb" if phase.bias == CONTROL else phase.bias,
        window_size=windows,
        pretrained_window_size=windows if phase.kind == STRETCH else "auto",
        drop_path_rate=0.0,
    )
    if phase.bias == CONTROL:
        for block in (block for stage in backbone.layers for block in stage.blocks):
            nn.init.zeros_(block.attn.cpb_mlp[2].weight)
            block.attn.cpb_mlp.requires_grad_(False)
    return Net(backbone, len(CLASSES)).to(size.device)


def run_phase(phase: Phase, out: Path, size: Size) -> dict:
    """Train or test what a phase says and write its result.

    Args:
        phase (Phase): The phase; that of pre-training has to be done before others.
        out (Path): Folder of the results.
        size (Size): Size of the benchmark.

    Returns:
        dict: The result.
    """
    start = time.monotonic()
    file = phase.file(out)
    file.parent.mkdir(parents=True, exist_ok=True)
    weights = file.with_name("pretrained.pth")
    torch.manual_seed(phase.seed)
    net = build(phase, size)
    if phase.kind != PRETRAIN:
        net.load_state_dict(torch.load(weights, size.device, weights_only=True))
    scenes = torch.Generator().manual_seed(phase.seed * 1000 + phase.window)
    losses = []
    if phase.kind in (PRETRAIN, FINETUNE):
        losses = train(net, phase, size, scenes)
    if phase.kind == PRETRAIN:
        torch.save(net.state_dict(), weights)
    test = make_scenes(size.test_scenes, torch.Generator().manual_seed(TEST_SEED))
    side = image_size(phase.window, size)
    scores = evaluate(net, test, side, size.batch[1])
    result = dict(
        asdict(phase),
        image=side,
        **scores,
        losses=losses,
        seconds=round(time.monotonic() - start, 1),
        settings=settings(size),
    )
    part = file.with_suffix(".part")  # a result is there as a whole or not at all
    part.write_text(json.dumps(result, indent=1))
    part.rename(file)
    return result


def train(
    net: Net, phase: Phase, size: Size, generator: torch.Generator
) -> list[float]:
    """Train on scenes that are drawn as they are needed, none of them twice.

    Returns:
        list[float]: Mean loss of every tenth of the training.
    """
    which = 0 if phase.kind == PRETRAIN else 1
    steps, batch, lr = size.steps[which], size.batch[which], size.lr[which]
    optimizer = torch.optim.AdamW(parameter_groups(net, lr, size.table_lr_factor))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, warm_up_and_decay(steps))
    noise = torch.Generator(size.device).manual_seed(phase.seed)
    side, losses = image_size(phase.window, size), []
    net.train()
    for _ in range(steps):
        scenes: Scenes = make_scenes(batch, generator).to(size.device)
        image, label_map = draw(scenes, side, noise)
        error = loss(net(image), label_map, scenes.boxes, scenes.labels)
        optimizer.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)  # as in the paper
        optimizer.step()
        schedule.step()
        losses.append(error.detach())
    tenths = torch.stack(losses).cpu().chunk(10)
    return [round(part.mean().item(), 4) for part in tenths]


def parameter_groups(net: Net, lr: float, table_lr_factor: float) -> list[dict]:
    """Parameters with weight decay (0.05, as in the paper), without, and tables."""
    plain = {f"backbone.{name}" for name in net.backbone.no_weight_decay()}
    decayed, free, tables = [], [], []
    for name, parameter in net.named_parameters():
        if name.endswith("relative_position_bias_table"):
            tables.append(parameter)
        elif name in plain or parameter.dim() == 1:
            free.append(parameter)
        else:
            decayed.append(parameter)
    return [
        dict(params=decayed, lr=lr, weight_decay=0.05),
        dict(params=free, lr=lr, weight_decay=0.0),
        dict(params=tables, lr=lr * table_lr_factor, weight_decay=0.0),
    ]


def warm_up_and_decay(steps: int) -> Callable[[int], float]:
    """Factor of the learning rate: a tenth of linear warm-up, times half a cosine."""

    def factor(step: int) -> float:
        return min(1, (step + 1) / (0.1 * steps)) * (
            0.5 + 0.5 * math.cos(math.pi * step / steps)
        )

    return factor
