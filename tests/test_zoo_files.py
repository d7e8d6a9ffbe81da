"""metafile.yml, model-index.yml and the pages say what the configs say."""

import re
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from tiny import ROOT, SEG, load_script, load_tiny, save_weights

from mmswinv2 import apis
from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.checkpoints.zoo import ENTRIES, find_entry
from mmswinv2.evaluation.paper import PAPER
from mmswinv2.evaluation.records import percent
from mmswinv2.planning import flops

CONFIGS = sorted(ROOT.glob("configs/[!_]*/*.py"))
INDEX = yaml.safe_load((ROOT / "model-index.yml").read_text())
METAFILES = [yaml.safe_load((ROOT / file).read_text()) for file in INDEX["Import"]]
MODELS = {model["Name"]: model for meta in METAFILES for model in meta["Models"]}
AGAIN = "run tools/analysis/make_model_zoo.py again"


@pytest.fixture(scope="module")
def zoo() -> object:
    return load_script("tools/analysis/make_model_zoo.py")


def test_every_config_has_one_entry() -> None:
    """Named like its file, as the inferencers look it up; in the file of its folder."""
    assert set(MODELS) == {path.stem for path in CONFIGS}, AGAIN
    assert sum(len(meta["Models"]) for meta in METAFILES) == len(MODELS)
    for file, meta in zip(INDEX["Import"], METAFILES):
        (collection,) = meta["Collections"]
        assert (ROOT / collection["README"]).is_file()
        assert (ROOT / collection["Code"]["URL"]).is_file()
        for model in meta["Models"]:
            assert model["In Collection"] == collection["Name"]
            path = ROOT / model["Config"]
            assert path.is_file() and path.stem == model["Name"]
            assert path.parent == (ROOT / file).parent


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_entry(path: Path, zoo: object) -> None:
    """What can be read from the config is what the entry has."""
    cfg = Config.fromfile(path)
    data = MODELS[path.stem]["Metadata"]
    assert data["Backbone"] == cfg.model.backbone.arch, AGAIN
    assert data["Window"] == zoo.per_stage(cfg.model.backbone.window_size), AGAIN
    assert data["Pretraining"] == zoo.pretraining(cfg), AGAIN
    assert zoo.schedule(cfg).items() <= data.items(), AGAIN
    *frames, height, width = zoo.image_size(cfg)
    size = " x ".join(map(str, (*frames, width, height)))
    assert data[zoo.INPUT] == size, AGAIN
    reported = {
        (r["Protocol"], r["Metric"], r["Value"])
        for r in data.get("Published Results", [])
        if r["Metric"] != "loss"
    }
    assert reported == {tuple(r[:3]) for r in PAPER.get(path.stem, ())}, AGAIN
    assert 0 < data["Backbone Parameters (M)"] <= data["Parameters (M)"]


@pytest.mark.parametrize(
    "folder",
    ["mini", "ade20k", "imagenet", "simmim", "feature_distillation", "kinetics400"],
)
def test_memory_is_the_planners(folder: str, zoo: object) -> None:
    """GiB; of the first config, since heads take a while to count."""
    path = min(path for path in CONFIGS if path.parent.name == folder)
    found = zoo.training_memory(Config.fromfile(path))
    recorded = MODELS[path.stem]["Metadata"]["Training Memory (GB)"]
    assert recorded == pytest.approx(found, abs=0.11), AGAIN


# Millions (paper, tables; of H and G its text) and billions of multiply-adds at
# 256 px and a window (official model hub).
PUBLISHED = {"tiny": 28, "small": 50, "base": 88, "large": 197, "huge": 658}
PUBLISHED_FLOPS = {
    ("tiny", 8): 5.9,
    ("tiny", 16): 6.6,
    ("small", 8): 11.5,
    ("base", 16): 21.8,
    ("large", 16): 47.5,
}


