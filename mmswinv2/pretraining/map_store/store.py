"""Stores that are read: maps by the path of their picture, and what can be wrong."""
# k classes kept, C channels, h w map in tokens

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmswinv2.checkpoints.checksums import sha256_of

from .manifest import DRAFT, INDEX, MAKER, MANIFEST, MapSpec, read_json
from .pictures import Index, find_pictures, fingerprint
from .shards import shard_bytes, shard_name


class TokenLabelMap(NamedTuple):
    """The likeliest classes of each token."""

    values: np.ndarray  # (k, h, w) float16, raw logits, the largest first
    ids: np.ndarray  # (k, h, w) int16 or int32, their classes


class MapStore:
    """Maps of a teacher for the pictures of a folder, which lie on the disk.

    It holds no map in memory, and may be handed to other processes.

    Args:
        folder (str | Path): As ``make_token_labels.py`` writes it.

    Attributes:
        spec (MapSpec): ``kind``, ``teacher``, ``grid``, ``num_classes``, ``classes``,
            ``top_k``, ``channels``, ``input_size``, ``coverage`` and
            ``exif_rotation``.

    Raises:
        FileNotFoundError: If there is no store, or a file of it is missing.
        ValueError: If it is unfinished, damaged, cut, or of a newer format.

    Examples:
        >>> store = MapStore("data/imagenet-labels")
        >>> store.read("n01440764/n01440764_10026.JPEG").values.shape
        (5, 18, 18)
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        file = self.folder / MANIFEST
        if not file.is_file():
            if (self.folder / DRAFT).exists():
                raise ValueError(
                    f"{folder} is unfinished; give its command once more, which goes on"
                )
            raise FileNotFoundError(f"{folder} has no {MANIFEST}; {MAKER}")
        self.manifest = read_json(file)
        try:
            self.spec = MapSpec.from_json(self.manifest)
            self.rows, self.data = self.manifest["rows"], self.manifest["data"]
            expected = {INDEX: self.manifest["index"]}
            expected |= {shard["file"]: shard for shard in self.manifest["shards"]}
            shards = self.spec.shards(self.rows)
            names = [shard_name(name, number) for name, number, _, _ in shards]
            if [*expected] != [INDEX, *names]:
                raise ValueError("its list of files is not what its rows need")
            self._checksums = {name: f["sha256"] for name, f in expected.items()}
            sizes = {name: int(f["bytes"]) for name, f in expected.items()}
            for name, number, dtype, shape in shards:
                if sizes[shard_name(name, number)] != shard_bytes(dtype, shape):
                    raise ValueError("sizes of its files are not what its maps need")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{file} is damaged ({error!r:.200}); copy the store again, or make it "
                "anew"
            ) from error
        for name, size in sizes.items():
            self._check_size(name, size)
        self._shapes = {
            shard_name(name, number): (dtype, shape)
            for name, number, dtype, shape in shards
        }
        self._per_shard = self.spec.rows_per_shard()
        self._index = Index(self.folder / INDEX)
        self._maps: dict[str, np.ndarray] = {}

    def __getstate__(self) -> dict:
        return dict(folder=self.folder)

    def __setstate__(self, state: dict) -> None:
        MapStore.__init__(self, state["folder"])

    def __len__(self) -> int:
        return len(self._index)

    @property
    def coverage(self) -> str:
        """'whole' or 'centre-square': what of a picture its map is of."""
        return self.spec.coverage

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) of maps, in tokens."""
        return self.spec.grid

    def paths(self) -> list[str]:
        """Of all pictures, sorted."""
        return [picture.path for picture, _ in self._index]

    def read(self, path: str) -> TokenLabelMap | np.ndarray:
        """The map of a picture.

        Args:
            path (str): Relative to the data folder that the store was made of, with /.

        Returns:
            TokenLabelMap | ndarray: Of token labels ``values`` and ``ids``, each
            ``(k, h, w)``; of features ``(C, h, w)`` in fp16.

        Raises:
            ValueError: If there is none for this picture, or its shard is damaged.
        """
        row = self._index.find(path)
        if row is None:
            raise ValueError(
                f"{self.folder} has no map for {path}; it has {len(self):,}, such as "
                f"{next(iter(self._index))[0].path}: make a store of the data folder "
                "that is trained on, whose paths are relative to it"
            )
        shard, place = divmod(row, self._per_shard)
        arrays = [
            np.array(self._shard(shard_name(name, shard))[place])
            for name in self.spec.arrays()
        ]
        return arrays[0] if len(arrays) == 1 else TokenLabelMap(*arrays)

    def check(
        self,
        *,
        kind: str | None = None,
        teacher: dict[str, str] | None = None,
        num_classes: int | None = None,
        classes: Sequence[str] | None = None,
        data: str | Path | None = None,
        full: bool = False,
    ) -> None:
        """Whether the store is what is needed.

        Args:
            kind (str, optional): 'token_labels' or 'features'.
            teacher (dict, optional): ``Teacher.identity``.
            num_classes (int, optional): Of the student.
            classes (Sequence[str], optional): Their names; compared where the store
                has names too.
            data (str | Path, optional): The data folder, whose pictures and their sizes
                in bytes shall be those that the maps were made of.
            full (bool): Whether to read all of it and compare checksums. Defaults to
                False.

        Raises:
            ValueError: If it is not.
        """
        spec = self.spec
        if kind is not None and kind != spec.kind:
            raise ValueError(
                f"{self.folder} holds {spec.kind}, expected {kind}; {MAKER} of either "
                "kind, features with --features"
            )
        if teacher is not None and teacher != spec.teacher:
            raise ValueError(
                f"{self.folder} was made by the teacher {_named(spec.teacher)}, not by "
                f"{_named(teacher)}; make a store with this one, or take that one"
            )
        if num_classes is not None and num_classes != spec.num_classes:
            raise ValueError(
                f"{self.folder} has labels of {spec.num_classes} classes, but "
                f"{num_classes} are trained; take a teacher of the same classes"
            )
        if classes and spec.classes and tuple(classes) != spec.classes:
            pairs = enumerate(zip_longest(classes, spec.classes))
            place, (own, of_store) = next(p for p in pairs if p[1][0] != p[1][1])
            raise ValueError(
                f"{self.folder} has {of_store!r} as class {place}, but the data set "
                f"has {own!r}; take a teacher of the same classes, in the same order"
            )
        if data is not None:
            self._check_data(data)
        if full:
            self._check_sums()

    def _check_data(self, folder: str | Path) -> None:
        pictures = find_pictures(folder)
        if fingerprint(pictures) == self.data:
            return
        made = {picture.path: picture.size for picture, _ in self._index}
        now = {picture.path: picture.size for picture in pictures}
        new = [path for path in now if path not in made]
        gone = [path for path in made if path not in now]
        other = [path for path in now if made.get(path, now[path]) != now[path]]
        kinds = [("new", new), ("gone", gone), ("of another size", other)]
        text = ", ".join(
            f"{len(found):,} are {what}, such as {found[0]}"
            for what, found in kinds
            if found
        )
        raise ValueError(
            f"{self.folder} was made of another data folder than {folder}: of its "
            f"{len(now):,} pictures {text}; make a store of this folder"
        )

    def _check_sums(self) -> None:
        files = [self.folder / name for name in self._checksums]
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
            found = dict(zip(self._checksums, pool.map(sha256_of, files)))
        wrong = [name for name, sha in self._checksums.items() if found[name] != sha]
        if not wrong:
            for name in self._shapes:  # what the manifest says of them may be edited
                self._check_ids(name, self._shard(name))
            return
        places = {sha: name for name, sha in self._checksums.items()}
        why = "has another SHA-256 than when it was written"
        if found[wrong[0]] in places:
            why = f"has the content of {places[found[wrong[0]]]}"
        raise ValueError(
            f"{self.folder / wrong[0]} {why} ({len(wrong)} of {len(files)} files are "
            "wrong); copy the store again"
        )

    def _check_ids(self, name: str, array: np.ndarray) -> None:
        classes = self.spec.num_classes or 0
        for ids in array if name.startswith("ids") else ():  # a row in memory at a time
            if ids.min() < 0 or ids.max() >= classes:
                raise ValueError(
                    f"{self.folder / name} names classes {ids.min()} to {ids.max()}, "
                    f"expected 0 to {classes - 1}, as {MANIFEST} says; copy the store "
                    "again"
                )

    def _check_size(self, name: str, size: int) -> None:
        file = self.folder / name
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; copy the store again")
        found = file.stat().st_size
        if found != size:
            what = "cut off" if found < size else "another file"
            raise ValueError(
                f"{file} is {what}: it has {found:,} bytes, expected {size:,}; copy "
                "the store again"
            )

    def _shard(self, name: str) -> np.ndarray:
        if name not in self._maps:
            expected = self._shapes[name]
            try:
                opened = np.load(self.folder / name, mmap_mode="r", allow_pickle=False)
                found = (opened.dtype, opened.shape)
            except (ValueError, OSError) as error:
                found = error
            if found != expected:
                raise ValueError(
                    f"{self.folder / name} is damaged: expected {expected[0]} of "
                    f"{expected[1]}, found {found}; copy the store again"
                )
            self._maps[name] = opened
        return self._maps[name]


def _named(teacher: dict) -> str:
    name, weights = teacher.get("name"), str(teacher.get("weights"))
    return f"{name} (weights {weights[:12]})"
