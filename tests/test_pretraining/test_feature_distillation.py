"""Feature Distillation's parts: target, loss, and a teacher beside the model."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from tiny_teacher import HEIGHT, WIDTH, TinyTeacher, distillation
from torch import Tensor, nn

from mmswinv2.checkpoints import read_swin_weights
from mmswinv2.checkpoints.convert import convert
from mmswinv2.engine.bf16 import Bf16OptimWrapper
from mmswinv2.pretraining import FeatureDistillation
from mmswinv2.pretraining.feature_distillation.targets import fit_grid, whiten


def build(**options: object) -> FeatureDistillation:
    torch.manual_seed(0)
    model = MODELS.build(distillation(**options))
    model.init_weights()
    return model


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, HEIGHT, WIDTH, generator=generator)


def loss_of(model: nn.Module, images: Tensor) -> Tensor:
    return model(images, [], mode="loss")["loss"]


# The target and the loss


@pytest.mark.parametrize("beta", [0.1, 2.0])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_the_loss_is_that_of_the_formula(
    images: Tensor, stride: int, beta: float
) -> None:
    """Written out in numpy; of finer grids each token learns the mean of its square."""
    model = build(teacher=dict(stride=stride, scale=30.0), beta=beta)
    with torch.no_grad():
        given = model.teacher.features(images).double().numpy()
        tokens = model.backbone(images)[-1].double().numpy()
    conv = model.neck.decoder[0]
    weight, bias = (x.detach().double().numpy() for x in (conv.weight, conv.bias))
    share = 32 // stride
    total, count = 0.0, 0
    for b, y, x in np.ndindex(2, HEIGHT // 32, WIDTH // 32):
        rows, columns = (slice(i * share, (i + 1) * share) for i in (y, x))
        target = given[b, :, rows, columns].mean((1, 2))
        target = (target - target.mean()) / np.sqrt(target.var() + 1e-5)
        for d, value in enumerate(target):
            apart = abs(weight[d, :, 0] @ tokens[b, :, y, x] + bias[d] - value)
            total += apart**2 / (2 * beta) if apart < beta else apart - beta / 2
            count += 1
    loss = loss_of(model, images)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(total / count, rel=1e-5)


def test_whitening_takes_the_scale_out_of_every_token() -> None:
    features = torch.randn(2, 24, 3, 5)
    white = whiten(features)
    torch.testing.assert_close(white.mean(1), torch.zeros(2, 3, 5))
    deviation = white.std(1, correction=0)
    torch.testing.assert_close(deviation, torch.ones(2, 3, 5), atol=1e-4, rtol=0)
    louder = features * torch.tensor([1e3, 0.5]).view(2, 1, 1, 1) + 7
    torch.testing.assert_close(whiten(louder), white, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("grid", [(4, 6), (3, 3), (5, 8), (6, 8), (1, 7)])
def test_a_token_of_a_coarser_grid_learns_the_mean_of_its_square(
    grid: tuple[int, int],
) -> None:
    """To the fraction: each cell cut into many that both grids are made of."""
    features = torch.randn(2, 3, 6, 8)
    cut = features
    for axis, cells in enumerate(grid):
        cut = cut.repeat_interleave(cells, 2 + axis)
    expected = F.avg_pool2d(cut, (6, 8))
    image = tuple(32 * cells for cells in grid)
    torch.testing.assert_close(fit_grid(features, grid, image), expected)


def coordinates(size: tuple[int, int], reach: Sequence[float] = (1, 1)) -> Tensor:
    """A map that holds where the centres of its tokens are."""
    axes = [(torch.arange(n) + 0.5) / n * r for n, r in zip(size, reach)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


@pytest.mark.parametrize("grid", [(9, 13), (12, 8), (7, 3)])
def test_a_finer_grid_has_what_lies_where_its_tokens_are(
    grid: tuple[int, int],
) -> None:
    """A map of its own coordinates stays one, but beyond the outer centres."""
    image = tuple(32 * cells for cells in grid)
    apart = (fit_grid(coordinates((6, 8)), grid, image) - coordinates(grid)).abs()
    assert apart.max() < 0.05
    inner = apart[..., 1:-1, 1:-1] if grid[1] > 3 else apart[:, 0, 1:-1]
    assert inner.max() < 1e-6


def test_tokens_beyond_the_picture_learn_what_is_left_of_it() -> None:
    """At 112 x 208 px the last of 4 x 7 tokens of 32 px have half a token each."""
    fitted = fit_grid(coordinates((28, 52)), (4, 7), (112, 208))
    expected = coordinates((4, 7), (128 / 112, 224 / 208))
    expected[0, 0, -1] = 1 - 8 / 112
    expected[0, 1, :, -1] = 1 - 8 / 208
    torch.testing.assert_close(fitted, expected)


# A teacher beside the model


def test_gradients_reach_student_and_projection_only(images: Tensor) -> None:
    model = build()
    before = copy.deepcopy(model.teacher.state_dict())
    wrapper = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(12):
        loss = loss_of(model.train(), images)
        wrapper.zero_grad()
        loss.backward()
        wrapper.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.grad is not None for p in model.neck.parameters())
    unreached = [n for n, p in model.backbone.named_parameters() if p.grad is None]
    assert not unreached
    for name, tensor in model.teacher.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(p.grad is None for p in model.teacher.parameters())
    assert not any(m.training for m in model.teacher.modules())


def test_the_teacher_is_no_part_of_the_model() -> None:
    """Of no state dict, no parameters, no average of weights; copies share it."""
    model = build()
    names = {name.split(".")[0] for name in model.state_dict()}
    assert names == {"backbone", "neck"}
    assert {n for n in model.state_dict() if n.startswith("neck")} == {
        "neck.decoder.0.weight",
        "neck.decoder.0.bias",
    }
    own = {id(p) for p in model.teacher.parameters()}
    assert own.isdisjoint(id(p) for p in model.parameters())
    average = ExponentialMovingAverage(model)
    assert average.module.teacher is copy.deepcopy(model).teacher is model.teacher
    assert model.to("meta").teacher.model.weight.device.type == "cpu"


def test_grids_are_told_once(images: Tensor, logs: list[str]) -> None:
    model = build()
    for _ in range(3):
        loss_of(model, images)
    (told,) = (line for line in logs if line.startswith("Feature Distillation:"))
    given = r"the teacher tiny \(weights \w{12}\) gives 4 x 6 tokens of 16"
    assert re.search(given, told)
    assert "the student 2 x 3 tokens of 32 x 32 px: each token of the student" in told


def test_pictures_are_resized_only_for_a_teacher_that_needs_it(
    images: Tensor, logs: list[str]
) -> None:
    """One of fixed size gets its own size, which the log says."""
    model = build(teacher=dict(only=64))
    loss = loss_of(model, images)
    assert loss.isfinite()
    assert model.teacher.seen == [(HEIGHT, WIDTH), (64, 64), (64, 64)]
    (told,) = (line for line in logs if "resized" in line)
    assert "does not take 96 x 64 px (the height is not 64): it gets" in told.replace(
        "width", "height"
    )
    assert "resized to 64 x 64 px" in told
    whole = build()
    loss_of(whole, images)
    assert whole.teacher.seen == [(HEIGHT, WIDTH)] * 2


def test_the_teacher_runs_in_the_precision_of_the_student(images: Tensor) -> None:
    """Whoever sets it: autocast around all, the wrapper of CPUs, FSDP's backbone."""
    model = build()
    loss_of(model, images)
    assert model.teacher.dtypes.pop() == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(model, images)
    assert model.teacher.dtypes.pop() == torch.bfloat16
    assert loss.dtype == torch.float32
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with Bf16OptimWrapper(optimizer=optimizer).optim_context(model):
        loss_of(model, images)
    assert model.teacher.dtypes.pop() == torch.bfloat16
    loss_of(model, images)
    assert model.teacher.dtypes.pop() == torch.float32


