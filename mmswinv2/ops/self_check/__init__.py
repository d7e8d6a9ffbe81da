"""Hand-written kernels prove themselves on a device before they are used there."""

from .decide import CHECKS, check_again, refusal, unsupported

__all__ = ["CHECKS", "check_again", "refusal", "unsupported"]
