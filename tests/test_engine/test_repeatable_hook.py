"""A resumed run has the bits of one that was never interrupted."""

import numpy as np
import pytest
import torch
from noisy_runs import Noise, noisy
from torch.utils.data import ConcatDataset

from mmswinv2.datasets.fetch import Batch, Fetch, seed_everything

EPOCHS = dict(by_epoch=True, max_epochs=2)
ITERS = dict(by_epoch=False, max_iters=10, val_interval=4)


def assert_same(one, other, name):
    """All tensors of two checkpoints, and of their averages and gradients."""
    one, other = (
        torch.load(folder / name, weights_only=False) for folder in (one, other)
    )
    flat = []
    for checkpoint in (one, other):
        groups = [checkpoint["state_dict"], checkpoint.get("ema_state_dict", {})]
        groups += checkpoint["optimizer"]["state"].values()
        groups += [checkpoint.get("gradients", {})]
        flat.append([(k, v) for group in groups for k, v in group.items()])
    assert len(flat[0]) == len(flat[1]) > 5
    for (key, tensor), (other_key, other_tensor) in zip(*flat):
        assert key == other_key
        assert torch.equal(tensor, other_tensor), key


def resumed(tmp_path, kill, *, name, seed=5, **options):
    """Compares a whole run with one that is killed and goes on, without its seed."""
    whole = noisy(tmp_path / "whole", randomness=dict(seed=seed), **options)
    noisy(tmp_path / "cut", kill=kill, randomness=dict(seed=seed), **options)
    rest = noisy(tmp_path / "cut", resume=True, randomness=dict(seed=None), **options)
    assert_same(tmp_path / "whole", tmp_path / "cut", name)
    seen = rest.model.seen
    assert 0 < len(seen) < len(whole.model.seen)
    for one, other in zip(whole.model.seen[-len(seen) :], seen, strict=True):
        assert torch.equal(one, other)
    return rest


@pytest.mark.parametrize("kill", [2, 5, 6])
@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_goes_on_in_its_middle(workers, kill, tmp_path):
    """Evaluation draws too, and is not repeated."""
    loader = dict(num_workers=workers)
    resumed(tmp_path, kill, name="iter_8.pth", loader=loader, train_cfg=EPOCHS)


def test_epochs_go_on_at_their_ends(tmp_path):
    checkpoint = dict(by_epoch=True)
    resumed(tmp_path, 6, name="epoch_2.pth", train_cfg=EPOCHS, checkpoint=checkpoint)


SAMPLERS = {
    "infinite": dict(sampler=dict(type="InfiniteSampler", shuffle=True)),
    "finite": dict(sampler=dict(type="DefaultSampler", shuffle=True)),
    "dropping": dict(sampler=dict(type="DefaultSampler", shuffle=True), drop_last=True),
    "by class": dict(sampler=dict(type="mmdet.ClassAwareSampler")),
    "by shape": dict(
        sampler=dict(type="InfiniteSampler", shuffle=True),
        batch_sampler=dict(type="mmdet.AspectRatioBatchSampler"),
    ),
    "by shape in epochs": dict(
        sampler=dict(type="DefaultSampler", shuffle=True),
        batch_sampler=dict(type="mmdet.AspectRatioBatchSampler", drop_last=True),
    ),
    "repeated": dict(
        sampler=dict(type="mmpretrain.RepeatAugSampler", num_repeats=3),
    ),
}


WITH_WORKERS = ("infinite", "by shape in epochs")
CASES = [(name, 0) for name in SAMPLERS] + [(name, 2) for name in WITH_WORKERS]


@pytest.mark.parametrize(("sampler", "workers"), CASES)
def test_iterations_go_on_with_any_sampler(sampler, workers, tmp_path):
    if "Repeat" in str(SAMPLERS[sampler]):
        pytest.importorskip("mmpretrain")
    ema = dict(type="EMAHook", momentum=0.1)
    resumed(
        tmp_path,
        8,
        name="iter_10.pth",
        loader=dict(num_workers=workers, **SAMPLERS[sampler]),
        train_cfg=ITERS,
        checkpoint=dict(interval=7),
        hooks=(ema,),
    )


