"""From a value for each class, calibrated on its own, to probabilities."""

import numpy as np

from calibench.predictions import Matrix, Predictions


def log_normalized(values: Matrix, predictions: Predictions) -> Matrix:
    """Normalize rows of values that are at least 0, and return the logarithms.

    Where every class of a row has value 0 nothing is left to normalize: the row keeps
    its probabilities as they were before calibration.

    Example:
        >>> some = Predictions.from_probs([[0.5, 0.5], [1.0, 0.0]], [0, 0])
        >>> np.exp(log_normalized(np.array([[1.0, 3.0], [0.0, 0.0]]), some)).tolist()
        [[0.25, 0.75], [1.0, 0.0]]
    """
    sums = values.sum(axis=1, keepdims=True)
    kept = np.where(sums > 0, values, predictions.probs)
    with np.errstate(divide="ignore"):
        return np.log(kept / kept.sum(axis=1, keepdims=True))
