"""What a store says of itself: ``manifest.json``."""
# K classes, k kept of them, C channels, h w map in tokens

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1
MANIFEST, DRAFT, INDEX, DONE = "manifest.json", "draft.json", "index.tsv", "rows.done"
TOKEN_LABELS, FEATURES = "token_labels", "features"
WHOLE, CENTRE_SQUARE = "whole", "centre-square"
LOGITS, PROBABILITIES = "logits", "probabilities"
SHARD_BYTES, SHARD_ROWS = 2**29, 2**14
MAKER = "tools/dataset_converters/make_token_labels.py makes stores"


@dataclass(frozen=True)
class MapSpec:
    """What all maps of a store have in common.

    Attributes:
        kind (str): 'token_labels', or 'features'.
        teacher (dict[str, str]): Its ``identity``.
        grid (tuple[int, int]): (h, w) of maps, in tokens.
        num_classes (int, optional): K, of token labels.
        classes (tuple[str, ...], optional): Their names, if they are known.
        top_k (int, optional): Classes kept of each token, k.
        channels (int, optional): C, of features.
        input_size (tuple[int, int], optional): (h, w) in px that the teacher saw.
        coverage (str): What of a picture maps are of: 'whole', or 'centre-square', the
            largest square in its middle. Defaults to 'whole'.
        exif_rotation (bool): Whether pictures were turned as their EXIF says. Defaults
            to False, as our classifiers' configs read them.
        values (str): What values of token labels are: 'logits', of which classes that
            are not kept have 0, or 'probabilities', such as the shares of a cell that
            classes have; what they leave of 1 is unknown. Defaults to 'logits'.
    """

    kind: str
    teacher: dict[str, str]
    grid: tuple[int, int]
    num_classes: int | None = None
    classes: tuple[str, ...] | None = None
    top_k: int | None = None
    channels: int | None = None
    input_size: tuple[int, int] | None = None
    coverage: str = WHOLE
    exif_rotation: bool = False
    values: str = LOGITS

    def arrays(self) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
        """Types and shapes of a row: ``(k, h, w)`` twice, or ``(C, h, w)``."""
        half = np.dtype("<f2")
        if self.kind == FEATURES:
            return dict(features=(half, (self.channels or 0, *self.grid)))
        shape = (self.top_k or 0, *self.grid)
        ids = np.dtype("<i2" if (self.num_classes or 0) <= 2**15 else "<i4")
        return dict(values=(half, shape), ids=(ids, shape))

    def rows_per_shard(self) -> int:
        """So many that the largest file of a shard has at most 512 MiB."""
        largest = max(prod(shape) * d.itemsize for d, shape in self.arrays().values())
        return min(SHARD_ROWS, max(SHARD_BYTES // largest, 1))

    def shards(self, rows: int) -> list[tuple[str, int, np.dtype, tuple[int, ...]]]:
        """(array, number, type, shape) of every file that so many rows need."""
        step = self.rows_per_shard()
        return [
            (name, start // step, dtype, (min(step, rows - start), *shape))
            for name, (dtype, shape) in self.arrays().items()
            for start in range(0, rows, step)
        ]

    def to_json(self) -> dict:
        """Plain values."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_json(cls, content: dict) -> MapSpec:
        """The other way; other keys are left out.

        Raises:
            ValueError: If that is no description of maps.
        """
        given: dict[str, Any] = {
            name: content.get(name) for name in cls.__dataclass_fields__
        }
        for name in ("grid", "classes", "input_size"):
            if isinstance(given[name], list):
                given[name] = tuple(given[name])
        spec = cls(**given)
        spec.check()
        return spec

    def check(self) -> None:
        """Raises ValueError where a value cannot be."""
        labels = self.kind == TOKEN_LABELS
        counts: Any = (self.channels,)
        if labels:
            counts = self.top_k, self.num_classes
        names = self.classes is None or len(self.classes) == self.num_classes
        if not (
            self.kind in (TOKEN_LABELS, FEATURES)
            and isinstance(self.teacher, dict)
            and isinstance(self.grid, tuple)
            and len(self.grid) == 2
            and all(type(n) is int and n > 0 for n in (*self.grid, *counts))
            and (not labels or counts[0] <= counts[1])
            and names
            and self.coverage in (WHOLE, CENTRE_SQUARE)
            and isinstance(self.exif_rotation, bool)
            and self.values in (LOGITS, PROBABILITIES)
        ):
            raise ValueError(f"no maps are like that: {str(self.to_json())[:300]}")


def dumped(content: dict) -> str:
    """The text of a manifest."""
    return json.dumps(content, indent=1) + "\n"


def read_json(file: Path) -> dict:
    """A manifest or a draft, of a format that is known.

    Raises:
        ValueError: If it is damaged, or of a newer format.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
        newer = content["format"] > FORMAT
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{file} is damaged ({error!r:.100}); copy the store again, or make it anew"
        ) from error
    if newer:
        raise ValueError(
            f"{file} has format {content['format']}, but this version of mmswinv2 "
            f"knows formats up to {FORMAT}; upgrade it"
        )
    return content
