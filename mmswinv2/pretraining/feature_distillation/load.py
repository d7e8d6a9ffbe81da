"""Features of a teacher in the data pipeline, in place of a teacher in the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config

from mmswinv2.pretraining.map_store import FEATURES, MapSpec, MapStore
from mmswinv2.pretraining.token_labeling import LoadMaps
from mmswinv2.registry import TRANSFORMS

NAME = "teacher_features"  # of the field of a sample


@TRANSFORMS.register_module()
class LoadTeacherFeatures(LoadMaps):
    """Adds a teacher's features of a whole picture, see :class:`LoadMaps`.

    Adds ``teacher_features``, fp16 ``(D, h, w)``, and ``geometry``. The model needs the
    same ``store``, and builds no teacher. Arguments are those of :class:`LoadMaps`.
    """

    kind, fields = FEATURES, (NAME, "geometry")
    options = "--features --teacher TEACHER"

    def add(self, results: dict, found: np.ndarray) -> None:
        """Add the map."""
        results[NAME] = found

    def check_run(self, cfg: Config, transforms: Sequence[Callable]) -> None:
        """As of :class:`LoadMaps`; the model must know of the store."""
        of_model = cfg.model.get("store")
        folders = [Path(f).resolve() for f in (of_model or "", self.store.folder)]
        if of_model is None or folders[0] != folders[1]:
            raise ValueError(
                f"the pipeline loads features of {self.store.folder}, but model.store "
                f"is {of_model}: write model.store={str(self.store.folder)!r}"
            )
        super().check_run(cfg, transforms)


def open_store(folder: str, teacher: Mapping | None) -> MapSpec:
    """What a store of features says of itself.

    Args:
        folder (str): Of the store.
        teacher (Mapping, optional): Config of the teacher that it shall be of.

    Raises:
        FileNotFoundError: If there is no store.
        ValueError: If it is of something else, or of another teacher by its name.
    """
    store = MapStore(folder)
    store.check(kind=FEATURES)
    name = teacher and str(teacher.get("model") or teacher.get("config"))
    own = store.spec.teacher["name"]
    if name and own not in (name, Path(name).stem):
        raise ValueError(
            f"{folder} has features of the teacher {own}, but model.teacher is {name}; "
            "make a store with this one, or leave model.teacher out (None)"
        )
    return store.spec
