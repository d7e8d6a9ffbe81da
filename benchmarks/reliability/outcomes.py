"""What becomes of one faulty input, and what of it is good."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "mmswinv2"


class Kind(str, Enum):
    """Outcomes; :attr:`good` tells which of them a campaign may end with."""

    RIGHT = "right"  # the result of a faultless input, or of what is left of it
    REFUSED = "refused"  # with a sentence of this package
    UNTOLD = "cannot be told"  # wrong numbers in a format without any checksum
    SILENT = "silently wrong"
    RAW = "raw exception"  # of another package, or without a sentence
    CRASH = "process died"
    HANG = "hung"
    CODE = "ran code"

    @property
    def good(self) -> bool:
        """Whether nothing has to be mended."""
        return self in (Kind.RIGHT, Kind.REFUSED, Kind.UNTOLD)


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        kind (Kind): The outcome.
        case (str): What was done to the input, so that it can be done again.
        detail (str): Message or numbers, for those who mend it. Defaults to ''.
    """

    kind: Kind
    case: str
    detail: str = ""


def refusal(error: BaseException, case: str) -> Outcome:
    """The outcome of a case that ended in an exception.

    A refusal is raised by this package itself, as one of the three kinds of errors that
    users see, with a sentence.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = bool(frames) and PACKAGE in Path(frames[-1].filename).resolve().parents
    sentence = type(error) in (ValueError, RuntimeError, FileNotFoundError)
    kind = Kind.REFUSED if own and sentence and len(str(error)) > 20 else Kind.RAW
    return Outcome(kind, case, f"{type(error).__name__}: {error}")
