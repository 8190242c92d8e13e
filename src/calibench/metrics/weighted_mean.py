"""The mean of examples with weights, and its standard error."""

import math

import numpy as np
from jaxtyping import Float64

from calibench.metrics.scores import exact_mean
from calibench.weights import Weights


def mean_and_deviation(
    values: Float64[np.ndarray, " examples"], weights: Weights, fewest: int
) -> tuple[float, float] | None:
    """The mean of independent draws and its standard error.

    A whole-number weight is so many draws. With other weights w the mean is a ratio of
    two sums over draws of (value, weight), whose variance is about
    sum w^2 (value - mean)^2 / (sum w)^2.

    Args:
        values: One for each example.
        weights: Those of the examples.
        fewest: How many draws there must be; with other weights, how many in effect,
            (sum w)^2 / sum w^2, and besides their values must differ.

    Returns:
        None with fewer, or if a value is infinite.

    Source:
        Kish 1965 for the effective number; the ratio by linearization, Cochran 1977,
        section 6.4.

    Example:
        >>> mean_and_deviation(np.array([0.0, 1.0]), np.array([2, 2]), 4)
        (0.5, 0.28867513459481287)
    """
    values, weights = values[weights > 0], weights[weights > 0]
    total = float(weights.sum())
    is_counted = weights.dtype.kind == "i"
    effective = total if is_counted else total**2 / float((weights**2).sum())
    if effective < fewest or not np.isfinite(values).all():
        return None
    mean = exact_mean(values, weights)
    if is_counted:
        square = exact_mean((values - mean) ** 2, weights)
        return mean, math.sqrt(square / (total - 1))
    off = math.fsum(((weights * (values - mean)) ** 2).tolist())
    deviation = math.sqrt(off * len(values) / (len(values) - 1)) / total
    return (mean, deviation) if deviation > 0 else None
