"""From a small window to a large one: the stages of a task, and the rows they fill.

Train at a low resolution with a small window; test the weights at the high one with a
large window as they are; fine-tune there; test again.
"""

from __future__ import annotations

import enum
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmswinv2.cli.stages import LOG, WEIGHTS, Stage, last_iteration
from mmswinv2.places import CONFIG_DIR

BASE = CONFIG_DIR / "_base_"
# A stage of its own tests the weights, so training does not.
NO_VALIDATION = ("val_cfg=None", "val_dataloader=None", "val_evaluator=None")


class Row(enum.Enum):
    """The rows of the table."""

    LOW = "low resolution"
    AS_IS = "high, not tuned"
    HIGH = "high, fine-tuned"
    CONTROL = "low, same time"


@dataclass(frozen=True)
class Task:
    """What differs between tasks.

    Args:
        name (str): Its name, which is also a folder's.
        low (Path): Config of the low-resolution run.
        high (Path): Config of the high-resolution run, in the same folder.
        keep (str): Option of tools/test.py that keeps the predictions.
        seconds (tuple[float, float, float, float]): How long it takes on one core to
            train and test at the low resolution, then at the high one.
        manifest (str): The file in the folder of the data that changes when they do.
        data_root (str, optional): Data root inside that folder. Defaults to None: as
            the configs say.
    """

    name: str
    low: Path
    high: Path
    keep: str
    seconds: tuple[float, float, float, float]
    manifest: str
    data_root: str | None = None


@dataclass(frozen=True)
class Plan:
    """The stages of one task with one seed.

    Args:
        task (Task): The task.
        seed (int): Seed of its training runs.
        out (Path): The folder of all runs.
        data (Path): The folder of the data.
        iterations (tuple[int, int], optional): Length of the low- and the
            high-resolution run. Defaults to None: as the configs say.
    """

    task: Task
    seed: int
    out: Path
    data: Path
    iterations: tuple[int, int] | None = None

    @property
    def folder(self) -> Path:
        """Where its stages write."""
        return self.out / f"seed-{self.seed}" / self.task.name

    def train_low(self) -> Stage:
        """Train from scratch at the low resolution."""
        iterations = self.iterations[0] if self.iterations else None
        return self._train("low", self.task.low, iterations, None)

    def train_high(self) -> Stage:
        """Fine-tune the low-resolution weights at the high resolution."""
        iterations = self.iterations[1] if self.iterations else None
        return self._train("high", self.task.high, iterations, self.train_low())

    def train_control(self) -> Stage:
        """Fine-tune at the low resolution, for as long as at the high one took."""
        low, high = self.train_low(), self.train_high()
        _, iterations = last_iteration(low.folder / LOG)
        iterations *= high.record()["seconds"] / low.record()["seconds"]
        return self._train("control", self.task.low, round(iterations), low)

    def test(self, row: Row) -> Stage:
        """Test the weights that a row of the table stands for."""
        is_low = row in (Row.LOW, Row.CONTROL)
        config = self.task.low if is_low else self.task.high
        train = {Row.HIGH: self.train_high, Row.CONTROL: self.train_control}
        title = f"test {row.value}"
        return self._stage(
            title,
            ("tools/test.py", str(config), WEIGHTS),
            [f"{self.task.keep}={self._folder(title) / 'predictions'}"],
            self.task.seconds[1 if is_low else 3],
            train.get(row, self.train_low)(),
        )

    def stages(self) -> list[Stage]:
        """All that the three rows need, in order."""
        tests = [self.test(row) for row in (Row.LOW, Row.AS_IS, Row.HIGH)]
        return [self.train_low(), *tests[:2], self.train_high(), tests[2]]

    def scores(self, row: Row) -> dict[str, float]:
        """What the test of a row measured."""
        return self.test(row).scores()

    def control_stages(self) -> list[Stage]:
        """What the control needs, once the other stages have finished."""
        return [self.train_control(), self.test(Row.CONTROL)]

    def _train(
        self, name: str, config: Path, iterations: int | None, after: Stage | None
    ) -> Stage:
        options = [f"randomness.seed={self.seed}", *NO_VALIDATION]
        if iterations:
            options += schedule_options(iterations)
        if after:
            options.append(f"load_from={WEIGHTS}")
        return self._stage(
            f"train {name}",
            ("tools/train.py", str(config)),
            options,
            self.task.seconds[0 if config == self.task.low else 2],
            after,
        )

    def _stage(
        self,
        title: str,
        script: tuple[str, ...],
        options: Sequence[str],
        seconds: float,
        after: Stage | None,
    ) -> Stage:
        if self.task.data_root:
            data_root = f"data_root={self.data / self.task.data_root}"
            options = [data_root, *options]
        return Stage(
            title=f"{self.task.name}: {title}",
            folder=self._folder(title),
            command=(*script, "--cfg-options", *options),
            seconds=seconds,
            data=self.data / self.task.manifest,
            configs=(BASE, self.task.low.parent),
            after=after,
        )

    def _folder(self, title: str) -> Path:
        return self.folder / title.replace(",", "").replace(" ", "_")


def schedule_options(iterations: int) -> tuple[str, ...]:
    """Options of a config that make its schedule so long; a tenth is warm-up."""
    warm_up = iterations // 10
    return (
        f"train_cfg.max_iters={iterations}",
        f"param_scheduler.0.end={warm_up}",
        f"param_scheduler.1.begin={warm_up}",
        f"param_scheduler.1.end={iterations}",
    )


def format_cell(values: Sequence[float]) -> str:
    """Format a value, or the mean and spread of several."""
    mean = statistics.mean(values)
    if len(values) == 1:
        return f"{mean:.1f}"
    return f"{mean:.1f}±{statistics.stdev(values):.1f}"
