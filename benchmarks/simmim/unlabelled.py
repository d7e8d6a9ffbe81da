"""SimMIM of 'nano' on the pictures of three sets, without their labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from real_sets import write_manifest

from mmswinv2.cli.stages import Stage
from mmswinv2.cli.transfer_plan import BASE
from mmswinv2.places import ROOT

CONFIG = Path(__file__).with_name("simmim_nano.py")
EPOCHS = 40
SECONDS = 45.0  # of an epoch on a core
# The pictures without labels, by folder of --data.
PICTURES = ("imagenet-samples", "camvid/img_dir/train", "nuclei/train")


def gather_pictures(data: Path, out: Path) -> tuple[Path, Path]:
    """Lay the pictures side by side in one folder.

    Args:
        data (Path): The folder that holds the sets'.
        out (Path): The folder of all runs.

    Returns:
        tuple[Path, Path]: The folder, and the manifest of what is in it.

    Raises:
        FileNotFoundError: If a folder of pictures is not there.
    """
    pictures = out / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        write_manifest(data / name, out / "data" / f"{name.replace('/', '_')}.json")
        link = pictures / name.split("/")[0]
        if not link.exists():
            link.symlink_to(data / name)
    everything = out / "data" / "pictures.json"
    names = [f"{name.replace('/', '_')}.json" for name in PICTURES]
    everything.write_text("\n".join((out / "data" / n).read_text() for n in names))
    return pictures, everything


def plan_simmim(
    data: Path, out: Path, epochs: int, options: Sequence[str] = ()
) -> Stage:
    """Plan SimMIM on all pictures.

    Args:
        data (Path): The folder that holds the sets'.
        out (Path): The folder of all runs.
        epochs (int): How long.
        options (Sequence[str]): More options of the config.

    Raises:
        FileNotFoundError: If a folder of pictures is not there.
    """
    pictures, everything = gather_pictures(data, out)
    options = [
        f"data_root={pictures}",
        f"train_cfg.max_epochs={epochs}",
        f"param_scheduler.1.end={epochs}",
        "randomness.seed=0",
        *options,
    ]
    return Stage(
        title="SimMIM",
        folder=out / "simmim",
        command=("tools/train.py", str(CONFIG), "--amp", "--cfg-options", *options),
        seconds=SECONDS * epochs,
        data=everything,
        configs=(BASE, CONFIG.parent, ROOT / "configs" / "simmim"),
    )
