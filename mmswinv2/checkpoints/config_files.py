"""Windows from the ``config.json`` that Hugging Face and timm keep beside weights."""

import re
from collections.abc import Mapping

from .windows import StageWindows, effective_windows

_TIMM_NAME = re.compile(r"swinv2_\w+?_window(\d+)(?:to(\d+))?_(\d+)(?:to(\d+))?$")


def windows_of_config(config: Mapping) -> StageWindows | None:
    """Windows per stage from a model's configuration.

    Args:
        config (Mapping): ``config.json`` of Hugging Face's ``Swinv2*`` or timm's
            ``swinv2_*``; timm's may be a checkpoint's ``pretrained_cfg`` alone.

    Returns:
        list | None: (window, normaliser) per stage, each (h, w) in tokens; None where
        the configuration is of another model.
    """
    if config.get("model_type") == "swinv2":
        return _stage_windows(
            config["window_size"],
            config["image_size"],
            config.get("pretrained_window_sizes"),
            len(config["depths"]),
        )
    name = _TIMM_NAME.match(config.get("architecture", "").split(".")[0])
    if not name:
        return None
    first_window, window, first_image, image = (n and int(n) for n in name.groups())
    given = config.get("model_args") or {}
    pretrained = given.get("pretrained_window_sizes")
    if pretrained is None and window:
        pretrained = [h for h, _ in effective_windows(first_window, first_image)]
    return _stage_windows(
        given.get("window_size", window or first_window),
        given.get("img_size", image or first_image),
        pretrained,
        len(given.get("depths", (0,) * 4)),
    )


def _stage_windows(
    window: int | list, image: int | list, pretrained: list | None, num_stages: int
) -> StageWindows:
    windows = effective_windows(_pair(window), _pair(image), num_stages)
    # 0 stands for the window itself
    units = [_pair(unit) for unit in pretrained or (0,) * num_stages]
    return [
        (own, unit if unit[0] > 0 else own)
        for own, unit in zip(windows, units, strict=True)
    ]


def _pair(size: int | list) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)
