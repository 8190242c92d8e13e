"""From an epoch's logits to its rows of metrics."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from calibench import metrics
from calibench.errors import DataError, FitError
from calibench.posthoc import Temperature, fit
from calibench.predictions import Predictions

Row = dict[str, Any]
Posteriors = Mapping[str, np.ndarray]

MEASURED_SPLITS = ("selection", "calibration", "test")

# What test is measured after, fitted on the calibration split at every epoch.
FITTED = ("temperature", "vector_scaling", "dirichlet")

# A Dirichlet map of K classes has K (K + 1) parameters: with 100 classes one fit takes
# minutes, with 32 a second.
_MOST_CLASSES = {"dirichlet": 32}


def epoch_rows(
    epoch: int, predictions: Mapping[str, Predictions], posteriors: Posteriors
) -> list[Row]:
    """Return a row for every split as it is, and for test after each calibrator.

    Args:
        epoch: What the rows belong to.
        predictions: Of the splits selection, calibration and test.
        posteriors: P(y | x) of the examples of a split, where it is known.
    """
    rows = [
        _row(epoch, split, "none", predictions[split], posteriors)
        for split in MEASURED_SPLITS
    ]
    rows[-1] |= _parts(predictions["test"])
    return rows + [_after(name, epoch, predictions, posteriors) for name in FITTED]


def _after(
    name: str,
    epoch: int,
    predictions: Mapping[str, Predictions],
    posteriors: Posteriors,
) -> Row:
    test = predictions["test"]
    head = _head(epoch, "test", name, test)
    if name == "temperature":
        head["temperature"] = None
    most = _MOST_CLASSES.get(name, test.num_classes)
    if test.num_classes > most:
        return head | {"reason": f"not fitted to more than {most} classes"}
    try:
        fitted = fit(predictions["calibration"], name)
        scaled = fitted.apply(test)
    except (DataError, FitError) as error:
        return head | {"reason": str(error)}
    row = _row(epoch, "test", name, scaled, posteriors)
    if isinstance(fitted, Temperature):
        row["temperature"] = fitted.value
    return row


def _parts(test: Predictions) -> Row:
    """Refinement and calibration of both proper scores, by cross-fitted temperature."""
    try:
        parts = metrics.decompositions(test)
    except FitError as error:
        return {"parts_reason": str(error)}
    return {
        f"{score}_{part}": getattr(found, part)
        for score, found in parts.items()
        for part in ("refinement", "calibration")
    }


def _row(
    epoch: int, split: str, calibrator: str, some: Predictions, posteriors: Posteriors
) -> Row:
    row = _head(epoch, split, calibrator, some) | metrics.scalars(some)
    if split in posteriors:
        row["true_calibration_error"] = metrics.true_calibration_error(
            some, posteriors[split]
        )
    if split == "test":
        floor = metrics.noise_floor(some)
        row |= {
            "floor_mean": floor.mean,
            "floor_p95": floor.p95,
            "p_calibrated": floor.p_value,
        }
    return row


def _head(epoch: int, split: str, calibrator: str, some: Predictions) -> Row:
    return {
        "epoch": epoch,
        "split": split,
        "calibrator": calibrator,
        "n": some.num_examples,
    }
