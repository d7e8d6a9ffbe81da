"""One iteration of every config, and of each family the evaluation, at a reduced size.

Data, pipelines, losses, optimizer and metrics are the configs' own; sizes in px are an
eighth, the backbone is 'nano' and transformer heads have one layer.
"""

import copy
import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config, ConfigDict
from pycocotools.coco import COCO
from tiny import ROOT, Tool, load_script, reduce_sizes, save_weights

CHANNELS = [32, 64, 128, 256]  # of nano
FAMILIES = [
    "mask-rcnn_swinv2-t-p4-w16_fpn_1x_coco",
    "cascade-mask-rcnn_swinv2-t-p4-w32_fpn_ms-crop-3x_coco",
    "retinanet_swinv2-t-p4-w16_fpn_1x_coco",
    "dino-4scale_swinv2-t-p4-w16_8xb2-12e_coco",
    "dino-5scale_swinv2-l-p4-w16-in22k_8xb2-12e_coco",
    "mask2former_swinv2-t-p4-w16_8xb2-lsj-50e_coco",
    "htc_swinv2-b-p4-w16-in22k_fpn_ms-crop-3x_coco",
    "htc++_swinv2-g-p4-w32_fpn_96xb1-lsj-45k_coco",
    "htc++-without-semantic_swinv2-g-p4-w32_fpn_96xb1-lsj-45k_coco",
    "swinv2-t-p4-w20-in1k-256-pre_upernet_8xb2-160k_ade20k-512x512",
    "swinv2-g-p4-w40_upernet_32xb1-80k_ade20k-640x640-to-896x896",
    "swinv2-b-p4-w20-in22k-192-pre_mask2former_8xb2-160k_ade20k-640x640",
]

