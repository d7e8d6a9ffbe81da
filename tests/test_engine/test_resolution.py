"""Batches at another resolution, those of MMDetection and MMSegmentation."""

import pytest
import torch
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from tiny import DET, SEG, fresh_globals, load_script, load_tiny
from torch import nn

from mmswinv2.engine.resolution import FixedSizes, image_sizes, resize_batch


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "mini"
    make_mini = load_script("tools/dataset_converters/make_mini.py").make_mini
    make_mini(root, train=6, val=2, size=128)
    return root


def config(name, data):
    cfg = load_tiny(name)
    folder = data / ("coco" if name == DET else "ade/ADEChallengeData2016")
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        cfg[loader].dataset.data_root = str(folder)
    if name == DET:
        ann_file = str(folder / "annotations/instances_val2017.json")
        cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = ann_file
    return cfg


def samples(cfg, size):
    """What the training pipeline gives at a size, without flips."""
    dataset = cfg.train_dataloader.dataset.to_dict()
    dataset["pipeline"] = [t for t in dataset["pipeline"] if t["type"] != "RandomFlip"]
    dataset["pipeline"][2]["scale"] = (size, size)
    init_default_scope(cfg.default_scope)
    return [*DATASETS.build(dataset)]


@pytest.mark.parametrize("name", [DET, SEG])
def test_it_is_what_the_pipeline_gives_at_that_size(name, data):
    cfg = config(name, data)
    whole, half = samples(cfg, 128), samples(cfg, 64)
    batch = {key: [sample[key] for sample in whole] for key in whole[0]}
    resize_batch(batch, 0.5)
    for image, sample, expected in zip(batch["inputs"], batch["data_samples"], half):
        assert image.shape == expected["inputs"].shape
        assert (image - expected["inputs"].float()).abs().mean() < 8  # of 255
        expected = expected["data_samples"]
        assert sample.img_shape == expected.img_shape
        assert sample.scale_factor == pytest.approx(expected.scale_factor)
        if name == SEG:
            same = sample.gt_sem_seg.data == expected.gt_sem_seg.data
            assert sample.gt_sem_seg.data.dtype == torch.int64
            assert same.float().mean() > 0.9
            continue
        ours, theirs = sample.gt_instances, expected.gt_instances
        assert len(ours) == len(theirs) > 0
        torch.testing.assert_close(
            ours.bboxes.tensor, theirs.bboxes.tensor, atol=0.01, rtol=0
        )
        masks = (ours.masks.masks, theirs.masks.masks)
        assert masks[0].shape == masks[1].shape
        assert (masks[0] == masks[1]).mean() > 0.95


@pytest.mark.parametrize(("name", "workers"), [(DET, 2), (SEG, 2), (SEG, 0)])
def test_real_models_train_at_the_sizes_of_a_schedule(name, workers, data, tmp_path):
    cfg = config(name, data)
    cfg.work_dir = str(tmp_path)
    cfg.train_cfg.update(max_iters=4, val_interval=4)
    cfg.train_dataloader.update(
        batch_size=2, num_workers=workers, persistent_workers=workers > 0
    )
    steps = [
        dict(begin=0, window_size=4, scale=0.5),
        dict(begin=2, window_size=8, scale=1.0),
    ]
    hook = dict(type="mmswinv2.WindowResolutionTransferHook")
    cfg.custom_hooks = [dict(hook, schedule=steps, test_window_size=6, plot=False)]
    shapes = []
    with fresh_globals():
        runner = Runner.from_cfg(cfg)
        backbone = runner.model.backbone
        backbone.register_forward_pre_hook(
            lambda module, args: shapes.append(
                (module.training, tuple(args[0].shape[-2:]), module.window_size[0][0])
            )
        )
        runner.train()
    trained = [shape for training, *shape in shapes if training]
    assert trained == [[(64, 64), 4]] * 2 + [[(128, 128), 8]] * 2
    assert {tuple(rest) for training, *rest in shapes if not training} == {
        ((128, 128), 6)
    }


def test_plain_boxes_coarse_labels_and_a_stacked_batch():
    instances = InstanceData(bboxes=torch.tensor([[2.0, 4.0, 10.0, 20.0]]))
    sample = BaseDataElement(
        gt_instances=instances,
        gt_sem_seg=PixelData(sem_seg=torch.arange(64).view(1, 8, 8)),
    )
    images = torch.randint(0, 255, (1, 3, 32, 20), dtype=torch.uint8)
    batch = dict(inputs=images, data_samples=[sample])
    resize_batch(batch, 0.5)
    assert batch["inputs"].shape == (1, 3, 16, 10)
    assert sample.gt_instances.bboxes.tolist() == [[1, 2, 5, 10]]
    assert sample.gt_sem_seg.sem_seg.shape == (1, 4, 4)
    assert sample.img_shape == (16, 10)


def test_images_keep_their_brightness():
    image = torch.full((3, 30, 21), 200, dtype=torch.uint8)
    batch = dict(inputs=[image])
    resize_batch(batch, 0.7)
    assert batch["inputs"][0].shape == (3, 21, 15)
    torch.testing.assert_close(batch["inputs"][0], torch.full((3, 21, 15), 200.0))


@pytest.mark.parametrize("batch", [None, [], dict(image=1), dict(inputs=dict(a=1))])
def test_a_batch_without_a_list_of_images_has_no_sizes(batch):
    assert image_sizes(batch) == []


def test_sizes_that_batches_are_padded_to_are_scaled_from_the_configured_ones():
    class Pad(nn.Module):
        size = (512, 1024)

    preprocessor = nn.Module()
    preprocessor.size = (512, 512)
    preprocessor.batch_augments = nn.ModuleList([Pad()])
    sizes = FixedSizes(preprocessor)
    for scale, expected in ((0.5, 256), (0.75, 384), (1.0, 512)):
        sizes.scale(scale)
        assert preprocessor.size == (expected, expected)
        assert preprocessor.batch_augments[0].size == (expected, 2 * expected)


def test_a_batch_augmentation_that_resizes_by_itself_is_refused():
    preprocessor = nn.Module()
    preprocessor.batch_augments = nn.ModuleList([nn.Identity()])
    with pytest.raises(ValueError, match="Identity in batch_augments decides on"):
        FixedSizes(preprocessor)
