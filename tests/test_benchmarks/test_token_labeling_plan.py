"""The benchmark of Token Labeling: its labels and what it plans, untrained."""

from argparse import Namespace
from pathlib import Path

import cv2
import numpy as np
import pytest
from finished import finish
from gains import write_report
from tiny import ROOT, load_script

from mmswinv2.config_types import read_config
from mmswinv2.pretraining.map_store import MapStore

RUN = load_script("benchmarks/token_labeling/run.py")


@pytest.fixture
def args(few_pictures: Path, tmp_path: Path) -> Namespace:
    """Of the command, for a picture whose left half is class 3 and the right void."""
    labels = np.full((16, 32), 255, np.uint8)
    labels[:, :16] = 3
    cv2.imwrite(str(few_pictures / "camvid/ann_dir/train/1.png"), labels)
    options = dict(seeds=[0, 1], epochs=8, workers=0, iterations=None)
    return Namespace(data=few_pictures, out=tmp_path / "out", **options)


def test_cells_have_the_shares_of_their_classes() -> None:
    from dense_labels import class_shares

    labels = np.array([[0, 0, 255, 255], [1, 0, 255, 255]], np.uint8)
    shares = class_shares(labels, 2, 2)
    assert shares.tolist() == [[[0.75, 0.0]], [[0.25, 0.0]]]
    with pytest.raises(ValueError, match="2 x 4 px is no grid of cells of 3 px"):
        class_shares(labels, 2, 3)


def test_exact_labels_are_a_store_and_only_what_is_labelled_counts(
    args: Namespace,
) -> None:
    RUN.make_plan(args)
    store = MapStore(args.out / "labels")
    values, ids = store.read("1.jpg")
    assert store.grid == (2, 4) and store.spec.values == "probabilities"
    assert values[3].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]
    assert values.sum() == 4
    assert (ids == np.arange(11)[:, None, None]).all()
    written = (args.out / "labels" / "manifest.json").stat().st_mtime_ns
    RUN.make_plan(args)
    assert (args.out / "labels" / "manifest.json").stat().st_mtime_ns == written
    (args.data / "camvid/img_dir/train/2.jpg").touch()
    with pytest.raises(ValueError, match=r"made of another data folder"):
        RUN.make_plan(args)


def test_objectives_differ_in_what_they_are_named_for_alone(args: Namespace) -> None:
    plan = RUN.make_plan(args)
    arms = {arm.start: arm for arm in plan.arms if arm.seed == 1}
    assert [*arms] == [*plan.starts]
    scratch, longer = arms["scratch"].train, arms["longer"].train
    assert scratch.after is longer.after is None
    # 8 passes over one picture in batches of 4
    assert {*longer.command} - {*scratch.command} >= {"train_cfg.max_iters=602"}
    trained = [arms[start].train for start in ("class", "token", "teacher")]
    assert len({stage.command for stage in trained}) == 1
    of_class, token, teacher = (stage.after for stage in trained)
    assert {*of_class.command} ^ {*token.command} == {"model.head.token_weight=0"}
    store = "train_dataloader.dataset.pipeline.1.store="
    maps = teacher.after
    assert {*teacher.command} ^ {*token.command} == {
        f"{store}{args.out / 'labels'}",
        f"{store}{maps.folder / 'maps'}",
    }
    assert maps.after == scratch


def test_a_report_of_some_arms_leaves_the_others_out(args: Namespace) -> None:
    plan = RUN.make_plan(args).of(["scratch", "token"])
    assert {arm.start for arm in plan.arms} == {"scratch", "token"}
    for arm, score in zip(plan.arms[:3], (30.0, 36.0, 34.0)):
        finish(arm.train, 50)
        finish(arm.test, 10, mIoU=score, aAcc=80.0)
    assert write_report(plan.finished(), args.out).splitlines()[2:] == [
        "| from random weights | 32.0±2.8 | 80.0±0.0 |",
        "| class and token terms | 36.0 | 80.0 |",
    ]


def test_the_schedule_of_pretraining_ends_with_it() -> None:
    cfg = read_config(ROOT / "benchmarks/token_labeling/token_labeling_nano.py")
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_epochs == RUN.EPOCHS
    pipeline = cfg.train_dataloader.dataset.pipeline
    assert pipeline[1].type == "mmswinv2.LoadTokenLabels" and "store" in pipeline[1]
