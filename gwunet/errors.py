"""The exceptions of gwunet, all in one tree.

Every message says where, what was found, what was wanted, and what to do. The commands print it without a
traceback; ``UsageError`` ends them with exit status 2, every other error with 1.
"""

from collections.abc import Sequence


class GwunetError(Exception):
    """Anything gwunet refuses to do, with the reason and the remedy in its message."""


class UsageError(GwunetError):
    """A command or function was called with values that cannot work (unknown name, fold out of range)."""


class SchemaError(GwunetError):
    """A JSON file does not fit its schema; the message starts with the file and the path of the key."""


class DatasetError(GwunetError):
    """A raw dataset is missing, incomplete or inconsistent."""


class FrameError(DatasetError):
    """One frame or mask cannot be read or has unusable content."""


class SplitError(DatasetError):
    """A split of the cases into folds is impossible or leaks."""


class NotPreparedError(GwunetError):
    """A step was asked for before the step it builds on (training before planning, say)."""


class ModelError(GwunetError):
    """A trained model or checkpoint is missing, damaged or does not fit its plans."""


class TrainingError(GwunetError):
    """Training cannot go on (non-finite loss, say)."""


class InterruptionError(GwunetError):
    """A signal ended the work; what was done is saved."""

    def __init__(self, message: str, signal: int | None = None) -> None:
        super().__init__(message)
        self.signal = signal
        """Its number; None where another process of the run got it."""


class OutputError(GwunetError):
    """A result cannot be written where it was asked for."""


def few(names: Sequence[str], shown: int = 3) -> str:
    """The first names, and how many more there are, for a message: ``a, b, c and 4 more``."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
