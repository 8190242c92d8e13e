"""Read a file as `calibench evaluate` would, and say whether that went as promised."""

import json
import math
import resource
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibench import metrics
from calibench.errors import CalibenchError
from calibench.lab.data.prediction_stream import joined, stream_predictions
from calibench.lab.evaluation import evaluate_files
from fuzzing.case import Case

SECONDS = 2.0
# A message quotes what it found; a whole file in it helps nobody.
LONGEST_MESSAGE = 5000
_BELOW_ZERO = {"confidence_gap", "debiased_l1", "debiased_l2"}
# Weights that are no whole numbers do not say how many examples there are.
_OF_COUNTS = {"debiased_l1", "debiased_l2"}


class TooSlowError(BaseException):
    """Raised by the alarm; not an Exception, so that no reader swallows it."""


@dataclass(frozen=True)
class Judgment:
    """How reading a file went.

    Attributes:
        outcome: "read", "refused", or the name of what went wrong.
        finding: What broke the promise; empty if nothing did.
        seconds: How long it took.
        peak_mb: The largest memory of the process so far.
    """

    outcome: str
    finding: str
    seconds: float
    peak_mb: float


def judge(case: Case, folder: Path, *, whole: bool) -> Judgment:
    """Write a case, read it, and compare with what it must end in.

    Args:
        case: The file.
        folder: Where to write it.
        whole: Make the full evaluation of `calibench evaluate` too, not only the
            numbers that need no resampling.
    """
    for name, content in case.files.items():
        (folder / name).write_bytes(content)
    start = time.monotonic()
    try:
        with alarm(SECONDS):
            outcome, finding = _read(case, folder / case.name, whole=whole)
    except TooSlowError:
        outcome, finding = "hang", f"not done after {SECONDS} s"
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        outcome = "exception"
        finding = f"{type(error).__name__}: {error}"[:500]
    seconds = time.monotonic() - start
    for name in case.files:
        (folder / name).unlink(missing_ok=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Judgment(outcome, finding, seconds, peak)


@contextmanager
def alarm(seconds: float):
    """Stop what takes longer; what cannot be stopped is ended from outside."""

    def stop(*_):
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _read(case: Case, path: Path, *, whole: bool) -> tuple[str, str]:
    try:
        chunks = list(stream_predictions([path], **case.options))
    except CalibenchError as error:
        return "refused", _of_refusal(case, str(error), path)
    try:
        some = joined(chunks)
        values = metrics.scalars(some)
        if whole:
            found = evaluate_files([path], **case.options).to_dict()
            json.dumps(found, allow_nan=False)
    except CalibenchError as error:
        # Weights that are all 0, for one: of the data set and of no file.
        return "refused", "" if case.options else f"only when measured: {error}"
    for name, value in values.items():
        if math.isnan(value) and name in _OF_COUNTS and not some.is_counted:
            continue
        if math.isnan(value) or (value < 0 and name not in _BELOW_ZERO):
            return "read", f"{name} is {value}"
    return "read", _of_reading(case, some)


def _of_refusal(case: Case, message: str, path: Path) -> str:
    if case.expected == "same":
        return f"refused a valid file: {message}"
    if not message.startswith(str(path.parent)):
        return f"a message that names no file: {message}"
    if len(message) > LONGEST_MESSAGE:
        return f"a message of {len(message):,} characters: {message[:200]}"
    return ""


def _of_reading(case: Case, some) -> str:
    if case.expected == "refused":
        return f"read what must be refused: {case.change}"
    if case.expected == "any":
        return ""
    same = (
        some.kind == case.examples.kind
        and np.array_equal(some.values, case.examples.values)
        and np.array_equal(some.labels, case.examples.labels)
    )
    return "" if same else "read other numbers than went in"
