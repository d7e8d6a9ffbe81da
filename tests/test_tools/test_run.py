"""tools/run.py finds and starts the tools of the frameworks."""

from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub
from tiny import DET, ROOT, Tool, load_script


def test_lists_the_tools(tool: Tool) -> None:
    """Without arguments it names the tools of all frameworks by folder."""
    out = tool("tools/run.py")
    for task in ("det (mmdet):", "seg (mmseg):", "cls (mmpretrain):"):
        assert task in out
    assert "get_flops" in out and "analysis_tools" in out


def test_prefers_the_tool_for_images() -> None:
    """Of two tools of one name, it is the one in analysis_tools."""
    tools = load_script("tools/run.py").find_tools("det")
    assert tools["browse_dataset"].parent.name == "analysis_tools"


def test_runs_a_tool_with_its_arguments(tool: Tool) -> None:
    """print_config of mmdet reads a config of ours and the options given."""
    config = ROOT / "configs" / "mini" / f"{DET}.py"
    change = "model.backbone.window_size=5"
    out = tool("tools/run.py", "det", "print_config", config, "--cfg-options", change)
    assert "mmswinv2.SwinTransformerV2" in out
    assert "window_size=5" in out


def test_counts_flops_of_the_backbone(tool: Tool, data: Path) -> None:
    """Its counter traces the model, so that sizes are tensors."""
    config = ROOT / "configs" / "mini" / f"{DET}.py"
    root = f"val_dataloader.dataset.data_root={data / 'coco'}"
    flags = ["--num-images", "1", "--cfg-options", root]
    assert "Flops: " in tool("tools/run.py", "det", "get_flops", config, *flags)


def test_publishes_a_checkpoint_of_mmengine(tool: Tool, tmp_path: Path) -> None:
    """It is loaded with the classes allowed that mmengine stores beside weights."""
    hub = MessageHub("published")
    hub.update_scalar("loss", 1.0)
    content = dict(state_dict={}, meta={}, message_hub=hub.state_dict())
    torch.save(content, tmp_path / "epoch_1.pth")
    files = [tmp_path / "epoch_1.pth", tmp_path / "published.pth"]
    tool("tools/run.py", "det", "publish_model", *files)
    # the tool renames its file in the background, and does not wait for that
    assert list(tmp_path.glob("published*.pth"))


@pytest.mark.parametrize("args", [["det", "nothing"], ["dat", "get_flops"], ["seg"]])
def test_unknown_tool(tool: Tool, args: list[str]) -> None:
    """One message for what is not there."""
    code, _, _ = tool.run("tools/run.py", *args)
    assert code == f"error: no tool {' '.join(args)!r}; python tools/run.py lists them"


def test_a_missing_package_is_said(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the line that installs it; a fault of the tool's own is no such thing."""
    script = tmp_path / "draw.py"
    run = load_script("tools/run.py")
    monkeypatch.setattr(run, "find_tools", lambda task: {"draw": script})
    monkeypatch.setattr("sys.argv", ["run.py", "det", "draw"])
    script.write_text("import pytorch_grad_cam_of_nobody.base")
    with pytest.raises(SystemExit) as stop:
        run.main()
    assert stop.value.code == (
        "error: det draw needs pytorch_grad_cam_of_nobody, which is not installed: "
        "pip install pytorch_grad_cam_of_nobody"
    )
    script.write_text("import json.nothing")
    monkeypatch.setattr("sys.argv", ["run.py", "det", "draw"])
    with pytest.raises(ModuleNotFoundError):
        run.main()


def test_curves_of_the_host_need_no_seaborn(tool: Tool, tmp_path: Path) -> None:
    """Its default style is one of matplotlib's, under another name, or it is said."""
    log = tmp_path / "log.json"
    log.write_text('{"loss": 1.0, "lr": 0.1, "epoch": 1, "iter": 1, "step": 1}\n')
    flags = ["plot_curve", log, "--keys", "loss", "--out", "curve.png"]
    code, _, err = tool.run("tools/run.py", "det", "analyze_logs", *flags)
    if code == 0:
        assert Path("curve.png").stat().st_size > 0
    else:
        assert "pip install seaborn; python tools/plot_run.py" in str(code), err
