"""Confidence interval of the smooth calibration error."""

import math

import numpy as np
from jaxtyping import Bool, Float64

from calibench.metrics.folded import most_fold_bias
from calibench.metrics.intervals import Interval, reaching_down
from calibench.metrics.smooth import at_edges, cosine_series, damped, grid_size
from calibench.predictions import Predictions

# The narrowest kernel for which the bias is computed; narrower ones are noisier still.
_NARROWEST = 2.0**-10


def of_smooth_error(some: Predictions, value: float, level: float) -> Interval:
    """For smECE: as for ECE, with the bias integrated over the kernel's positions.

    At each t the smoothed gap is nearly normal around its mean, with the variance
    (1 / n^2) sum_i K(t, c_i)^2 r_i^2; its size is folded as that of a bin. Near an end
    of the range a kernel meets its own mirror image, so K^2 is the sum of two squares
    and twice their product, which is again a Gaussian in t times one in c.

    Args:
        some: The predictions; their weights, if any, are whole numbers.
        value: Their smooth error, which is also the width of the kernel.
        level: Of the interval.
    """
    some = some.present
    counts = np.ones(some.num_examples) if some.counts is None else some.counts
    order = np.lexsort((counts, some.correct, some.confidence))
    return of_smoothed_gaps(
        some.confidence[order],
        some.correct[order],
        counts[order].astype(np.float64),
        value,
        level,
    )


def of_smoothed_gaps(
    confidence: Float64[np.ndarray, " examples"],
    correct: Bool[np.ndarray, " examples"],
    counts: Float64[np.ndarray, " examples"],
    value: float,
    level: float,
) -> Interval:
    """`of_smooth_error` for examples that are there so many times each."""
    gap = confidence - correct
    n, width = int(counts.sum()), max(value, _NARROWEST)
    size = grid_size(width)
    series = cosine_series(confidence, counts * gap, size, n)
    center = at_edges(damped(series, width))
    deviation = np.sqrt(_variance(confidence, counts * gap**2, width, size, n) / n)
    bias = float(most_fold_bias(center, deviation).mean())
    # One gap of 1 is added, lest a few perfect examples look certain.
    square = (math.fsum((counts * gap**2).tolist()) + 1) / (n + 1)
    spread = math.sqrt(max(square - value**2, 0.0) / n)
    return reaching_down(value, bias, spread, level)


def _variance(
    confidence: Float64[np.ndarray, " examples"],
    square: Float64[np.ndarray, " examples"],
    width: float,
    size: int,
    total: float,
) -> Float64[np.ndarray, " points"]:
    """sum_i K(t, c_i)^2 square_i / total at the edges of the cells."""
    series = cosine_series(confidence, square, size, total)
    # phi_s^2 = phi_(s / sqrt 2) / (2 s sqrt pi).
    own = at_edges(damped(series, width / math.sqrt(2)))
    variance = np.maximum(own, 0) / (2 * width * math.sqrt(math.pi))
    t = np.arange(size + 1) / size
    for end in (0.0, 1.0):
        near = np.exp(-(((confidence - end) / width) ** 2))
        meeting = float((square * near).sum()) / total
        variance += meeting * np.exp(-(((t - end) / width) ** 2)) / (math.pi * width**2)
    return np.asarray(variance)
