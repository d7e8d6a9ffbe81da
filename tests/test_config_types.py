"""mmengine's pure-Python configs, whose types are classes, work as others do."""

from pathlib import Path

import pytest
from lazy_configs import write_lazy
from mmengine.config import Config
from mmengine.model import PretrainedInit
from tiny import DET, SEG, fresh_globals, save_weights

from mmswinv2.apis import build_inferencer, find_config
from mmswinv2.config_types import name_types, read_config
from mmswinv2.models import SwinTransformerV2

HTC = "htc++_swinv2-b-p4-w32-in22k_fpn_64xb1-instaboost-lsj-3x_coco"
M2F = "swinv2-b-p4-w20-in22k-192-pre_mask2former_8xb2-160k_ade20k-640x640"


@pytest.mark.parametrize("name", [DET, SEG, HTC, M2F])
def test_names_are_those_that_a_classic_config_has(name: str, tmp_path: Path) -> None:
    """Every class and function, whichever package registered it."""
    path = write_lazy(name, tmp_path)
    assert not isinstance(Config.fromfile(path).model.type, str)
    classic = Config.fromfile(find_config(name))
    found = read_config(path)
    assert found.filename == str(path)
    classic.train_dataloader.num_workers = 0
    assert found.to_dict() == classic.to_dict()
    assert name_types(found) is found


def test_classes_that_no_registry_knows_have_their_path() -> None:
    """From which mmengine imports them."""
    cfg = name_types(Config(dict(default_scope="mmdet", a=[dict(type=Path)])))
    assert cfg.a[0].type == "pathlib.Path"


def test_commands(tool, data: Path, tmp_path: Path) -> None:
    """Training, testing, planning and inference take such a file."""
    paths = {name: write_lazy(name, tmp_path) for name in (DET, SEG)}
    root = f"data_root={data / 'coco'}"
    short = ["train_cfg.max_iters=1", "default_hooks.checkpoint.interval=1"]
    args = ["--work-dir", "run", "--cfg-options", root, *short]
    tool("tools/train.py", paths[DET], *args)
    out = tool("tools/analysis/plan_memory.py", paths[DET])
    assert "GiB" in out
    cfg = read_config(paths[SEG])
    weights = save_weights(cfg, tmp_path / "weights.pth")
    root = f"data_root={data / 'ade/ADEChallengeData2016'}"
    out = tool("tools/test.py", paths[SEG], weights, "--tta", "--cfg-options", root)
    assert "mIoU" in out
    with fresh_globals():
        inferencer = build_inferencer(Config.fromfile(paths[SEG]), weights, "cpu")
        inferencer(str(next(data.rglob("*.jpg"))))


def test_a_backbone_that_is_told_so_loads_pretrained_weights() -> None:
    """Its random numbers would be made in vain."""
    model = SwinTransformerV2("nano", init_cfg=dict(type=PretrainedInit, checkpoint=""))
    assert model._loads_checkpoint()
