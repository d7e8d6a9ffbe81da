"""Windows of three axes in what reports, draws, schedules and converts them."""

from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mmswinv2.checkpoints import read_swin_weights
from mmswinv2.engine.bias_maps import draw_bias_maps
from mmswinv2.engine.resolution import resize_batch
from mmswinv2.engine.window_schedule import Step, check_windows
from mmswinv2.models.bias_pictures import draw_stage
from mmswinv2.models.window_transfer import stage_transfers
from mmswinv2.video.backbone import VideoSwinTransformerV2

SMALL = dict(embed_dims=16, depths=(2, 2), num_heads=(1, 2), out_indices=(0, 1))
TRANSFER = "tools/transfer_window.py"
CONVERT = "tools/model_converters/convert_swinv2.py"


class Classifier(BaseModel):
    """One number of a clip."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = VideoSwinTransformerV2(window_size=(2, 4, 4), **SMALL)
        self.head = nn.Linear(32, 1)
        self.seen: list[tuple] = []

    def forward(self, inputs, target, mode="tensor"):
        self.seen.append((tuple(inputs.shape[2:]), self.backbone.window_size[0]))
        out = self.head(self.backbone(inputs)[-1].mean((2, 3, 4)))
        return dict(loss=(out - target).square().mean()) if mode == "loss" else [out]


class Clips(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict:
        return dict(inputs=torch.rand(3, 8, 32, 40), target=torch.ones(1))


@pytest.fixture
def weights(trained_like, tmp_path: Path) -> Path:
    """A checkpoint of a video classifier."""
    model = VideoSwinTransformerV2(window_size=[(4, 6, 6), (2, 3, 3)], **SMALL)
    state = {f"backbone.{k}": v for k, v in trained_like(model).state_dict().items()}
    state |= {"head.fc.weight": torch.ones(5, 32), "head.fc.bias": torch.ones(5)}
    torch.save({"state_dict": state, "meta": {}}, tmp_path / "epoch_1.pth")
    return tmp_path / "epoch_1.pth"


def test_a_schedule_changes_windows_and_sizes_of_clips(tmp_path: Path) -> None:
    """In space alone; the backbone's bias at known offsets stays."""
    model = Classifier()
    loader = dict(
        dataset=Clips(),
        batch_size=2,
        sampler=dict(type="DefaultSampler", shuffle=False),
        collate_fn=dict(type="default_collate"),
    )
    steps = [
        dict(begin=0, window_size=(2, 4, 4), scale=0.5),
        dict(begin=1, window_size=[(4, 8, 8), (4, 2, 3)], scale=1.0),
    ]
    runner = Runner(
        model,
        str(tmp_path),
        train_dataloader=loader,
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=2),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=1e-3)),
        custom_hooks=[
            dict(type="mmswinv2.WindowResolutionTransferHook", schedule=steps)
        ],
        visualizer=dict(type="Visualizer", vis_backends=[]),
        experiment_name=tmp_path.name,
    )
    runner.train()
    assert model.seen == [((8, 16, 20), (2, 4, 4)), ((8, 32, 40), (4, 8, 8))]
    text = Path(runner.log_dir, f"{runner.timestamp}.log").read_text()
    assert "window 2x4x4, 2x4x4 -> 4x8x8, 4x2x3, image scale 0.5 -> 1" in text
    assert "stage 1: window 2x4x4 -> 2x4x4, normaliser 2x4x4" in text
    assert runner.message_hub.get_scalar("train/window_size").current() == 8


def test_frames_are_resized_as_images_are() -> None:
    clip = torch.rand(2, 3, 5, 16, 24)
    whole, frames = (
        dict(inputs=clip),
        dict(inputs=[*clip.transpose(1, 2).flatten(0, 1)]),
    )
    resize_batch(whole, 0.5)
    resize_batch(frames, 0.5)
    expected = torch.stack(frames["inputs"]).unflatten(0, (2, 5)).transpose(1, 2)
    assert torch.equal(whole["inputs"], expected)
    assert expected.shape == (2, 3, 5, 8, 12)


def test_windows_longer_than_a_clip_are_no_fault_but_those_in_space_are() -> None:
    check_windows([Step(0, (32, 8, 9))], (32, 32), ((8, 8, 8),) * 2)
    with pytest.raises(ValueError, match=r"window is \(8, 9, 9\), but images of 32"):
        check_windows([Step(0, (8, 9, 9))], (32, 32), ((8, 8, 8),) * 2)


def test_pictures_show_the_bias_at_one_time(trained_like) -> None:
    model = trained_like(VideoSwinTransformerV2(window_size=(4, 6, 6), **SMALL))
    model.set_window_size((2, 9, 8))
    transfers = stage_transfers(model, [(4, 6, 6)] * 2)
    assert draw_bias_maps(transfers).std() > 10
    figure = draw_stage(transfers[1], 1, [1])
    assert isinstance(figure, Figure) and "time offset 0" in figure.get_suptitle()
    before, after = (ax.images[0].get_array() for ax in figure.axes[:2])
    exact = transfers[1].bias_after[1][1]  # of offsets -1, 0 and 1 in time
    assert torch.equal(torch.from_numpy(after.data), exact)
    assert before.shape == (11, 11)
    titles = [ax.get_title() for ax in figure.axes[:2]]
    assert titles == [
        "head 1, before: window 4 x 6 x 6",
        "head 1, after: window 2 x 9 x 8",
    ]


def test_tools_show_and_transfer_weights_of_videos(tool, weights, tmp_path) -> None:
    out = tool("tools/weights.py", "inspect", weights)
    assert "tokens of 2 frames" in out and "4x6x6 2x3x3 tokens per stage" in out
    args = (TRANSFER, weights, "--window", "4x8x8,2", "--plot", tmp_path / "maps")
    out = tool(*args, "--out", tmp_path / "new.pth")
    assert "4x6x6 -> 4x8x8" in out and "2x3x3 -> 2" in out
    assert len([*(tmp_path / "maps").glob("*.png")]) == 2
    changed = read_swin_weights(tmp_path / "new.pth")
    assert changed.windows == [((4, 8, 8), (4, 6, 6)), ((2, 2, 2), (2, 3, 3))]
    assert "head.weight" in changed.tensors
    message = tool.fails(TRANSFER, weights, "--window", "8x8")
    assert "3 axes, such as 8x16x16, or one number for all, as the weights" in message


def test_converters_keep_weights_of_videos_or_refuse(tool, weights, tmp_path) -> None:
    file = tmp_path / "own.safetensors"
    assert "windows 4x6x6 2x3x3" in tool(CONVERT, weights, file, "--to", "mmswinv2")
    before, after = read_swin_weights(weights), read_swin_weights(file)
    assert before.windows == after.windows
    for name, tensor in after.tensors.items():
        assert torch.equal(tensor, before.tensors[name])
    message = tool.fails(CONVERT, weights, tmp_path / "hf", "--to", "hf")
    assert "of videos, which no 'hf' model takes" in message
