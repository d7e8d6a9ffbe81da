"""A schedule of windows and resolutions in real runs of mmengine."""

import json
from pathlib import Path

import pytest
import torch
from tiny import fresh_globals
from toy import SCHEDULE, Kill, Killed, build, in_processes, train_rank

STEPS = [((32, 32), (4, 4)), ((48, 48), (8, 6)), ((64, 64), (8, 8))]


@pytest.fixture(autouse=True)
def _fresh():
    with fresh_globals():
        yield


def seen(runner, mode="loss"):
    """(image size, window of stage 0) of every batch of a kind."""
    model = getattr(runner.model, "module", runner.model)
    return [what for kind, *what in map(list, model.seen) if kind == mode]


def expected(*counts):
    return [
        list(step)
        for step, count in zip(STEPS, counts, strict=True)
        for _ in range(count)
    ]


def log_of(runner):
    return Path(runner.log_dir, f"{runner.timestamp}.log").read_text()


def saved(folder, name):
    return torch.load(folder / f"{name}.pth", weights_only=False)


def tensors(checkpoint):
    """All tensors of a checkpoint: weights, average, optimizer."""
    found = dict(checkpoint["state_dict"])
    found |= {f"ema.{k}": v for k, v in checkpoint.get("ema_state_dict", {}).items()}
    for i, state in checkpoint["optimizer"]["state"].items():
        found |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
    return found


def assert_same(one, other):
    one, other = tensors(one), tensors(other)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("workers", [0, 2])
def test_windows_and_images_follow_the_iteration(workers, tmp_path):
    """Also with workers that read ahead and live on."""
    runner = build(tmp_path, dict(schedule=SCHEDULE), workers=workers)
    runner.train()
    assert seen(runner) == expected(2, 2, 2)
    text = log_of(runner)
    assert text.count("image scale") == 3
    assert (
        "iteration 2: window 4, 4, 4, 4 -> 8x6, 8x6, 8x6, 8x6, image scale 0.5 -> 0.75"
        in text
    )
    pictures = sorted(path.name for path in tmp_path.rglob("bias_maps*"))
    assert pictures == [f"bias_maps_{i}.png" for i in (0, 2, 4)]
    (scalars,) = tmp_path.rglob("scalars.json")
    curves = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert [row["window_size"] for row in curves] == [4, 4, 8, 8, 8, 8]
    assert [row["image_scale"] for row in curves] == [0.5, 0.5, 0.75, 0.75, 1, 1]


def test_epochs_may_count(tmp_path):
    schedule = [dict(step, begin=i) for i, step in enumerate(SCHEDULE)]
    hook = dict(schedule=schedule, by_epoch=True, plot=False)
    runner = build(tmp_path, hook, epochs=3, batch_size=4, workers=1)
    runner.train()
    assert seen(runner) == expected(2, 2, 2)
    assert "epoch 2: window" in log_of(runner)


@pytest.mark.parametrize("killed_at", [1, 2, 3, 5])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_killed_and_resumed_run_is_bit_identical(killed_at, workers, tmp_path):
    """In the middle of a step, and where one begins; average and optimizer too."""
    ema = dict(type="EMAHook", momentum=0.5)
    hook = dict(schedule=SCHEDULE, plot=False)
    build(tmp_path / "whole", hook, hooks=(ema,)).train()
    cut = build(tmp_path / "parts", hook, hooks=(ema, Kill(killed_at)), workers=workers)
    with pytest.raises(Killed):
        cut.train()
    rest = build(tmp_path / "parts", hook, hooks=(ema,), workers=workers, resume=True)
    rest.train()
    assert seen(rest) == expected(2, 2, 2)[killed_at:]
    whole, parts = (saved(tmp_path / name, "iter_6") for name in ("whole", "parts"))
    assert len(tensors(whole)) > 300
    assert_same(whole, parts)
    record = parts["state_dict"]["backbone.window_record"]
    assert record[:, 0].tolist() == [[8, 8], [8, 8], [8, 8], [4, 4]]


@pytest.mark.parametrize("kind", ["linear_cpb", "table"])
def test_every_position_bias_goes_through_a_schedule(kind, tmp_path):
    hook = dict(schedule=SCHEDULE, plot=False)
    backbone = dict(position_bias=kind)
    build(tmp_path / "whole", hook, backbone=backbone).train()
    with pytest.raises(Killed):
        build(tmp_path / "parts", hook, backbone=backbone, hooks=(Kill(3),)).train()
    build(tmp_path / "parts", hook, backbone=backbone, resume=True).train()
    whole, parts = (saved(tmp_path / name, "iter_6") for name in ("whole", "parts"))
    assert_same(whole, parts)


