"""Scenes of the window transfer benchmark: only position tells names."""

import math

import pytest
import torch
from scenes import CLASSES, LANDMARK, Scenes, draw, make_scenes, relation


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return make_scenes(100, torch.Generator().manual_seed(0))


def test_names_follow_from_where_an_ellipse_lies(scenes: Scenes) -> None:
    """Each has the name of its direction and distance, computed another way."""
    seen = set()
    for boxes, labels in zip(scenes.boxes.tolist(), scenes.labels.tolist()):
        assert labels[0] == LANDMARK
        for (x, y, *_), label in zip(boxes[1:], labels[1:]):
            if not label:
                continue
            dx, dy = x - boxes[0][0], y - boxes[0][1]
            angle = math.degrees(math.atan2(dy, dx)) % 360  # y grows downwards
            direction = ("right", "below", "left", "above")[round(angle / 90) % 4]
            distance = "near" if math.hypot(dx, dy) < 0.38 else "far"
            assert CLASSES[label] == f"{distance} {direction}"
            seen.add(label)
    assert seen == set(range(1, LANDMARK))


def test_doubtful_places_have_no_name() -> None:
    """On the diagonals, and between near and far."""
    dx, dy = torch.tensor([0.2, 0.38, 0.2]), torch.tensor([0.2, 0.0, 0.0])
    assert relation(dx, dy).tolist() == [0, 0, 1]


def test_objects_lie_inside_and_apart(scenes: Scenes) -> None:
    """No box leaves the picture or touches another."""
    centres, radii = scenes.boxes.split(2, dim=-1)
    there = scenes.labels > 0
    assert (centres - radii)[there].min() >= 0
    assert (centres + radii)[there].max() <= 1
    gap = (centres[:, :, None] - centres[:, None]).abs()
    gap = (gap - radii[:, :, None] - radii[:, None]).amax(-1)
    both = there[:, :, None] & there[:, None] & ~torch.eye(6, dtype=torch.bool)
    assert gap[both].min() > 0


def test_ellipses_look_alike(scenes: Scenes) -> None:
    """In a scene all have one colour, and shapes do not tell names."""
    image, labels = draw(scenes, 96)
    for picture, names, colour in zip(image, labels, scenes.colours[:, 1]):
        inner = torch.nn.functional.avg_pool2d(
            ((names > 0) & (names != LANDMARK)).float()[None], 5, 1, 2
        )[0].eq(1)
        assert (picture[:, inner] - colour[:, None]).abs().max() < 1e-5
    radii = [
        scenes.boxes[..., 2:][scenes.labels == label].mean().item()
        for label in range(1, LANDMARK)
    ]
    assert max(radii) - min(radii) < 0.01


def test_a_larger_picture_shows_the_same_scene(scenes: Scenes) -> None:
    """Three times the resolution, the same content in every 3 x 3 px."""
    small, small_labels = draw(scenes, 64)
    large, large_labels = draw(scenes, 192)
    assert (large_labels[:, 1::3, 1::3] == small_labels).all()
    means = torch.nn.functional.avg_pool2d(large, 3)
    assert (means - small).abs().mean() < 0.01


def test_noise_is_reproducible(scenes: Scenes) -> None:
    """The same generator draws the same pictures, and noise has its size."""
    noisy = [draw(scenes, 64, torch.Generator().manual_seed(1))[0] for _ in range(2)]
    assert torch.equal(*noisy)
    assert (noisy[0] - draw(scenes, 64)[0]).std().item() == pytest.approx(0.1, rel=0.01)
