"""A validation set where there is none, the same for the same file names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence


def split_names(
    names: Sequence[str], share: float = 0.2, group: str | None = None
) -> tuple[list[str], list[str]]:
    """Divides pictures into those to train and those to validate.

    A name always falls on the same side, whatever the other names are, so that a
    growing set keeps its validation pictures.

    Args:
        names (Sequence[str]): File names.
        share (float): About this share validates. Defaults to 0.2.
        group (str, optional): A regular expression; pictures whose names give the same
            match (or the same groups in it) stay together, such as those of a patient.

    Returns:
        tuple[list[str], list[str]]: Names to train and names to validate.

    Raises:
        ValueError: Some names do not match, or there is nothing to divide.
    """
    if not 0 < share < 1:
        raise ValueError(f"--val-share {share}: expected a number between 0 and 1")
    try:
        keys = {name: _key(name, group) for name in names}
    except re.error as error:
        raise ValueError(f"--group {group!r} is no expression: {error}") from error
    places = {key: _place(key) for key in keys.values()}
    if len(places) < 2:
        groups = f" in {len(places)} groups" if group else ""
        raise ValueError(
            f"{len(names)} pictures{groups} cannot be divided into training and "
            "validation; give a validation set" + ", or another --group" * bool(group)
        )
    bound = sorted(places.values())
    # one group at least on each side
    limit = min(max(share, bound[0]), bound[-2])
    train = [name for name in names if places[keys[name]] > limit]
    return train, [name for name in names if places[keys[name]] <= limit]


def split_coco(content: dict, names: Sequence[str]) -> dict:
    """The part of an annotation file that belongs to some file names."""
    kept = set(names)
    images = [image for image in content["images"] if image["file_name"] in kept]
    ids = {image["id"] for image in images}
    annotations = [a for a in content["annotations"] if a["image_id"] in ids]
    return content | dict(images=images, annotations=annotations)


def _key(name: str, group: str | None) -> str:
    if group is None:
        return name
    match = re.search(group, name)
    if match is None:
        raise ValueError(f"--group {group!r} does not match the file name {name!r}")
    return "\0".join(part or "" for part in match.groups()) or match[0]


def _place(key: str) -> float:
    """A number in [0, 1) that depends on nothing but the key."""
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