def test_a_compiled_model_has_the_same_loss(images: Tensor) -> None:
    """All but its backbone, which has a test of its own."""
    student = nn.Sequential(nn.Conv2d(3, 256, 32, 32), nn.Identity())
    student.forward = lambda x: (student[0](x),)
    model = build(backbone=student)
    expected = loss_of(model, images)
    torch.compiler.reset()
    compiled = torch.compile(model.forward, backend="eager")
    torch.testing.assert_close(compiled(images, [], mode="loss")["loss"], expected)


# Files


def test_the_official_file_loads_with_its_projection(tmp_path: object) -> None:
    """Which holds its teacher too, of no use here."""
    source = build().cpu()
    torch.save(dict(state_dict=source.state_dict()), tmp_path / "own.pth")
    official = convert(read_swin_weights(tmp_path / "own.pth"), "official").tensors
    file = {
        f"encoder.{name}".replace("cpb_mlp", "rpe_mlp"): tensor
        for name, tensor in official.items()
    }
    for name, tensor in source.neck.state_dict().items():
        file[name] = tensor
    file["feature_model.layers.0.blocks.0.attn.qkv.weight"] = torch.zeros(3, 3)
    torch.save(dict(model=file), tmp_path / "official.pth")
    torch.manual_seed(1)
    model = MODELS.build(distillation())
    load_checkpoint(model, str(tmp_path / "official.pth"), strict=True)
    for name, tensor in source.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(beta=0.0), "beta=0.0: expected a number above 0, 2 as published"),
        (
            dict(data_preprocessor=dict(type="SelfSupDataPreprocessor")),
            "teachers take them with mean=",
        ),
    ],
)
def test_a_model_that_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (dict(gives="vector"), r"tiny takes neither .*\(its features are \(1, 24\), "),
        (dict(only=63), r"pictures of 96 x 64 px nor of its own 64 x 64 px"),
        (dict(scale=math.nan), "tiny gives features that are not finite"),
    ],
)
def test_features_that_do_not_fit_are_refused_before_training(
    teacher: dict, message: str
) -> None:
    model = build(teacher=teacher)
    with pytest.raises(ValueError, match=message):
        model.check_pictures((HEIGHT, WIDTH))


def test_what_the_check_sees_leaves_random_numbers_alone() -> None:
    model = build()
    assert isinstance(model.teacher, TinyTeacher)
    torch.manual_seed(5)
    model.check_pictures((HEIGHT, WIDTH))
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
