"""Windows from the ``config.json`` that Hugging Face and timm keep beside weights."""

import re
from collections.abc import Mapping
from typing import Any

from .tensors import MAX_STAGES
from .windows import StageWindows, check_windows, effective_windows

_NUMBER = "([0-9]{1,4})"
_TIMM_NAME = re.compile(
    rf"swinv2_\w{{1,20}}?_window{_NUMBER}(?:to{_NUMBER})?_{_NUMBER}(?:to{_NUMBER})?$"
)


def windows_of_config(config: Any) -> StageWindows | None:
    """Windows per stage from a model's configuration.

    Args:
        config (dict): ``config.json`` of Hugging Face's ``Swinv2*`` or timm's
            ``swinv2_*``; timm's may be a checkpoint's ``pretrained_cfg`` alone.

    Returns:
        list | None: (window, normaliser) per stage, each (h, w) in tokens; None where
        the configuration is of another model.

    Raises:
        ValueError: If it tells no windows, or none that a model can have.
    """
    try:
        windows = _windows_of_config(config)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"the configuration has no window_size, image_size and depths ({error!r})"
        ) from error
    if windows is not None:
        check_windows(windows)
    return windows


def _windows_of_config(config: Mapping) -> StageWindows | None:
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
    numbers: Any = (n and int(n) for n in name.groups())
    first_window, window, first_image, image = numbers
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
    units = [_pair(unit, least=0) for unit in pretrained or (0,) * num_stages]
    if not 1 <= num_stages == len(units) <= MAX_STAGES:
        raise ValueError(
            f"the configuration has {num_stages} depths and {len(units)} windows of "
            f"pre-training, expected as many, and at most {MAX_STAGES}"
        )
    return [
        (own, (unit[0] or own[0], unit[1] or own[1]))
        for own, unit in zip(windows, units)
    ]


def _pair(size: int | list, least: int = 1) -> tuple[int, int]:
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(type(n) is int and least <= n < 2**20 for n in pair):
        raise ValueError(f"the configuration has a size of {str(size)[:40]!r}")
    return pair
