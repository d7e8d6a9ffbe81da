"""``nn.ModuleList`` for readers who want to know of what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

Kind = TypeVar("Kind", bound=nn.Module)

if TYPE_CHECKING:

    class ModuleList(nn.ModuleList, Generic[Kind]):
        """A list of modules of one kind."""

        def __init__(self, modules: Iterable[Kind]) -> None: ...

        def __iter__(self) -> Iterator[Kind]: ...

        def __getitem__(self, idx: int) -> Kind: ...  # type: ignore[override]  # no slices
else:
    ModuleList = nn.ModuleList
