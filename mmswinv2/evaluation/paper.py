"""The paper's numbers (arXiv 2111.09883) that configs of this repository aim at."""

from typing import NamedTuple


class Reported(NamedTuple):
    """A number of the paper.

    Attributes:
        protocol (str): 'ss', one scale, or 'ms', several scales and flips.
        metric (str): 'box AP', 'mask AP' or 'mIoU'.
        value (float): In percent, on the validation set.
        source (str): Table, and row where the table has several.
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


_HTC_L = _htc((58.9, 51.2), (60.2, 52.1))
_HTC_G = _htc((61.9, 53.4), (62.5, 53.7))
_HTC_ENDING = "in22k_fpn_64xb1-instaboost-lsj-3x_coco"
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
}
