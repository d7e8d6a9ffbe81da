"""Bad input ends with one message and exit code 1, before anything is written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from tiny import DET, SEG, Tool, load_tiny, save_weights
from torch import nn

from mmswinv2.cli import launch, preflight

TRAIN, TEST = "tools/train.py", "tools/test.py"


@pytest.fixture
def train(tool: Tool, data: Path) -> Callable[..., str]:
    """Trains on the mini data with one more option, which must fail."""

    def run(*changes: str, task: str = DET, args: tuple = ()) -> str:
        root = data / ("coco" if task == DET else "ade/ADEChallengeData2016")
        changes = (f"data_root={root}", *changes)
        message = tool.fails(TRAIN, task, "--cfg-options", *changes, *args)
        assert not Path("work_dirs").exists()
        return message

    return run


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints: of our detector, and of models and files that are not ours."""
    root = tmp_path_factory.mktemp("weights")
    full = save_weights(load_tiny(DET), root / "detector.pth")
    save_weights(load_tiny(SEG), root / "segmentor.pth")
    content = Path(full).read_bytes()
    (root / "truncated.pth").write_bytes(content[: len(content) // 2])
    (root / "page.pth").write_text("<html>404</html>")
    names = {
        "v1.pth": "layers.0.blocks.0.attn.relative_position_bias_table",
        "vit.pth": "blocks.0.attn.qkv.weight",
        "resnet.pth": "layer1.0.conv1.weight",
    }
    for file, name in names.items():
        torch.save({"model": {name: torch.zeros(2, 2)}}, root / file)
    return root


def test_config(tool: Tool, tmp_path: Path) -> None:
    """A config that is not there or no config."""
    message = tool.fails(TRAIN, "mask-rcnn_swinv2-t-p4-w8_fpn_1x")
    assert "no config" in message
    assert "mask-rcnn_swinv2-t-p4-w8_fpn_1x_coco" in message
    broken = tmp_path / "broken.py"
    broken.write_text("model = dict(\n")
    assert "broken.py" in tool.fails(TRAIN, broken)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("max_epochs", "KEY=VALUE"),
        ('custom_hooks=[dict(type="EMAHook",momentum=0.1)]', "write dicts into"),
        ("train_dataloder.batch_size=1", "did you mean 'train_dataloader'?"),
        ("train_dataloader.dataset.pipeline.9.prob=1", "--cfg-options: "),
        ("scale=(256,256)", "'scale' is a variable, whose value settings have copied"),
        ("model.backbone.windw_size=8", "windw_size"),
        ("optim_wrapper.optimizer.rate=1", "rate"),
    ],
)
def test_options(tool: Tool, data: Path, option: str, expected: str) -> None:
    """Options that are malformed, or that the config or a class does not know."""
    root = f"data_root={data / 'coco'}"
    assert expected in tool.fails(TRAIN, DET, "--cfg-options", root, option)


def test_missing_data(tool: Tool, data: Path, tmp_path: Path) -> None:
    """The message names the key, the path and the tree that is expected."""
    message = tool.fails(TRAIN, DET, "--cfg-options", f"data_root={tmp_path}/none")
    assert f"{tmp_path}/none/train2017/ does not exist" in message
    assert "train_dataloader.dataset.data_prefix.img" in message
    assert "annotations/instances_train2017.json" in message
    assert "--cfg-options data_root=DIR" in message
    shutil.copytree(data / "ade", tmp_path / "ade")
    root = tmp_path / "ade/ADEChallengeData2016"
    shutil.rmtree(root / "annotations/validation")
    (root / "annotations/validation").mkdir()
    message = tool.fails(TRAIN, SEG, "--cfg-options", f"data_root={root}")
    assert "annotations/validation is empty" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "is no JSON file"),
        ("[]", "found none of them"),
        ('{"images": [], "annotations": []}', "found images, annotations"),
        ('{"images": [], "annotations": {}, "categories": {}}', "found images"),
        (
            '{"images": [], "annotations": [], "categories": [{"name": "roof"}]}',
            "has the categories ['roof'], of which the dataset knows none",
        ),
    ],
)
def test_no_coco_file(
    train: Callable[..., str], tmp_path: Path, content: str, expected: str
) -> None:
    """Annotations that are not COCO's, or not of this dataset."""
    file = tmp_path / "annotations.json"
    file.write_text(content)
    message = train(f"train_dataloader.dataset.ann_file={file}")
    assert expected in message
    assert str(file) in message


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("arch=petite", "petite"),
        ("attention=magic", "magic"),
        ("window_size=7.5", "7.5"),
        ("window_size=-8", "-8"),
        ('window_size="[8,8,8,8,8]"', "8, 8, 8, 8, 8"),
    ],
)
@pytest.mark.parametrize("task", [DET, SEG])
def test_backbone(
    train: Callable[..., str], task: str, option: str, expected: str
) -> None:
    """Arguments that the backbone refuses."""
    assert expected in train(f"model.backbone.{option}".replace('"', ""), task=task)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("none.pth", "does not exist"),
        ("truncated.pth", "truncated"),
        ("page.pth", "HTML"),
        ("v1.pth", "Swin Transformer V1"),
        ("vit.pth", "ViT"),
        ("resnet.pth", "ResNet"),
    ],
)
def test_checkpoints(
    tool: Tool,
    train: Callable[..., str],
    weights: Path,
    data: Path,
    file: str,
    expected: str,
) -> None:
    """Pre-trained weights, load_from, --resume and a checkpoint to test, all alike."""
    path = weights / file
    pretrained = ("init_cfg.type=Pretrained", f"init_cfg.checkpoint={path}")
    assert expected in train(*(f"model.backbone.{part}" for part in pretrained))
    assert expected in train(f"load_from={path}")
    root = f"data_root={data / 'coco'}"
    assert expected in tool.fails(TEST, DET, path, "--cfg-options", root)
    if file in ("none.pth", "truncated.pth", "page.pth"):
        assert expected in train(args=("--resume", path))