def test_each_process_may_have_its_seed(tmp_path):
    """The sampler's, which mmengine then draws anew, is the run's."""
    for name, kill, seed in (("whole", 0, 5), ("cut", 5, 5), ("cut", 0, None)):
        noisy(
            tmp_path / name,
            kill=kill,
            resume=seed is None,
            randomness=dict(seed=seed, diff_rank_seed=True),
        )
    assert_same(tmp_path / "whole", tmp_path / "cut", "iter_8.pth")


def test_gradients_of_half_a_step_are_kept(tmp_path):
    wrapper = dict(accumulative_counts=4)
    resumed(tmp_path, 7, name="iter_10.pth", optim_wrapper=wrapper, train_cfg=ITERS)
    half = torch.load(tmp_path / "cut/iter_6.pth", weights_only=False)
    assert half["gradients"].keys() == half["state_dict"].keys()
    assert "gradients" not in torch.load(
        tmp_path / "cut/iter_4.pth", weights_only=False
    )


def test_workers_make_no_difference(tmp_path):
    for workers in (0, 2):
        noisy(tmp_path / str(workers), loader=dict(num_workers=workers))
    assert_same(tmp_path / "0", tmp_path / "2", "iter_8.pth")


def test_nothing_is_read_to_get_to_the_middle(tmp_path):
    """Mmengine 0.10 reads, and throws away, all that was trained."""
    read = []

    class Counted(Noise):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    loader = dict(dataset=Counted(), sampler=dict(type="InfiniteSampler"))
    options = dict(loader=loader, train_cfg=dict(by_epoch=False, max_iters=10))
    noisy(tmp_path, kill=9, **options)
    read.clear()
    noisy(tmp_path, resume=True, **options)
    assert len(read) == 2 * 3


def test_another_batch_size_is_told_and_goes_on(tmp_path, capfd):
    noisy(tmp_path, kill=3)
    capfd.readouterr()
    runner = noisy(tmp_path, resume=True, loader=dict(batch_size=2))
    text = capfd.readouterr()
    assert "batch_size=3" in text.err + text.out
    assert runner.epoch == 2


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("split", ["train", "val"])
def test_an_error_over_a_sample_names_its_file(split, workers, tmp_path):
    loader = dict(dataset=Noise(broken=4), num_workers=workers)
    options = dict(loader=loader) if split == "train" else dict(val_loader=loader)
    with pytest.raises(RuntimeError) as caught:
        noisy(tmp_path, **options)
    assert "sample 4, pictures/4.jpg, could not be read: OSError: image file" in str(
        caught.value
    )


def test_too_few_samples_for_a_batch_are_told(tmp_path):
    loader = dict(batch_size=12, drop_last=True)
    with pytest.raises(ValueError, match="gives no batch"):
        noisy(tmp_path, loader=loader, train_cfg=ITERS)


def test_a_batch_is_drawn_from_its_position_alone():
    fetch = Fetch(Noise())
    first, again, other = (
        torch.stack(fetch(Batch([1, 2], position)))
        for position in ((3, 4), (3, 4), (4, 3))
    )
    assert torch.equal(first, again)
    assert not (first == other)[:, 1:].any()


def test_a_dataset_of_whole_batches_is_asked_for_them():
    class Whole(Noise):
        def __getitems__(self, indices):
            return [self[index] for index in indices] + [torch.zeros(4)]

    assert len(Fetch(Whole())([1, 2])) == 3
    assert len(Fetch(ConcatDataset([Noise(), Noise()]))([1, 12])) == 2


def test_all_generators_are_seeded():
    import random

    draws = []
    for _ in range(2):
        seed_everything(1, 2)
        draws.append((random.random(), np.random.rand(), torch.rand(2).tolist()))
    assert draws[0] == draws[1]
