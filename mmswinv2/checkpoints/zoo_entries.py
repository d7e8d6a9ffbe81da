"""The published weights of Swin V2, as a table.

Sources: the model hub of github.com/microsoft/Swin-Transformer (files, accuracies,
windows), timm and mmpretrain (their copies). What is not published is named so.
"""

import os
import re
from dataclasses import dataclass
from typing import Any

from mmswinv2.architectures import ARCHITECTURES, Architecture

from .windows import StageWindows, effective_windows

SCHEME = "swinv2://"

_MICROSOFT = "https://github.com/SwinTransformer/storage/releases/download/v2.0.0/"
_HUB = "https://huggingface.co"
_OPENMMLAB = "https://download.openmmlab.com/mmclassification/v0/swin-v2/"


@dataclass(frozen=True)
class Mirror:
    """A place that publishes the weights of an entry.

    Attributes:
        host (str): Who publishes it.
        url (str): Where, with the Hub at its public address.
        file (str): Name in the cache; no other mirror of any entry has it.
    """

    host: str
    url: str
    file: str

    @property
    def address(self) -> str:
        """The URL, at ``HF_ENDPOINT`` where that replaces the Hub."""
        endpoint = os.environ.get("HF_ENDPOINT", "").strip() or _HUB
        outside = self.url.removeprefix(f"{_HUB}/")
        return self.url if outside == self.url else f"{endpoint.rstrip('/')}/{outside}"

    @property
    def sha256_prefix(self) -> str | None:
        """First digits of the SHA-256, which OpenMMLab puts into its file names."""
        match = re.search(r"-([0-9a-f]{8})\.pth$", self.file)
        return match and match[1]


@dataclass(frozen=True)
class Entry:
    """One published set of weights.

    Attributes:
        name (str): Name without the scheme ``swinv2://``.
        group (str): How it was trained.
        data (str): Data of its pre-training.
        architecture (Architecture): Numbers of the size.
        params (float): Parameters of the backbone in millions.
        image_size (int): Image in px of its training.
        window (int): Window in tokens set in its training.
        pretraining (tuple[int, int]): Window in tokens and image in px with which the
            network of the position bias was first trained.
        classes (int): Classes of its head; 0 for none.
        top1 (float, optional): ImageNet-1K accuracy in percent.
        loss (float, optional): Reconstruction loss of SimMIM on ImageNet-1K.
        mirrors (tuple[Mirror, ...]): Where it is, best first.
        uncertain (str): Numbers of the architecture that nobody has published.
    """

    name: str
    group: str
    data: str
    architecture: Architecture
    params: float
    image_size: int
    window: int
    pretraining: tuple[int, int]
    classes: int
    mirrors: tuple[Mirror, ...]
    top1: float | None = None
    loss: float | None = None
    uncertain: str = ""

    @property
    def windows(self) -> StageWindows:
        """(window, normaliser) of every stage, each (height, width) in tokens."""
        stages = len(self.architecture.depths)
        used = effective_windows(self.window, self.image_size, stages)
        normaliser = effective_windows(*self.pretraining, stages)
        return list(zip(used, normaliser))


# Backbone parameters in millions, without the output norms that this package adds.
_PARAMS = {
    "tiny": 27.6,
    "small": 49.0,
    "base": 86.9,
    "large": 195.2,
    "huge": 655.2,
    "giant": 1061.0,
}

_GROUPS = {
    "1k": "ImageNet-1K",
    "22k": "ImageNet-22K",
    "22k-ft1k": "ImageNet-22K, fine-tuned on ImageNet-1K",
}
_TRAININGS = {"1k": "in1k", "22k": "in22k", "22k-ft1k": "in22k_ft_in1k"}  # timm's names

# training, size, window, image in px, top-1 in percent, end of OpenMMLab's file name
_SUPERVISED = """
1k        tiny    8  256  81.8  e318968f
1k        tiny   16  256  82.8  9651cdd7
1k        small   8  256  83.7  b01a4332
1k        small  16  256  84.1  b707d206
1k        base    8  256  84.2  8ff28f2b
1k        base   16  256  84.6  5a1886b7
22k       base   12  192  -     f7dc9763
22k       large  12  192  -     d9073fee
22k-ft1k  base   16  256  86.2  8d7aa8ad
22k-ft1k  base   24  384  87.1  44eb70f8
22k-ft1k  large  16  256  86.9  c40cbed7
22k-ft1k  large  24  384  87.6  3b36c165
"""