def test_windows_of_the_average_follow(tmp_path):
    ema = dict(type="EMAHook", momentum=0.5)
    hook = dict(schedule=SCHEDULE, plot=False)
    runner = build(tmp_path, hook, hooks=(ema,), iters=3)
    runner.train()
    (average,) = (h.ema_model for h in runner.hooks if hasattr(h, "ema_model"))
    assert average.module.backbone.window_size == ((8, 6),) * 4
    state = saved(tmp_path, "iter_3")
    for name in ("state_dict", "ema_state_dict"):
        (record,) = (v for k, v in state[name].items() if "window_record" in k)
        assert record[0, 0].tolist() == [8, 6]


def test_two_processes_equal_one(tmp_path):
    for world in (1, 2):
        in_processes(train_rank, world, str(tmp_path / str(world)))
    one, two = (saved(tmp_path / str(world), "iter_6") for world in (1, 2))
    for name, tensor in one["state_dict"].items():
        other = two["state_dict"][name]
        torch.testing.assert_close(other, tensor, rtol=1e-3, atol=1e-5)


def test_bf16_follows(tmp_path):
    hook = dict(schedule=SCHEDULE, plot=False)
    runner = build(tmp_path, hook, backbone=dict(amp=True))
    runner.train()
    assert seen(runner) == expected(2, 2, 2)
    assert all(p.isfinite().all() for p in runner.model.parameters())


def test_a_compiled_step_is_compiled_anew_for_other_windows(tmp_path):
    hook = dict(schedule=SCHEDULE[:2], plot=False)
    sgd = dict(type="SGD", lr=0.05)
    for name, cfg in (("plain", {}), ("compiled", {"compile": {"backend": "eager"}})):
        build(tmp_path / name, hook, iters=4, optimizer=sgd, cfg=cfg).train()
    plain, compiled = (saved(tmp_path / n, "iter_4") for n in ("plain", "compiled"))
    for name, tensor in plain["state_dict"].items():
        torch.testing.assert_close(compiled["state_dict"][name], tensor)


def test_evaluation_has_windows_of_its_own(tmp_path):
    hook = dict(schedule=SCHEDULE, test_window_size=12, plot=False)
    ema = dict(type="EMAHook", momentum=0.5)
    runner = build(tmp_path, hook, val_interval=2, iters=4, hooks=(ema,))
    runner.train()
    assert seen(runner) == expected(2, 2, 0)
    assert seen(runner, "predict") == [[(64, 64), (12, 12)]] * 8
    assert runner.model.backbone.window_size == ((8, 6),) * 4
    record = saved(tmp_path, "iter_4")["state_dict"]["backbone.window_record"]
    assert record[0, 0].tolist() == [8, 6]
    runner.test()
    assert seen(runner, "predict")[8:] == [[(64, 64), (12, 12)]] * 4


def test_validation_without_windows_of_its_own_takes_those_of_training(tmp_path):
    hook = dict(schedule=SCHEDULE, plot=False)
    runner = build(tmp_path, hook, val_interval=3, iters=3)
    runner.train()
    assert seen(runner, "predict") == [[(64, 64), (8, 6)]] * 4


def test_a_test_takes_the_windows_of_the_checkpoint(tmp_path):
    """The config has those of the end, the checkpoint is of the middle."""
    hook = dict(schedule=SCHEDULE, plot=False)
    build(tmp_path, hook, iters=4).train()
    runner = build(tmp_path, hook, load_from=str(tmp_path / "iter_3.pth"))
    runner.test()
    assert seen(runner, "predict") == [[(64, 64), (8, 6)]] * 4


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ([dict(begin=0, window_size=8, scale=0.25)], r"largest map of 4 x 4 tokens"),
        ([dict(begin=0), dict(begin=3, window_size=32)], r"from 3 the window is \(32"),
        ([dict(begin=0, window_size=[8, 8, 8])], "window_size=.*expected a positive"),
    ],
)
def test_what_no_image_fills_stops_before_training(schedule, message, tmp_path):
    runner = build(tmp_path, dict(schedule=schedule, plot=False), iters=4)
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert not [*tmp_path.glob("*.pth")]


def test_counting_epochs_in_a_run_of_iterations_is_refused(tmp_path):
    hook = dict(schedule=SCHEDULE, by_epoch=True)
    with pytest.raises(ValueError, match="this run counts iterations"):
        build(tmp_path, hook).train()


def test_a_step_after_the_end_is_warned_of(tmp_path):
    runner = build(tmp_path, dict(schedule=SCHEDULE, plot=False), iters=1)
    runner.train()
    assert "begins at 4, but training ends at 1" in log_of(runner)


def test_a_window_beside_a_schedule_is_refused(tmp_path):
    with pytest.raises(ValueError, match="window_size=8 and a schedule"):
        build(tmp_path, dict(schedule=SCHEDULE, window_size=8))
