"""What the quick start runs: the stages of each task, and the rows they fill."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stages import LOG, ROOT, WEIGHTS, Stage, last_iteration

CONFIGS = ROOT / "configs" / "mini"
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
    """What differs between detection and segmentation.

    Args:
        name (str): Its name, which is also a folder's.
        low (str): Config of the low-resolution run.
        high (str): Config of the high-resolution run.
        data (str): Data root inside the folder of the mini data.
        keep (str): Option of tools/test.py that keeps the predictions.
        seconds (tuple[float, float, float, float]): How long it takes on one core to
            train and test at the low resolution, then at the high one.
    """

    name: str
    low: str
    high: str
    data: str
    keep: str
    seconds: tuple[float, float, float, float]


DETECTION = Task(
    "detection",
    "mask-rcnn_swinv2-nano-p4-w8_fpn_mini-128px.py",
    "mask-rcnn_swinv2-nano-p4-w16_fpn_mini-256px.py",
    "coco",
    "test_evaluator.outfile_prefix",
    (110, 12, 120, 14),
)
SEGMENTATION = Task(
    "segmentation",
    "swinv2-nano-p4-w8_upernet_mini-128px.py",
    "swinv2-nano-p4-w16_upernet_mini-256px.py",
    "ade/ADEChallengeData2016",
    "test_evaluator.output_dir",
    (120, 11, 160, 15),
)
TASKS = (DETECTION, SEGMENTATION)


@dataclass(frozen=True)
class Plan:
    """The stages of one task with one seed.

    Args:
        task (Task): The task.
        seed (int): Seed of its training runs.
        out (Path): The quick start's folder.
        data (Path): The folder of the mini data.
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
            ("tools/test.py", str(CONFIGS / config), WEIGHTS),
            [f"{self.task.keep}={self._folder(title) / 'predictions'}"],
            self.task.seconds[1 if is_low else 3],
            train.get(row, self.train_low)(),
        )

    def stages(self) -> list[Stage]:
        """All that the three rows need, in order."""
        tests = [self.test(row) for row in (Row.LOW, Row.AS_IS, Row.HIGH)]
        return [self.train_low(), *tests[:2], self.train_high(), tests[2]]

    def control_stages(self) -> list[Stage]:
        """What the control needs, once the other stages have finished."""
        return [self.train_control(), self.test(Row.CONTROL)]

    def _train(
        self, name: str, config: str, iterations: int | None, after: Stage | None
    ) -> Stage:
        options = [f"randomness.seed={self.seed}", *NO_VALIDATION]
        if iterations:
            warm_up = iterations // 10
            options += [
                f"train_cfg.max_iters={iterations}",
                f"param_scheduler.0.end={warm_up}",
                f"param_scheduler.1.begin={warm_up}",
                f"param_scheduler.1.end={iterations}",
            ]
        if after:
            options.append(f"load_from={WEIGHTS}")
        return self._stage(
            f"train {name}",
            ("tools/train.py", str(CONFIGS / config)),
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
        data_root = f"data_root={self.data / self.task.data}"
        return Stage(
            title=f"{self.task.name}: {title}",
            folder=self._folder(title),
            command=(*script, "--cfg-options", data_root, *options),
            seconds=seconds,
            data=self.data / "mini.json",
            after=after,
        )

    def _folder(self, title: str) -> Path:
        return self.folder / title.replace(",", "").replace(" ", "_")
