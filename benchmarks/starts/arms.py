"""Trainings of the same sets with the same budget that differ in where they start."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from real_sets import OwnSet, write_config, write_manifest

from mmswinv2.cli.stages import WEIGHTS, Stage
from mmswinv2.cli.transfer_plan import BASE, NO_VALIDATION, schedule_options

FROM_WEIGHTS = (
    "model.backbone.init_cfg.type=Pretrained",
    f"model.backbone.init_cfg.checkpoint={WEIGHTS}",
)


@dataclass(frozen=True)
class Arm:
    """Training on one set from one start with one seed, and its test.

    Args:
        own (OwnSet): The set.
        start (str): What it starts from.
        seed (int): Of the training.
        train (Stage): The training.
        test (Stage): The test of its last weights.
    """

    own: OwnSet
    start: str
    seed: int
    train: Stage
    test: Stage


@dataclass(frozen=True)
class Comparison:
    """All that a benchmark of starts runs.

    Args:
        arms (Sequence[Arm]): The trainings that are compared.
        starts (Mapping[str, str]): What the table calls each start, in its order.
        pretrainings (Mapping[str, Sequence[Stage]]): What the starts come from, by
            title, a stage for each seed.
    """

    arms: Sequence[Arm]
    starts: Mapping[str, str]
    pretrainings: Mapping[str, Sequence[Stage]]

    def of(self, starts: Collection[str]) -> Comparison:
        """The same of some starts alone."""
        return replace(self, arms=[arm for arm in self.arms if arm.start in starts])

    def stages(self) -> list[Stage]:
        """Trainings and tests; pre-trainings are what these come after."""
        return [stage for arm in self.arms for stage in (arm.train, arm.test)]

    def finished(self) -> Comparison:
        """What of it has finished: arms that are tested, and whole pre-trainings."""
        return Comparison(
            [arm for arm in self.arms if arm.test.is_done()],
            self.starts,
            {
                title: [stage for stage in stages if stage.is_done()]
                for title, stages in self.pretrainings.items()
            },
        )


def write_low_config(own: OwnSet, data: Path, out: Path) -> Path:
    """Write a set's manifest and its config for the low resolution.

    Args:
        own (OwnSet): The set.
        data (Path): The folder that holds the set's.
        out (Path): The folder of all runs.

    Returns:
        Path: The config.
    """
    write_manifest(data / own.name, out / "data" / f"{own.name}.json")
    config = out / "configs" / own.name / "low.py"
    write_config(own, data, config, high=False)
    return config


def plan_arm(
    own: OwnSet,
    start: str,
    seed: int,
    config: Path,
    out: Path,
    *,
    before: Stage | None = None,
    options: Sequence[str] = (),
    iterations: int | None = None,
) -> Arm:
    """Plan a training of a set, with its own schedule, and the test.

    Args:
        own (OwnSet): The set.
        start (str): What it starts from.
        seed (int): Of the training.
        config (Path): The set's, of ``write_low_config``.
        out (Path): The folder of all runs.
        before (Stage, optional): The training whose backbone it starts from. Defaults
            to None: random weights.
        options (Sequence[str]): Of the config, in training alone.
        iterations (int, optional): How long it trains. Defaults to None: as the set's
            config says.
    """
    folder = out / f"seed-{seed}" / own.name / start
    common = dict(data=out / "data" / f"{own.name}.json", configs=(BASE, config.parent))
    usual = own.iterations[0]
    if iterations not in (None, usual):
        saving = f"default_hooks.checkpoint.interval={-(-iterations // 10)}"
        options = (*options, *schedule_options(iterations), saving)
    train = Stage(
        title=f"{own.name}: train from {start}, seed {seed}",
        folder=folder / "train",
        command=(
            *("tools/train.py", str(config), "--cfg-options"),
            *(f"randomness.seed={seed}", *NO_VALIDATION, *options),
            *(FROM_WEIGHTS if before else ()),
        ),
        seconds=own.seconds[0] * (iterations or usual) / usual,
        after=before,
        **common,
    )
    kept = f"{own.keep}={folder / 'predictions'}"
    test = Stage(
        title=f"{own.name}: test from {start}, seed {seed}",
        folder=folder / "test",
        command=("tools/test.py", str(config), WEIGHTS, "--cfg-options", kept),
        seconds=own.seconds[1],
        after=train,
        **common,
    )
    return Arm(own, start, seed, train, test)
