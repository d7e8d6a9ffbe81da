"""Published numbers that configs of this repository aim at.

Of the paper (arXiv 2111.09883), and of classifiers also of the authors' model hub,
github.com/microsoft/Swin-Transformer/blob/main/MODELHUB.md.
"""

from typing import NamedTuple


class Reported(NamedTuple):
    """A number of the paper or of another place.

    Attributes:
        protocol (str): 'ss', one scale, of videos one view; 'ms', several scales and
            flips; 'v2', ImageNet-V2, matched frequency; 'views', of videos several.
        metric (str): 'box AP', 'mask AP', 'mIoU', 'top-1' or 'top-5'.
        value (float): In percent, on the validation set.
        source (str): Table of the paper, and row where the table has several; or
            whose number it is.
    """

    protocol: str
    metric: str
    value: float
    source: str


def _boxes(value: float, source: str) -> tuple[Reported, ...]:
    return (Reported("ss", "box AP", value, source),)


def _miou(value: float, source: str, protocol: str = "ss") -> tuple[Reported, ...]:
    return (Reported(protocol, "mIoU", value, source),)


def _htc(
    single: tuple[float, float], multi: tuple[float, float]
) -> tuple[Reported, ...]:
    return tuple(
        Reported(protocol, metric, value, "Table 3, window 48")
        for protocol, values in (("ss", single), ("ms", multi))
        for metric, value in zip(("box AP", "mask AP"), values)
    )


HUB = "model hub"
TIMM = "timm's evaluation, October 2025"  # results/results-imagenetv2-*.csv


def _classifier(
    top1: float, top5: float, v2: float, top1_from: str = HUB, v2_from: str = TIMM
) -> tuple[Reported, ...]:
    return (
        Reported("ss", "top-1", top1, top1_from),
        Reported("ss", "top-5", top5, HUB),
        Reported("v2", "top-1", v2, v2_from),
    )


def _after_simmim(top1: float) -> tuple[Reported, ...]:
    return (Reported("ss", "top-1", top1, HUB),)


_HTC_L = _htc((58.9, 51.2), (60.2, 52.1))
_HTC_G = _htc((61.9, 53.4), (62.5, 53.7))
_HTC_ENDING = "in22k_fpn_64xb1-instaboost-lsj-3x_coco"
_IN1K, _FINE_TUNED = "16xb64-300e_in1k-256px", "in22k-192-pre_16xb64-30e_in1k"
_KINETICS = "swinv2-g-p2x4x4-w8x20x20_16xb4-5e_kinetics400-16x4-320px"
_T_ADE = "in1k-256-pre_upernet_8xb2-160k_ade20k-512x512"

PAPER: dict[str, tuple[Reported, ...]] = {
    "cascade-mask-rcnn_swinv2-t-p4-w16_fpn_ms-crop-3x_coco": _boxes(51.1, "Table 1"),
    "cascade-mask-rcnn_swinv2-t-p4-w32_fpn_ms-crop-3x_coco": _boxes(51.8, "Table 1"),
    f"htc++_swinv2-l-p4-w32-{_HTC_ENDING}": _HTC_L,
    "htc++_swinv2-g-p4-w32_fpn_96xb1-lsj-45k_coco": _HTC_G,
    f"swinv2-t-p4-w16-{_T_ADE}": _miou(47.0, "Table 1"),
    f"swinv2-t-p4-w20-{_T_ADE}": _miou(47.7, "Table 1"),
    f"swinv2-t-p4-w32-{_T_ADE}": _miou(47.8, "Table 1"),
    "swinv2-l-p4-w40-in22k-192-pre_upernet_16xb4-40k_ade20k-640x640": _miou(
        55.9, "Table 4", "ms"
    ),
    "swinv2-g-p4-w40_upernet_32xb1-80k_ade20k-640x640": _miou(59.1, "Table 4"),
    "swinv2-g-p4-w40_upernet_32xb1-80k_ade20k-640x640-to-896x896": (
        *_miou(59.3, "Table 4, window 56"),
        *_miou(59.9, "Table 4, window 56", "ms"),
    ),
    _KINETICS: (Reported("ss", "top-1", 83.2, "Table 5"),),
    f"{_KINETICS}-to-384px": (
        Reported("ss", "top-1", 83.4, "Table 5, window 24"),
        Reported("views", "top-1", 86.8, "Table 5, window 24, 4 x 5 views"),
    ),
    f"swinv2-t-p4-w8_{_IN1K}": _classifier(81.8, 95.9, 70.45),
    f"swinv2-t-p4-w16_{_IN1K}": _classifier(82.8, 96.2, 71.91),
    f"swinv2-s-p4-w8_{_IN1K}": _classifier(83.7, 96.6, 73.20),
    f"swinv2-s-p4-w16_{_IN1K}": _classifier(84.1, 96.8, 73.40),
    f"swinv2-b-p4-w8_{_IN1K}": _classifier(84.2, 96.9, 73.67),
    f"swinv2-b-p4-w16_{_IN1K}": _classifier(84.6, 97.0, 74.18),
    f"swinv2-b-p4-w16-{_FINE_TUNED}-256px": _classifier(86.2, 97.9, 77.27),
    f"swinv2-b-p4-w24-{_FINE_TUNED}-384px": _classifier(
        *(87.1, 98.2, 78.08, "Table 2 and model hub", "Table 2")
    ),
    f"swinv2-l-p4-w16-{_FINE_TUNED}-256px": _classifier(86.9, 98.0, 77.91),
    f"swinv2-l-p4-w24-{_FINE_TUNED}-384px": _classifier(
        *(87.6, 98.3, 78.31, "model hub; 87.7 in Table 2", "Table 2")
    ),
    # Pre-trained for 500 thousand iterations on ImageNet-1K
    "swinv2-s-p4-w14-simmim-1k-192-pre_16xb128-100e_in1k-224px": _after_simmim(84.08),
    "swinv2-b-p4-w14-simmim-1k-192-pre_16xb128-100e_in1k-224px": _after_simmim(85.04),
    "swinv2-l-p4-w14-simmim-1k-192-pre_32xb64-100e_in1k-224px": _after_simmim(85.91),
    "swinv2-h-p4-w14-simmim-1k-192-pre_32xb64-100e_in1k-224px": _after_simmim(86.34),
}
