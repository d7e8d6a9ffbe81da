"""What stands on the console, and what does not."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from tiny import DET, SEG, Tool, fresh_globals

from mmswinv2.cli import console
from mmswinv2.models import SwinTransformerV2

SHORT = ["train_cfg.max_iters=1", "train_dataloader.batch_size=2", "val_cfg=None"]
SHORT += [
    "val_dataloader=None",
    "val_evaluator=None",
    "default_hooks.logger.interval=1",
]


@pytest.mark.parametrize("task", [DET, SEG])
def test_one_page_before_the_first_iteration(tool: Tool, data: Path, task: str) -> None:
    """Counts and paths are there; the file has what the console leaves out."""
    root = data / ("coco" if task == DET else "ade/ADEChallengeData2016")
    options = [f"data_root={root}", *SHORT]
    code, out, err = tool.run("tools/train.py", task, "--cfg-options", *options)
    assert code == 0
    page = out.split("Iter(train)")[0]
    assert len(page.splitlines()) + len(err.splitlines()) <= 40
    assert "2 pictures in batches of 2; 1 iterations" in page
    for noise in ("OneDL", "faster_coco_eval", "FileClient", "Hooks will be", "index"):
        assert noise not in page + err
    (log,) = Path("work_dirs").glob(f"{task}/*/*.log")
    assert str(log) in page
    text = log.read_text()
    assert "System environment:" in text and "Hooks will be executed" in text


def test_warnings_and_new_records_pass(capfd: pytest.CaptureFixture[str]) -> None:
    """Only what is named by its text is hidden, and only while a runner is made."""
    with fresh_globals(), console.short_console():
        logger = MMLogger.get_instance("short", log_level=logging.INFO)
        logger.info("Config:\nmodel = dict()")
        logger.warning("learning rate is 0")
    out = capfd.readouterr().out
    assert "learning rate is 0" in out and "Config" not in out
    with fresh_globals():
        MMLogger.get_instance("long", log_level=logging.INFO).info("Config:\nmodel = 1")
    assert "Config" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("names", "warned"),
    [
        (("absolute_pos_embed", "relative_position_bias_table", "norm"), 1),
        (("cpb_mlp", "logit_scale"), 0),
    ],
)
def test_weight_decay_of_the_bias_network_is_said(
    logs: list[str], names: tuple[str, ...], warned: int
) -> None:
    """Swin V1's paramwise_cfg is warned of; the cure that is named is one."""
    model = SwinTransformerV2("nano")
    keys = {name: dict(decay_mult=0.0) for name in names}
    optimizer = build_optim_wrapper(
        model,
        dict(
            type="OptimWrapper",
            optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
            paramwise_cfg=dict(custom_keys=keys),
        ),
    )
    logger = MMLogger.get_current_instance()
    console.warn_of_decay(
        SimpleNamespace(model=model, optim_wrapper=optimizer, logger=logger)
    )
    found = [text for text in logs if "have weight decay, such as" in text]
    assert len(found) == warned
    assert all("cpb_mlp=dict(decay_mult=0.0)" in text for text in found)
