"""Fit calibrators on files of predictions, and apply them to others."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calibench import metrics, posthoc
from calibench.errors import ParameterError
from calibench.lab.data.prediction_files import read_predictions
from calibench.lab.data.prediction_writer import require_writable, write_predictions
from calibench.predictions import Predictions


def fit_file(
    file: Path,
    out: Path,
    method: str,
    settings: Sequence[str],
    *,
    kind: str | None = None,
    weights: str | None = None,
) -> dict[str, Any]:
    """Fit a calibrator on the predictions in a file and write it as JSON.

    Args:
        file: The predictions.
        out: Where to write the calibrator.
        method: Its name.
        settings: Of the method, each as "NAME=VALUE".
        kind: "logits" or "probs", where the file holds both.
        weights: A column that says how often each example is there.

    Raises:
        CalibenchError: As `read_predictions` and `posthoc.fit` say.
    """
    given = dict(_setting(each) for each in settings)
    some = read_predictions(file, kind=kind, weights=weights)
    fitted = posthoc.fit(some, method, given)
    facts = _facts(method, some, fitted.apply(some, in_sample=True))
    posthoc.save(fitted, out)
    return facts


def apply_file(
    calibrator: Path,
    file: Path,
    out: Path,
    *,
    kind: str | None = None,
    in_sample: bool = False,
) -> dict[str, Any]:
    """Apply a calibrator of a file to the predictions of another; write the outcome.

    Raises:
        CalibenchError: As `posthoc.load`, `read_predictions` and `Calibrator.apply`
            say; or `out` has a suffix that is not written.
    """
    require_writable(out)
    fitted = posthoc.load(calibrator)
    some = read_predictions(file, kind=kind)
    calibrated = fitted.apply(some, in_sample=in_sample)
    write_predictions(calibrated, out)
    facts = _facts(fitted.method, some, calibrated)
    return facts | {"kind": calibrated.kind}


def _facts(method: str, before: Predictions, after: Predictions) -> dict[str, Any]:
    weight = {} if before.weights is None else {"total_weight": before.total_weight}
    return {
        "method": method,
        "n": before.num_examples,
        **weight,
        "num_classes": before.num_classes,
        "nll_before": metrics.nll(before),
        "nll_after": metrics.nll(after),
    }


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        msg = f"--set {text!r}: give NAME=VALUE, such as gamma=3."
        raise ParameterError(msg)
    # A name, such as that of a loss, stands without the quotes of JSON.
    if value.isidentifier() and value not in {"true", "false", "null"}:
        return name, value
    try:
        return name, json.loads(value)
    except ValueError as error:
        msg = f"--set {text!r}: {value!r} is no number, no name, not true or false."
        raise ParameterError(msg) from error
