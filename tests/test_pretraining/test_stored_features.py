"""Feature Distillation from stored features, without a teacher."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.registry import MODELS
from pages import blocks, commands
from tiny import ROOT, Tool
from tiny_teacher import distillation

from mmswinv2.pretraining.label_maker import make_store
from mmswinv2.pretraining.map_store import MapStore

STORED = "configs/_base_/datasets/feature_distillation_224px_stored.py"
SCHEDULE = "configs/_base_/schedules/feature_distillation_300e.py"
RUNTIME = "configs/_base_/default_runtime_fd.py"
TEACHER = dict(type="mmswinv2.TinyTeacher")


@pytest.fixture(scope="module")
def store(class_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 24 pictures of 64 px, on a grid of 4 x 4."""
    folder = tmp_path_factory.mktemp("stores") / "features"
    make_store(TEACHER, class_folders / "train", folder, features=True, workers=0)
    return folder


@pytest.fixture
def config(store: Path, class_folders: Path) -> Config:
    """Of one iteration with all pictures."""
    cfg = Config(dict(model={**distillation(), "teacher": None, "store": str(store)}))
    for base in (SCHEDULE, RUNTIME, STORED):
        cfg.merge_from_dict(Config.fromfile(ROOT / base).to_dict())
    root = str(class_folders / "train")
    cfg.data_root = root
    loader = cfg.train_dataloader
    loader.update(batch_size=24, num_workers=0, persistent_workers=False)
    loader.dataset.data_root = root
    loader.dataset.pipeline[1].update(store=str(store), data_root=root)
    loader.dataset.pipeline[2].scale = 64
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.logger.interval = 1
    cfg.custom_hooks[0].plot = False
    return cfg


def test_a_whole_picture_learns_what_its_teacher_gives(
    config: Config, store: Path
) -> None:
    """To half precision: the view is the whole picture, at the teacher's size."""
    load, features, *_, pack = config.train_dataloader.dataset.pipeline
    resize = dict(type="Resize", scale=(64, 64), backend="pillow")
    pipeline = Compose([load, features, resize, pack])
    root = Path(config.data_root)
    paths = [root / path for path in MapStore(store).paths()]
    batch = default_collate([pipeline(dict(img_path=str(p))) for p in paths[:6]])

    losses = []
    for model in (config.model, distillation()):
        torch.manual_seed(0)
        built = MODELS.build(model)
        data = built.data_preprocessor(batch)
        losses.append(built(**data, mode="loss")["loss"])
    assert built.teacher is not None
    torch.testing.assert_close(losses[0], losses[1], rtol=2e-4, atol=0)


def test_what_shows_nothing_of_the_picture_teaches_nothing(config: Config) -> None:
    """Loss of a batch, half of each picture being padding that was moved in."""
    model = MODELS.build(config.model)
    images = torch.randn(2, 3, 64, 64)
    pipeline = config.train_dataloader.dataset.pipeline
    root = Path(config.data_root)
    picture = next(root.glob("*/*.jpg"))
    sample = Compose([*pipeline[:2], pipeline[-1]])(dict(img_path=str(picture)))
    sample = sample["data_samples"]
    # the left half lies beyond the picture's left border
    moved = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    sample.set_field(moved, "geometry", dtype=None)
    losses = []
    for left in (0.0, 1e6):
        hook = model.neck.register_forward_hook(
            lambda module, args, out, left=left: torch.cat(
                (out[..., :1] + left, out[..., 1:]), -1
            )
        )
        losses.append(model.loss(images, [sample] * 2)["loss"])
        hook.remove()
    assert losses[0] == losses[1] > 0
    sample.set_field(moved + torch.tensor([0.0, 0.0, 9.0]), "geometry", dtype=None)
    assert model.loss(images, [sample] * 2)["loss"] == 0


def test_a_run_needs_no_teacher(config: Config, tool: Tool) -> None:
    """Nor does the plan of its memory."""
    config.dump("config.py")
    out = tool("tools/train.py", "config.py")
    assert "stored features, 4 x 4 for a whole picture, are sampled where" in out
    assert "24 pictures in batches of 24; 1 epochs of 1 iterations" in out
    out = tool("tools/analysis/plan_memory.py", "config.py", "--gpus", "1")
    assert "24 images of 64 x 64 px" in out
    plan = "teachers are left out"  # of its time
    assert "teacher" not in out.replace(plan, "")


def test_the_config_on_the_page_is_what_it_says() -> None:
    """And its commands name files that are there."""
    page = (ROOT / "docs/feature_distillation.md").read_text()
    (text,) = [block for block in blocks(page, "python") if "stored.py" in block]
    cfg = Config.fromstring(text, ".py")
    load = cfg.train_dataloader.dataset.pipeline[1]
    assert load.store == cfg.model.store == "data/teacher_features"
    assert load.data_root == cfg.train_dataloader.dataset.data_root == "data/pictures"
    for command in commands(page):
        assert (ROOT / command.split()[1]).is_file()
        config = command.split()[2]
        made = ("--features", "configs/stored.py")
        assert (ROOT / config).is_file() or config in made
    for link in re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", page):
        assert (ROOT / "docs" / link).exists()


# Bad input, before training


def plain_crop(cfg: Config) -> None:
    cfg.train_dataloader.dataset.pipeline[2].type = "RandomResizedCrop"


def no_fields(cfg: Config) -> None:
    del cfg.train_dataloader.dataset.pipeline[-1]["algorithm_keys"]


def not_loaded(cfg: Config) -> None:
    del cfg.train_dataloader.dataset.pipeline[1]


def not_in_model(cfg: Config) -> None:
    cfg.model.update(store=None, teacher=TEACHER)


def neither(cfg: Config) -> None:
    cfg.model.store = None
    not_loaded(cfg)


def other_teacher(cfg: Config) -> None:
    cfg.model.teacher = dict(type="mmswinv2.TimmTeacher", model="resnet18")


def turned(cfg: Config) -> None:
    cfg.train_dataloader.dataset.pipeline[0].color_type = "color"


def no_store(cfg: Config) -> None:
    cfg.train_dataloader.dataset.pipeline[1].store = "nowhere"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (plain_crop, "RandomResizedCrop may move pixels and does not note where"),
        (no_fields, "and its fields to the algorithm_keys of that"),
        (not_loaded, "loads no features, which model.store="),
        (not_in_model, "but model.store is None: write model.store="),
        (neither, "model.teacher is missing: give one, or model.store"),
        (other_teacher, "of the teacher tiny, but model.teacher is resnet18; make"),
        (turned, "write color_type='color_ignore_orientation'"),
        (no_store, "make them: .*make_token_labels.py --features --teacher TEACHER"),
    ],
)
def test_what_cannot_be_learnt_is_refused(
    change: Callable[[Config], None], message: str, config: Config, tool: Tool
) -> None:
    change(config)
    config.dump("config.py")
    assert re.search(message, tool.fails("tools/train.py", "config.py"))
    assert not Path("work_dirs/config").exists()
