"""The errors a caller may want to catch, each with the command line's exit code."""

from typing import ClassVar


class CalibenchError(Exception):
    """Base of errors raised on purpose: what was asked, what is wrong, the remedy."""

    exit_code: ClassVar[int] = 1


class ParameterError(CalibenchError, ValueError):
    """A parameter, a study file or a command-line option is not valid."""

    exit_code = 2


class DataError(CalibenchError, ValueError):
    """Predictions, labels, images or a file of them are not valid."""

    exit_code = 3


class RowError(DataError):
    """A row of an array is not valid; who reads a file in parts can say which row."""

    def __init__(self, before: str, row: int, after: str) -> None:
        """Put the number of the row between the halves of a message."""
        super().__init__(f"{before}row {row}{after}")
        self.before, self.row, self.after = before, row, after

    def __reduce__(self) -> tuple[type["RowError"], tuple[str, int, str]]:
        # An error is rebuilt from its message otherwise, which is not enough here.
        return type(self), (self.before, self.row, self.after)

    def moved(self, by: int) -> "RowError":
        """The same error for rows counted from further ahead."""
        return RowError(self.before, self.row + by, self.after)


class FitError(CalibenchError, RuntimeError):
    """A calibrator has no finite optimum on the given predictions."""

    exit_code = 3


class LeakageError(CalibenchError, ValueError):
    """Something would be fitted or chosen on the data that judges it."""

    exit_code = 2


class ResourceError(CalibenchError, OSError):
    """The disk, a permission, the network, memory or a device refused."""

    exit_code = 4


class IntegrityError(CalibenchError, RuntimeError):
    """A stored file is not what was written."""

    exit_code = 5


class LockedError(CalibenchError, RuntimeError):
    """Another process is at work on the same run."""

    exit_code = 6


class FingerprintError(CalibenchError, RuntimeError):
    """A run was begun under other software, hardware or data."""

    exit_code = 7


class InterruptedRunError(CalibenchError):
    """Asked to stop; everything committed is kept and the run can be resumed."""

    exit_code = 75


def system_refusal(error: OSError) -> str:
    """Return where the system refused, as far as it says, and why.

    >>> system_refusal(OSError(28, "No space left on device", "store/study.json"))
    'store/study.json: No space left on device'
    """
    reason = error.strerror or str(error)
    return reason if error.filename is None else f"{error.filename}: {reason}"