def test_nothing_to_test(tool: Tool) -> None:
    """A config for training alone."""
    none = ("test_cfg=None", "test_dataloader=None", "test_evaluator=None")
    message = tool.fails(TEST, DET, "none.pth", "--cfg-options", *none)
    assert "has no test_dataloader" in message


def test_weights_of_another_model(
    tool: Tool, train: Callable[..., str], weights: Path, data: Path
) -> None:
    """A segmentor's weights are none for a detector; nano's are none for tiny."""
    root = f"data_root={data / 'coco'}"
    args = [TEST, DET, weights / "segmentor.pth", "--cfg-options", root]
    message = tool.fails(*args)
    assert "does not fit this MaskRCNN" in message
    assert "such as neck." in message
    message = train(
        f"load_from={weights / 'detector.pth'}",
        "model.backbone.arch=tiny",
        "model.neck.in_channels=[96,192,384,768]",
    )
    assert "embed_dims=32" in message and "embed_dims=96" in message


def test_resume_damages_nothing(tool: Tool, weights: Path, data: Path) -> None:
    """A --resume that cannot work leaves the work dir as it was."""
    folder = Path("run")
    folder.mkdir()
    shutil.copy(weights / "detector.pth", folder / "iter_2.pth")
    (folder / f"{DET}.py").write_text("# the config of an earlier run\n")
    (folder / "last_checkpoint").write_text(str(folder / "iter_2.pth"))
    before = {path: path.read_bytes() for path in folder.rglob("*")}
    root = f"data_root={data / 'coco'}"
    for checkpoint in ([], [weights / "truncated.pth"]):
        args = ["--work-dir", folder, "--resume", *checkpoint, "--cfg-options", root]
        message = tool.fails(TRAIN, DET, *args)
        assert ("truncated" if checkpoint else "no state of a training run") in message
        assert {path: path.read_bytes() for path in folder.rglob("*")} == before


def test_flags_of_testing(tool: Tool, weights: Path, data: Path) -> None:
    """--out and --tta that the config cannot serve."""
    args = [TEST, DET, weights / "detector.pth"]
    root = f"data_root={data / 'coco'}"
    message = tool.fails(*args, "--out", "folder", "--cfg-options", root)
    assert "--out takes a .pkl file" in message


def test_traceback_on_request(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """MMSWINV2_TRACEBACK=1 lets the error through."""
    monkeypatch.setenv("MMSWINV2_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError, match="no config"):
        tool(TRAIN, "nonsense")


def test_first_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process per machine looks at the data, whatever started it."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert launch.is_first_process()
    for name in ("SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "LOCAL_RANK"):
        for rank in (3, 0):
            monkeypatch.setenv(name, str(rank))
            assert launch.is_first_process() == (rank == 0)
    for name in ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "RANK"):
        for rank in (3, 0):
            monkeypatch.setenv(name, str(rank))
            assert launch.is_first_process(of_all=True) == (rank == 0)
            assert launch.is_first_process()


def test_loading_needs_all_weights(tmp_path: Path) -> None:
    """A tensor of another shape, or a missing one, is named."""
    from mmswinv2.apis import load_trained_weights

    torch.save({"state_dict": {"weight": torch.zeros(2, 3)}}, tmp_path / "a.pth")
    with pytest.raises(RuntimeError, match="such as bias"):
        load_trained_weights(nn.Linear(3, 2), tmp_path / "a.pth")
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        load_trained_weights(nn.Linear(4, 2), tmp_path / "a.pth")


def test_resume_runs_no_config_of_a_checkpoint(tmp_path: Path) -> None:
    """Mmengine reads ``meta.config`` as a Python file; ours refuses such files."""
    path = tmp_path / "iter_2.pth"
    meta = dict(config="raise SystemExit")
    torch.save(dict(optimizer={}, message_hub={}, meta=meta, state_dict={}), path)
    cfg = Config(dict(resume=True, load_from=str(path)))
    with pytest.raises(ValueError, match="would run as code when it resumes"):
        preflight.check_model(cfg)
