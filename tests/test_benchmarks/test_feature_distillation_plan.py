"""The benchmark of Feature Distillation: what it plans, untrained."""

from argparse import Namespace
from pathlib import Path

import pytest
from tiny import ROOT, load_script

from mmswinv2.cli.stages import WEIGHTS
from mmswinv2.config_types import read_config

RUN = load_script("benchmarks/feature_distillation/run.py")


@pytest.fixture
def args(few_pictures: Path, tmp_path: Path) -> Namespace:
    options = dict(seeds=[0, 1], sets=["camvid", "nuclei"], workers=0, iterations=None)
    epochs = dict(epochs=5, simmim_epochs=7)
    return Namespace(data=few_pictures, out=tmp_path / "out", **options, **epochs)


def test_students_learn_from_simmim_and_from_what_was_trained_on_their_set(
    args: Namespace,
) -> None:
    plan = RUN.make_plan(args)
    for own in ("camvid", "nuclei"):
        arms = {a.start: a for a in plan.arms if (a.own.name, a.seed) == (own, 1)}
        assert [*arms] == [*plan.starts]
        scratch, simmim, student, own_student = (a.train for a in arms.values())
        assert {*student.command} - {*scratch.command} == {
            "model.backbone.init_cfg.type=Pretrained",
            f"model.backbone.init_cfg.checkpoint={WEIGHTS}",
        }
        assert student.command == simmim.command == own_student.command
        assert student.after.after == simmim.after
        assert own_student.after.after == scratch
        # the same but for the teacher's config; the stage gives its weights
        first, second = student.after.command, own_student.after.command
        changed = [pair for pair in zip(first, second) if pair[0] != pair[1]]
        assert changed == [
            (
                f"model.teacher.config={RUN.SIMMIM}",
                f"model.teacher.config={args.out / 'configs' / own / 'low.py'}",
            )
        ]
        assert f"model.teacher.weights={WEIGHTS}" in first
    counts = [len(set(stages)) for stages in plan.pretrainings.values()]
    assert counts == [1, 2, 4]


def test_the_schedule_of_distillation_ends_with_it() -> None:
    path = "benchmarks/feature_distillation/feature_distillation_nano.py"
    cfg = read_config(ROOT / path)
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_epochs == RUN.FD_EPOCHS
    assert cfg.model.teacher.type == "mmswinv2.ConfigTeacher"