def _supervised(row: str) -> Entry:
    training, size, window, px, top1, digits = row.split()
    if training == "1k":
        name = f"{size}-w{window}-{px}"
        official = f"swinv2_{size}_patch4_window{window}_{px}"
        timm = f"swinv2_{size}_window{window}_{px}"
        openmmlab = f"swinv2-{size}-w{window}_3rdparty_in1k-{px}px"
    elif training == "22k":
        name = f"{size}-w{window}-{px}-22k"
        official = f"swinv2_{size}_patch4_window{window}_{px}_22k"
        timm = f"swinv2_{size}_window{window}_{px}"
        openmmlab = f"swinv2-{size}-w{window}_3rdparty_in21k-{px}px"
    else:
        name = f"{size}-w12to{window}-{px}-22k-ft1k"
        steps = f"window12to{window}_192to{px}"
        official = f"swinv2_{size}_patch4_{steps}_22kto1k_ft"
        timm = f"swinv2_{size}_{steps}"
        openmmlab = f"swinv2-{size}-w{window}_in21k-pre_3rdparty_in1k-{px}px"
    timm += f".ms_{_TRAININGS[training]}"
    openmmlab += f"_20220803-{digits}.pth"
    folder = "pretrain/" * (training == "22k")
    return Entry(
        name=name,
        group=_GROUPS[training],
        data=_GROUPS[training].split(",")[0],
        architecture=ARCHITECTURES[size],
        params=_PARAMS[size],
        image_size=int(px),
        window=int(window),
        pretraining=(int(window), int(px)) if training == "1k" else (12, 192),
        classes=21841 if training == "22k" else 1000,
        top1=None if top1 == "-" else float(top1),
        mirrors=(
            Mirror("Microsoft", f"{_MICROSOFT}{official}.pth", f"{official}.pth"),
            Mirror(
                "timm",
                f"{_HUB}/timm/{timm}/resolve/main/model.safetensors",
                f"{timm}.safetensors",
            ),
            Mirror("OpenMMLab", f"{_OPENMMLAB}{folder}{openmmlab}", openmmlab),
        ),
    )


# SimMIM, 2048 images per iteration, on a share of ImageNet ('1kper10': 10 percent of
# ImageNet-1K). After 125k, 250k and 500k iterations each: reconstruction loss, and
# top-1 in percent after fine-tuning on ImageNet-1K.
_ITERATIONS = ("125k", "250k", "500k")
_SIMMIM = """
small  1kper10  .4820 82.69  .4961 83.11  .5115 83.17
small  1kper20  .4751 83.05  .4722 83.56  .4734 83.75
small  1kper50  .4732 83.04  .4681 83.67  .4646 83.96
small  1k       .4728 82.92  .4674 83.66  .4641 84.08
base   1kper10  .4822 83.33  .4997 83.60  .5112 83.41
base   1kper20  .4703 83.86  .4679 84.37  .4711 84.61
base   1kper50  .4683 84.04  .4633 84.57  .4598 84.95
base   1k       .4680 84.13  .4626 84.65  .4588 85.04
base   22k      .4695 84.11  .4649 84.57  .4614 85.11
large  1kper10  .4995 83.69  .5140 83.66  .5150 83.50
large  1kper20  .4675 84.38  .4746 84.71  .4960 84.59
large  1kper50  .4622 84.78  .4566 85.38  .4530 85.80
large  1k       .4611 84.98  .4552 85.45  .4507 85.91
large  22k      .4649 84.61  .4586 85.39  .4536 85.81
huge   1kper20  .4789 84.35  .5038 84.16  .5071 83.44
huge   1kper50  .4549 85.09  .4511 85.64  .4559 85.69
huge   1k       .4531 85.23  .4464 85.90  .4416 86.34
huge   22k      .4564 85.14  .4499 85.86  .4444 86.27
giant  1kper50  .4534 85.44  .4515 85.76  .4719 85.51
giant  1k       .4513 85.57  .4442 86.12  .4395 86.46
giant  22k      .4544 85.39  .4475 85.96  .4416 86.53
"""

# The giant of SimMIM is smaller than G of the paper. Whether these two have the extra
# norms is not published; the code that trained them has none.
_SIMMIM_ARCHITECTURES = ARCHITECTURES | {
    "huge": Architecture(352, (2, 2, 18, 2), (11, 22, 44, 88)),
    "giant": Architecture(448, (2, 2, 18, 2), (14, 28, 56, 112)),
}
_UNCERTAIN = {"huge": "heads, extra norms", "giant": "extra norms"}


def _simmim(row: str) -> list[Entry]:
    size, data, *results = row.split()
    entries = []
    share, _, percent = data.partition("per")  # 22k, 22kper10
    images = f"{percent} % of " * bool(percent) + f"ImageNet-{share.upper()}"
    for iterations, loss, top1 in zip(_ITERATIONS, results[::2], results[1::2]):
        common: dict[str, Any] = dict(
            data=f"{images}, {iterations} iterations of 2048 images",
            architecture=_SIMMIM_ARCHITECTURES[size],
            params=_PARAMS[size],
            pretraining=(12, 192),
            uncertain=_UNCERTAIN.get(size, ""),
        )
        run = f"{data}-{iterations}"
        file = f"swinv2_{size}_{data}_{iterations}.pth"
        entries += [
            Entry(
                name=f"{size}-w12-192-simmim-{run}",
                group="SimMIM",
                image_size=192,
                window=12,
                classes=0,
                loss=float(loss),
                mirrors=(_simmim_mirror("pretrain", file),),
                **common,
            ),
            Entry(
                name=f"{size}-w14-224-simmim-{run}-ft1k",
                group="SimMIM, fine-tuned on ImageNet-1K",
                image_size=224,
                window=14,
                classes=1000,
                top1=float(top1),
                mirrors=(_simmim_mirror("finetune", f"finetune_{file}"),),
                **common,
            ),
        ]
    return entries


def _simmim_mirror(stage: str, file: str) -> Mirror:
    folder = f"zdaxie/SimMIM/resolve/main/simmim_swinv2_{stage}_models"
    return Mirror("zdaxie", f"{_HUB}/{folder}/{file}", file)


ENTRIES = (
    *map(_supervised, _SUPERVISED.strip().splitlines()),
    *(entry for row in _SIMMIM.strip().splitlines() for entry in _simmim(row)),
)
