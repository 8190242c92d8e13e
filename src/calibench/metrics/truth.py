"""Calibration error against a known posterior."""

import numpy as np

from calibench.errors import DataError
from calibench.metrics.scores import exact_mean
from calibench.predictions import Predictions
from calibench.validation import Array, prob_matrix


def true_calibration_error(some: Predictions, posterior: Array) -> float:
    """Mean |P(predicted class | x) - confidence| where the posterior is known.

    What ECE approximates with labels in place of the posterior. It can exceed the
    calibration error in the usual sense, which compares averages over examples of
    equal confidence: this one compares example by example.

    Args:
        some: The predictions.
        posterior: P(class | x) for each example and class.

    Returns:
        A fraction in [0, 1]; 0 only if every confidence is the truth.

    Raises:
        DataError: `posterior` is not a probability per example and class.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25], [1.0, 0.0]], [0, 1])
        >>> true_calibration_error(some, [[0.5, 0.5], [0.75, 0.25]])
        0.25
    """
    known = prob_matrix(posterior, "posterior")
    if known.shape != some.probs.shape:
        msg = (
            f"posterior has shape {known.shape}, the predictions {some.probs.shape}. "
            "Give one probability per example and class."
        )
        raise DataError(msg)
    truth = known[np.arange(some.num_examples), some.predicted]
    return exact_mean(np.abs(truth - some.confidence))