def test_parameters_are_the_papers() -> None:
    """Backbones, with the head of ImageNet-1K that the published numbers include."""
    found = {}
    for model in MODELS.values():
        data = model["Metadata"]
        channels = 8 * ARCHITECTURES.get(data["Backbone"]).embed_dims
        # the entry counts norms of all stages, the published model one and a head
        head = (1000 * channels + 1000) / 1e6
        found[data["Backbone"]] = data["Backbone Parameters (M)"] + head
    assert {"tiny", "small", "base", "large", "giant"} <= found.keys()
    for arch, count in found.items():
        if arch in PUBLISHED:  # in whole millions
            assert abs(count - PUBLISHED[arch]) < max(0.5, PUBLISHED[arch] / 100)
    assert found["giant"] == pytest.approx(3000, rel=0.01)


@pytest.mark.parametrize(("arch", "window"), PUBLISHED_FLOPS, ids=str)
def test_flops_are_the_official_ones(zoo: object, arch: str, window: int) -> None:
    """Within 2 %: ours counts the position bias, too."""
    cfg = Config.fromfile(apis.find_config(SEG))
    cfg.model.backbone.update(arch=arch, window_size=window)
    backbone = flops.build_without_memory(cfg).backbone
    counted = flops.count_flops(backbone, (256, 256)) / 1e9
    assert counted == pytest.approx(PUBLISHED_FLOPS[arch, window], rel=0.02)


def test_the_papers_numbers_have_configs() -> None:
    assert PAPER.keys() <= MODELS.keys()


def test_pages() -> None:
    """A row for each config with links that lead somewhere; nothing is invented."""
    page = (ROOT / "docs/model_zoo.md").read_text()
    rows = {
        re.match(r"\| \[(.+?)\]", line)[1]: line
        for line in page.splitlines()
        if line.startswith("| [")
    }
    benchmarks = {path.stem for path in CONFIGS if path.parent.name != "mini"}
    assert rows.keys() == benchmarks, AGAIN
    for name, line in rows.items():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[-1] == "not trained" or "Results" in MODELS[name]
        data = MODELS[name]["Metadata"]
        assert cells[3] == data["Window"]
        assert cells[6] == f"{data['Parameters (M)']:.1f}"
    for file in ("model_zoo.md", "results.md"):
        text = (ROOT / "docs" / file).read_text()
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert (ROOT / "docs" / link).exists(), link
    results = (ROOT / "docs/results.md").read_text()
    for name, numbers in PAPER.items():
        for number in numbers:
            assert re.search(
                rf"\[{re.escape(name)}\].* {number.protocol} \| {number.metric} \| "
                rf"{percent(number.value)} ",
                results,
            ), AGAIN


def test_published_weights_have_their_configs() -> None:
    """All of the supervised ones, and of SimMIM the long runs on ImageNet-1K."""
    found = {
        name: find_entry(model["Weights"])
        for name, model in MODELS.items()
        if "Weights" in model
    }
    names = {entry.name for entry in found.values()}
    assert len(names) == len(found)
    assert {e.name for e in ENTRIES if "simmim" not in e.name} <= names, AGAIN
    expected = {f"{s}-w12-192-simmim-1k-500k" for s in ("small", "base", "large")}
    assert expected <= names, AGAIN
    for config, entry in found.items():
        accuracies = [
            r.value for r in PAPER.get(config, ()) if r[:2] == ("ss", "top-1")
        ]
        assert accuracies == [entry.top1] * bool(entry.top1)


def test_published_weights_are_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """build_inferencer() takes them from the entry of a name."""
    weights = save_weights(load_tiny(SEG), tmp_path / "weights.pth")
    entry = {**MODELS[SEG], "Weights": weights}
    monkeypatch.setattr(apis, "_model_index", lambda: {SEG: entry})
    assert apis.list_models() == [SEG]
    inferencer = apis.build_inferencer(SEG, device="cpu")
    assert len(inferencer.model.dataset_meta["classes"]) == 150
