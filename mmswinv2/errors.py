"""Errors that commands tell in one message, at any time of a run."""


class RunError(RuntimeError):
    """A run cannot go on, and its message says all that the user needs to know."""
