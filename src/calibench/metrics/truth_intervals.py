"""Confidence intervals of the numbers against the truth.

Counts lift a distance: on average |f - c| is at least |P - c|, by no more than the mean
of |f - P|, whose square is at most the variance of f. The lower ends reach so far down.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from calibench.binning import equal_width
from calibench.metrics.folded import most_fold_bias
from calibench.metrics.intervals import (
    FEWEST_FOR_A_MEAN,
    Interval,
    of_mean,
    reaching_down,
)
from calibench.metrics.truth import Terms, Truth, top_shares
from calibench.predictions import Predictions
from calibench.sums import exact_sums

Lift: TypeAlias = Callable[[Predictions, Truth], float]


def of_truth_mean(
    name: str, some: Predictions, known: Truth, terms: Terms, level: float
) -> Interval | None:
    """Normal theory; where counts lift the number, its lower end reaches further down.

    None for fewer than 30 examples, or if a term is infinite.
    """
    found = of_mean(terms, level)
    lift = _LIFTS.get(name)
    if found is None or lift is None or known.totals is None:
        return found
    return max(found[0] - lift(some, known), 0.0), found[1]


def of_soft_ece(
    some: Predictions, known: Truth, num_bins: int, level: float
) -> Interval | None:
    """For the error of the population, with the bins as they are.

    As for ECE, with the variance of c - P found in each bin in place of a coin's. None
    for fewer than 30 examples.
    """
    n = some.num_examples
    if n < FEWEST_FOR_A_MEAN:
        return None
    bins, share = equal_width(some.confidence, num_bins), top_shares(some, known)
    count = np.bincount(bins.index, minlength=num_bins)
    occupied = np.maximum(count, 1)
    mean = exact_sums(bins.index, some.confidence, num_bins)
    mean = (mean - exact_sums(bins.index, share, num_bins)) / occupied
    # Halved, so that a square of a difference of differences stays within [0, 1].
    off = (some.confidence - share - mean[bins.index]) / 2
    square = 4 * exact_sums(bins.index, off**2, num_bins) / occupied
    weight = count / n
    # One more example of typical spread, lest a bin of one look certain.
    typical = float((weight * square).sum())
    deviation = weight * np.sqrt((square + typical / occupied) / occupied)
    value = float((weight * np.abs(mean)).sum())
    between = max(float((weight * mean**2).sum()) - value**2, 0.0) / n
    total = math.sqrt(float((deviation**2).sum()) + between)
    bias = float(most_fold_bias(weight * mean, deviation).sum())
    return reaching_down(value, bias, total, level)


def _of_top(some: Predictions, known: Truth) -> float:
    noise = known.noise[np.arange(some.num_examples), some.predicted]
    return math.sqrt(math.fsum(noise.tolist()) / some.num_examples)


def _of_sizes(some: Predictions, known: Truth) -> float:
    columns = known.noise.T.tolist()
    return sum(math.sqrt(math.fsum(noise) / some.num_examples) for noise in columns)


def _of_lengths(some: Predictions, known: Truth) -> float:
    return math.sqrt(math.fsum(known.noise.ravel().tolist()) / some.num_examples)


def _of_divergences(some: Predictions, known: Truth) -> float:
    # Entropy of m draws falls short by no more than ln(1 + (K - 1) / m).
    if known.totals is None:
        return 0.0
    each = np.log1p((some.num_classes - 1) / known.totals)
    return math.fsum(each.tolist()) / some.num_examples


_LIFTS: dict[str, Lift] = {
    "true_calibration_error": _of_top,
    "true_canonical_l1": _of_sizes,
    "true_canonical_l2": _of_lengths,
    "true_kl": _of_divergences,
}
