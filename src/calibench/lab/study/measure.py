"""From an epoch's logits to its rows of metrics."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from calibench import metrics
from calibench.errors import FitError
from calibench.posthoc import Temperature
from calibench.predictions import Predictions

Row = dict[str, Any]
Posteriors = Mapping[str, np.ndarray]

MEASURED_SPLITS = ("selection", "calibration", "test")


def epoch_rows(
    epoch: int, predictions: Mapping[str, Predictions], posteriors: Posteriors
) -> list[Row]:
    """Return one row for every split as it is, and one for test after temperature.

    Args:
        epoch: What the rows belong to.
        predictions: Of the splits selection, calibration and test.
        posteriors: P(y | x) of the examples of a split, where it is known.
    """
    rows = [
        _row(epoch, split, "none", predictions[split], posteriors)
        for split in MEASURED_SPLITS
    ]
    try:
        temperature = Temperature.fit(predictions["calibration"])
    except FitError as error:
        head = _head(epoch, "test", "temperature", predictions["test"])
        return [*rows, {**head, "temperature": None, "reason": str(error)}]
    scaled = temperature.apply(predictions["test"])
    row = _row(epoch, "test", "temperature", scaled, posteriors)
    return [*rows, {**row, "temperature": temperature.value}]


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