INSTABOOST = "htc++_swinv2-b-p4-w32-in22k_fpn_64xb1-instaboost-lsj-3x_coco"
OTHERS = sorted(
    file.stem
    for folder in ("coco", "ade20k")
    for file in (ROOT / "configs" / folder).glob("*.py")
    if file.stem not in FAMILIES
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mini data, with the pixel maps of things and stuff."""
    root = tmp_path_factory.mktemp("data") / "mini"
    load_script("tools/dataset_converters/make_mini.py").make_mini(
        root, train=2, val=2, size=128
    )
    coco = COCO(str(root / "coco/annotations/instances_train2017.json"))
    folder = root / "coco/stuffthingmaps/train2017"
    folder.mkdir(parents=True)
    for image in coco.loadImgs(coco.getImgIds()):
        labels = np.full((image["height"], image["width"]), 255, np.uint8)
        labels[: image["height"] // 2] = 156  # sky-other, one of stuff's
        for annotation in coco.loadAnns(coco.getAnnIds(image["id"])):
            labels[coco.annToMask(annotation) > 0] = annotation["category_id"] - 1
        cv2.imwrite(str(folder / image["file_name"].replace(".jpg", ".png")), labels)
    return root


def find(name: str) -> Path:
    folder = "ade20k" if "ade20k" in name else "coco"
    return ROOT / "configs" / folder / f"{name}.py"


def reduce_channels(node: object, key: str = "") -> object:
    """The 256 channels of a pyramid and of the heads on it as 32."""
    if isinstance(node, dict):
        return ConfigDict({k: reduce_channels(v, k) for k, v in node.items()})
    if isinstance(node, list):
        return [reduce_channels(v) for v in node]
    return 32 if key.endswith("channels") and node == 256 else node


def reduce(cfg: Config, instaboost: bool = False) -> Config:
    """The config at a size for one CPU core; InstaBoost needs a package of its own."""
    for split in ("train", "val", "test"):
        loader = cfg[f"{split}_dataloader"]
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.pipeline = [
            reduce_sizes(transform)
            for transform in loader.dataset.pipeline
            if transform.type != "mmswinv2.InstaBoost" or instaboost
        ]
        if "filter_cfg" in loader.dataset:
            loader.dataset.filter_cfg.min_size = 2
    model = cfg.model
    model.backbone.update(arch="nano", init_cfg=None)
    model.data_preprocessor = reduce_sizes(model.data_preprocessor)
    model.test_cfg = reduce_sizes(model.test_cfg)
    for stage in (model.test_cfg, model.test_cfg.get("rcnn", {})):
        if "score_thr" in stage:
            # an untrained model is sure of nothing
            stage.update(score_thr=0.0, max_per_img=20)
    if "rpn_head" in model:
        for proposals in (model.train_cfg.rpn_proposal, model.test_cfg.rpn):
            proposals.max_per_img = 32
        stages = model.train_cfg.rcnn
        for stage in stages if isinstance(stages, list) else [stages]:
            stage.sampler.num = 32
        heads = model.roi_head.bbox_head
        for head in heads if isinstance(heads, list) else [heads]:
            head.fc_out_channels = 64
        for part in ("neck", "rpn_head", "roi_head"):
            model[part] = reduce_channels(model[part])
    out = [CHANNELS[i] for i in model.backbone.out_indices]
    necks = model.get("neck", [])
    for part in (
        *(necks if isinstance(necks, list) else [necks]),
        *(model[key] for key in ("decode_head", "panoptic_head") if key in model),
    ):
        part.in_channels = out if isinstance(part.in_channels, list) else out[-1]
    if isinstance(necks, list) and necks:
        necks[0].num_heads = 8
    if "auxiliary_head" in model:
        cfg.train_dataloader.batch_size = 2  # for batch norm, over all GPUs otherwise
        model.auxiliary_head.in_channels = out[2]
    heads = model.get("panoptic_head") or model.get("decode_head") or {}
    if "pixel_decoder" in heads:
        heads.pixel_decoder.encoder.num_layers = 1
        heads.transformer_decoder.num_layers = 1
    if model.type == "DINO":
        model.encoder.num_layers = model.decoder.num_layers = 1
        model.num_queries = 50
    for key in ("runner_type", "strategy"):  # for several processes
        cfg.pop(key, None)
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=1, val_interval=1)
    cfg.log_processor.by_epoch = False
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint = None
    return cfg


@pytest.fixture
def train(tool: Tool, data: Path) -> Callable[..., str]:
    """Run tools/train.py with a reduced config; what it prints."""

    def run(
        name: str, ok: bool = True, data_root: Path | None = None, val: bool = True
    ) -> str:
        cfg = reduce(Config.fromfile(find(name)), instaboost=not ok)
        if not val:
            cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
        cfg.dump("config.py")
        root = data / ("ade/ADEChallengeData2016" if "ade20k" in name else "coco")
        root = data_root or root
        args = ("tools/train.py", "config.py", "--cfg-options", f"data_root={root}")
        return tool(*args) if ok else tool.fails(*args)

    return run


@pytest.mark.parametrize("name", OTHERS)
def test_trains(train: Callable[..., str], name: str) -> None:
    train(name, val=False)
    check_losses(name, *read_rows())


def read_rows() -> list[dict]:
    """What the run wrote: losses of its iteration, then metrics."""
    (record,) = Path("work_dirs/config").glob("*/vis_data/scalars.json")
    return [json.loads(line) for line in record.read_text().splitlines()]


def check_losses(name: str, row: dict) -> None:
    """Finite, and with stuff where the config has it."""
    losses = {k: v for k, v in row.items() if "loss" in k}
    assert np.isfinite(list(losses.values())).all() and losses["loss"] > 0
    if name.startswith("htc"):
        assert ("loss_semantic_seg" in losses) == ("without" not in name)


@pytest.mark.parametrize("name", FAMILIES)
def test_trains_and_evaluates(train: Callable[..., str], name: str) -> None:
    """A finite loss, a finite gradient step, and the metrics of the config."""
    train(name)
    rows = read_rows()
    check_losses(name, rows[0])
    if "ade20k" in name:
        metrics = {"mIoU"}
    else:
        metrics = {"coco/bbox_mAP"}
        if not name.startswith(("retinanet", "dino")):
            metrics.add("coco/segm_mAP")
    assert metrics <= rows[-1].keys()


def test_tta_of_cascades(tool: Tool, data: Path, tmp_path: Path) -> None:
    """Boxes and masks of HTC++ in scaled and flipped views, merged by soft-NMS."""
    cfg = reduce(Config.fromfile(find(FAMILIES[7])))
    cfg.tta_pipeline[1].transforms[0] = cfg.tta_pipeline[1].transforms[0][:2]
    cfg.dump("config.py")
    weights = save_weights(copy.deepcopy(cfg), tmp_path / "weights.pth")
    root = f"data_root={data / 'coco'}"
    args = ("--tta", "--out", "kept.pkl", "--cfg-options", root)
    out = tool("tools/test.py", "config.py", weights, *args)
    assert "segm_mAP" in out
    kept = pickle.loads(Path("kept.pkl").read_bytes())[0]["pred_instances"]
    assert 0 < len(kept["masks"]) == len(kept["scores"]) <= 100


STUFF = "htc_swinv2-b-p4-w16-in22k_fpn_ms-crop-3x_coco"


def test_missing_stuff(train: Callable[..., str], data: Path, tmp_path: Path) -> None:
    """No maps, an empty folder, a map missing: said before anything is written."""
    copied = shutil.copytree(data / "coco", tmp_path / "coco")
    maps = copied / "stuffthingmaps/train2017"

    def fails() -> str:
        message = train(STUFF, ok=False, data_root=copied)
        assert "stuffthingmaps_trainval2017.zip" in message
        assert "'without-semantic' need none" in message
        assert "train_dataloader.dataset.data_prefix.seg" in message
        assert not Path("work_dirs").exists()
        return message

    (maps / "000000000001.png").unlink()
    (maps / "000000000002.png").unlink()
    (maps / "000000000009.png").touch()
    assert "2 files that are missing (000000000001.png, 0000" in fails()
    (maps / "000000000009.png").unlink()
    assert f"{maps}/ is empty" in fails()
    shutil.rmtree(maps)
    assert f"{maps}/ does not exist" in fails()


def test_missing_instaboost(
    train: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the transform and what to install."""
    monkeypatch.setitem(sys.modules, "instaboostfast", None)
    message = train(INSTABOOST, ok=False)
    assert "train_dataloader.dataset.pipeline has mmswinv2.InstaBoost" in message
    assert "pip install instaboostfast" in message
    assert not Path("work_dirs").exists()
