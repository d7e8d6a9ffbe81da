"""Compares what a file gives with what the model itself predicts."""
# H W a picture in px, C channels or classes

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement

from mmswinv2.datasets.mini_scenes import draw_scene

from .detected import differences_of_objects, predicted_objects
from .formats import Arrays, Runner
from .networks import Exported
from .program import LEAST

# Of the largest value. With 8 bits, whether it will do is for the user to say.
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}
SMALLEST_SCENE = 128  # px


@dataclass(frozen=True)
class Parity:
    """What a comparison found.

    Args:
        sizes (list): (height, width) of the pictures, in px.
        difference (float): The largest, of scores or features, over the largest value;
            of labels by how much the model itself prefers its own.
        other_labels (float): Share of pixels with another label.
        objects (int): Found by the model, all together.
        other_objects (int): Found by the model or the file alone, see
            :func:`differences_of_objects`.
        seconds (float): Of a picture of the first size, by the file.
        eager_seconds (float): Likewise by the model.
    """

    sizes: list[tuple[int, int]]
    difference: float
    other_labels: float
    objects: int
    other_objects: int
    seconds: float
    eager_seconds: float


def sizes_to_compare(size: tuple[int, int], *, dynamic: bool) -> list[tuple[int, int]]:
    """Three sizes: the same, or with other sides, one of them odd.

    Args:
        size (tuple[int, int]): (height, width), in px.
        dynamic (bool): Whether the file takes others.
    """
    height, width = size
    if not dynamic:
        return [size] * 3
    others = (width * 3 // 4, height), (height // 2 + 1, width * 5 // 8 - 1)
    return [size, *((max(h, LEAST), max(w, LEAST)) for h, w in others)]


def drawn_pictures(sizes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """A drawn scene of every size, RGB ``(H, W, 3)`` of 8 bits."""
    rng = np.random.default_rng(0)
    scenes = [draw_scene(rng, max(*size, SMALLEST_SCENE)).image for size in sizes]
    return [
        np.ascontiguousarray(scene[:height, :width, ::-1])
        for scene, (height, width) in zip(scenes, sizes)
    ]


def compare(
    model: Any, network: Exported, run: Runner, compared: Sequence[np.ndarray]
) -> Parity:
    """Runs a file and the model on some pictures.

    Args:
        model (nn.Module): As it was loaded, on the CPU.
        network (Exported): What was written.
        run (Runner): Runs the file.
        compared (Sequence): RGB pictures ``(H, W, 3)`` of 8 bits.
    """
    expect = EXPECTED[network.task]

    def inputs_of(picture: np.ndarray) -> Arrays:
        more = [value.numpy() for value in network.more_inputs()]
        return dict(zip(network.input_names, (picture, *more)))

    differences, others, objects, other_objects = [0.0], [0.0], 0, 0
    for picture in compared:
        expected, found = expect(model, picture), run(inputs_of(picture))
        if network.task == "detection":
            difference, alone = differences_of_objects(expected, found)
            differences.append(difference)
            other_objects += alone
            objects += len(expected["labels"])
            continue
        differences += _differences(expected, found)
        if network.task == "segmentation":
            others.append(float((expected["labels"] != found["labels"]).mean()))
    first, inputs = compared[0], inputs_of(compared[0])
    return Parity(
        sizes=[picture.shape[:2] for picture in compared],
        difference=float(np.max(differences)),  # NaN where there is one
        other_labels=max(others),
        objects=objects,
        other_objects=other_objects,
        seconds=_time(lambda: run(inputs)),
        eager_seconds=_time(lambda: expect(model, first)),
    )


def _time(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _differences(expected: Arrays, found: Arrays) -> list[float]:
    """The largest difference of every output, over its largest value."""
    differences = []
    for name, values in found.items():
        wanted = expected["scores" if name == "labels" else name]
        top = np.abs(wanted).max()
        if name == "labels":  # equal, but for ties
            of_labels = np.take_along_axis(wanted, values[None].astype(int), 0)
            difference = wanted.max(0) - of_labels[0]
        else:
            difference = np.abs(wanted - values.reshape(wanted.shape))
        differences.append(float(difference.max() / max(top, 1e-12)))
    return differences


def _features(model: Any, picture: np.ndarray) -> Arrays:
    data = model.data_preprocessor(_batch(picture), training=False)
    with torch.no_grad():
        maps = model.backbone(data["inputs"])
    names = (f"stage{stage}" for stage in model.backbone.out_indices)
    return {name: x.numpy() for name, x in zip(names, maps)}


def _segmentation(model: Any, picture: np.ndarray) -> Arrays:
    with torch.no_grad():
        found = model.test_step(_batch(picture))[0]
    scores = found.seg_logits.data.numpy()
    if len(scores) == 1:  # of the one class; the other has what makes them a tie there
        scores = np.concatenate([2 * model.decode_head.threshold - scores, scores])
    return dict(scores=scores, labels=found.pred_sem_seg.data[0].numpy())


def _detection(model: Any, picture: np.ndarray) -> Arrays:
    return predicted_objects(model, _batch(picture))


def _classification(model: Any, picture: np.ndarray) -> Arrays:
    data = model.data_preprocessor(dict(inputs=_batch(picture)["inputs"]))
    with torch.no_grad():
        found = model(data["inputs"], mode="predict")[0]
    return dict(scores=found.pred_score.numpy())


def _batch(picture: np.ndarray) -> dict:
    """A picture as the test pipelines of the hosts give it."""
    size = picture.shape[:2]
    pixels = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    return dict(inputs=[pixels], data_samples=[BaseDataElement(metainfo=meta)])


EXPECTED: dict[str, Callable[[Any, np.ndarray], Arrays]] = {
    "features": _features,
    "detection": _detection,
    "segmentation": _segmentation,
    "classification": _classification,
}
