"""Confidence intervals, each by a method that is valid for its number.

Sums of absolute values (ECE and its kin) are biased upward near calibration, and a
percentile bootstrap adds its own bias: it can never cover 0. Here their intervals reach
down by the most that the bias can be, so that they cover at least as often as stated.
Coverage is measured in `benchmarks/interval_coverage.py`; the table is in the docs.
"""

import math
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

from calibench.binning import BinStats
from calibench.metrics.calibration_error import (
    mean_excess,
    mean_shortfall,
    mean_size,
    pair_products,
    root_mean_square,
)
from calibench.metrics.classwise import ClassCells
from calibench.metrics.debiased import size_less_bias
from calibench.metrics.float_sums import exponent_sums, total_of
from calibench.metrics.folded import CLEAR, most_fold_bias
from calibench.metrics.weighted_mean import mean_and_deviation
from calibench.predictions import Counts
from calibench.weights import Weights

Interval: TypeAlias = tuple[float, float]
Vector: TypeAlias = Float64[np.ndarray, " items"]

# Below this the mean of a skewed score is not nearly normal.
FEWEST_FOR_A_MEAN = 30
_HALVINGS = 60


def of_share(count: int, total: int, level: float) -> Interval:
    """Wilson's interval for a share of independent examples.

    Source:
        Wilson 1927.

    Example:
        >>> lo, hi = of_share(0, 10, 0.95)
        >>> lo, round(hi, 3)
        (0.0, 0.278)
    """
    z = quantile(level)
    share = count / total
    center = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    spread = math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    half = z * spread / (1 + z**2 / total)
    # At 0 and 1 an end is the share itself, which rounding would miss.
    lo = 0.0 if count == 0 else center - half
    return lo, 1.0 if count == total else center + half


def of_mean(
    values: Vector, level: float, weights: Weights | None = None
) -> Interval | None:
    """Normal theory for the mean of independent examples.

    None for fewer than 30 examples, or if a value is infinite. A whole-number weight is
    so many examples; for other weights see `weighted_mean`.
    """
    if weights is not None:
        found = mean_and_deviation(values, weights, FEWEST_FOR_A_MEAN)
        if found is None:
            return None
        mean, deviation = found
        half = quantile(level) * deviation
        return mean - half, mean + half
    if len(values) < FEWEST_FOR_A_MEAN or not np.isfinite(values).all():
        return None
    ordered = np.sort(values)
    half = quantile(level) * float(ordered.std(ddof=1)) / math.sqrt(len(values))
    center = float(ordered.mean())
    return center - half, center + half


def of_mean_size(stats: BinStats, level: float) -> Interval:
    """For ECE: the population's, with the bins as they are."""
    value, gap = float(mean_size(stats)), np.abs(stats.gap)
    every = np.ones(len(gap), dtype=bool)
    return _of_folded(stats, gap, every, value, level, fold=1.0)


def of_mean_excess(stats: BinStats, level: float) -> Interval:
    """For over-confidence: as for ECE, from bins that may be over-confident."""
    near = stats.gap + CLEAR * _deviations(stats) > 0
    gap = np.maximum(stats.gap, 0)
    return _of_folded(stats, gap, near, float(mean_excess(stats)), level, fold=0.5)


def of_mean_shortfall(stats: BinStats, level: float) -> Interval:
    """For under-confidence: as for ECE, from bins that may be under-confident."""
    near = stats.gap - CLEAR * _deviations(stats) < 0
    gap = np.maximum(-stats.gap, 0)
    return _of_folded(stats, gap, near, float(mean_shortfall(stats)), level, fold=0.5)


def of_largest_size(stats: BinStats, level: float) -> Interval:
    """For the maximum: simultaneous bands for the accuracy of every bin.

    Chernoff's bound in its relative-entropy form, n KL(accuracy || p) <= ln(2 B / a),
    holds for sums of independent draws of unequal probabilities and for bins of any
    size. It covers the largest gap between mean confidence and mean probability of
    being right, given the confidences at hand.

    Source:
        Hoeffding 1963, theorem 1.
    """
    bound = math.log(2 * len(stats.count) / (1 - level)) / stats.count
    lower = _entropy_bound(stats.accuracy, bound, np.zeros_like(stats.accuracy))
    upper = _entropy_bound(stats.accuracy, bound, np.ones_like(stats.accuracy))
    below, above = stats.confidence - upper, lower - stats.confidence
    least = np.maximum(np.maximum(below, above), 0)
    return float(least.max()), float(np.maximum(-below, -above).max())


def of_pair_products(stats: BinStats, level: float) -> Interval:
    """For the debiased squared error: normal theory, near calibration and away from it.

    Its variance has a part of order 1 / n^2, all that is left of it for a calibrated
    model, and parts of order 1 / n: from the gaps between bins, and one in proportion
    to the squared error itself. That one is taken at each candidate for the error, as
    in Wilson's interval for a share, so that a small estimate does not look precise.

    Source:
        Sun et al. 2024 for the normal limit in both regimes; the inversion is ours.
    """
    value, n, weight = float(pair_products(stats)), int(stats.count.sum()), stats.weight
    variance = _variances(stats)
    square = np.maximum(stats.gap**2 - variance / stats.count, 0)
    mean_square = float((weight * square).sum())
    between = float((weight * square**2).sum()) - mean_square**2
    typical = float((weight * variance).sum())
    if mean_square > 0:
        typical = float((weight * square * variance).sum()) / mean_square
    z = quantile(level)
    degenerate = 2 * float((variance[stats.count > 1] ** 2).sum()) / n**2
    fixed = z**2 * (degenerate + max(between, 0.0) / n)
    shift = 2 * z**2 * typical / n
    half = math.sqrt(max(shift**2 + 2 * shift * value + fixed, fixed))
    return value + shift - half, value + shift + half


def of_root_mean_square(stats: BinStats, level: float) -> Interval:
    """For the RMS error: the root of the debiased square's, and up to the number.

    The number is lifted by noise: near calibration and with many bins, above the whole
    interval of what it estimates. There the upper end is the number itself.
    """
    lo, hi = (math.sqrt(max(end, 0.0)) for end in of_pair_products(stats, level))
    return lo, min(max(hi, float(root_mean_square(stats))), 1.0)


def of_size_less_bias(stats: BinStats, level: float) -> Interval:
    """For the debiased error: that of ECE, which has the same aim, down to the number.

    The aim is not below 0; the number may be.
    """
    lo, hi = of_mean_size(stats, level)
    return min(lo, float(size_less_bias(stats))), hi


def of_classwise(
    cells: ClassCells, missing: Vector, level: float, counts: Counts | None = None
) -> Interval:
    """For the class-wise error: as for ECE, with a bound on the spread.

    Args:
        cells: The sums over bins and classes.
        missing: 1 - p(label) of each example. An example moves the sum over classes by
            at most sum_k |p_k - [k is the label]| = 2 (1 - p(label)).
        level: Of the interval.
        counts: How often each example is there.
    """
    if counts is None:
        square = math.fsum((missing**2).tolist())
        return of_class_sums(cells, len(missing), square, level)
    square = total_of(exponent_sums(missing**2, counts))
    return of_class_sums(cells, int(counts.sum()), square, level)


def of_class_sums(cells: ClassCells, n: int, square: float, level: float) -> Interval:
    """`of_classwise` from the number of examples and the sum of `missing` squared."""
    share = (cells.hits + 1) / (cells.count + 2)
    deviation = (cells.weight * np.sqrt(cells.count * share * (1 - share))).ravel()
    gap = (cells.weight * (cells.total - cells.hits)).ravel()
    bias = most_fold_bias(gap, deviation).sum()
    # One example that misses by 1 is added, lest a few perfect ones look certain.
    variance = (2 / len(cells.count)) ** 2 * (square + 1) / (n + 2)
    return reaching_down(cells.mean_size(), float(bias), math.sqrt(variance / n), level)


def reaching_down(
    value: float, bias: float, deviation: float, level: float
) -> Interval:
    """A normal interval whose lower end also allows for an upward bias."""
    half = quantile(level) * deviation
    return max(value - bias - half, 0.0), min(value + half, 1.0)


def most_bias(stats: BinStats) -> float:
    """The most by which noise may have lifted ECE."""
    deviation = stats.weight * _deviations(stats)
    return float(most_fold_bias(stats.weight * stats.gap, deviation).sum())


def quantile(level: float) -> float:
    """The two-sided normal quantile of a level, 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + level) / 2)


def _of_folded(
    stats: BinStats,
    gap: Float64[np.ndarray, " bins"],
    near: np.ndarray,
    value: float,
    level: float,
    *,
    fold: float,
) -> Interval:
    deviation = stats.weight * _deviations(stats)
    lifted = most_fold_bias(stats.weight * stats.gap, deviation)
    bias = fold * float(lifted[near].sum())
    within = float((deviation[near] ** 2).sum())
    between = max(float((stats.weight * gap**2).sum()) - value**2, 0.0)
    total = within + between / int(stats.count.sum())
    return reaching_down(value, bias, math.sqrt(total), level)


def _variances(stats: BinStats) -> Float64[np.ndarray, " bins"]:
    # One success and one failure more keep a bin that is all right, or that holds one
    # example, from looking certain.
    share = (stats.accuracy * stats.count + 1) / (stats.count + 2)
    return share * (1 - share)


def _deviations(stats: BinStats) -> Float64[np.ndarray, " bins"]:
    return np.sqrt(_variances(stats) / stats.count)


def _entropy_bound(
    share: Float64[np.ndarray, " bins"],
    bound: Float64[np.ndarray, " bins"],
    end: Float64[np.ndarray, " bins"],
) -> Float64[np.ndarray, " bins"]:
    """The probability between a share and an end of [0, 1] that the bound reaches."""
    inside, outside = share.copy(), end.copy()
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        within = _relative_entropy(share, middle) <= bound
        inside = np.where(within, middle, inside)
        outside = np.where(within, outside, middle)
    return inside


def _relative_entropy(
    share: Float64[np.ndarray, " bins"], p: Float64[np.ndarray, " bins"]
) -> Float64[np.ndarray, " bins"]:
    """KL(share || p) of two coins."""
    total = np.zeros_like(share)
    for observed, expected in ((share, p), (1 - share, 1 - p)):
        some = (observed > 0) & (expected > 0)
        ratio = np.divide(observed, expected, out=np.ones_like(share), where=some)
        total += observed * np.log(ratio)
        total[(observed > 0) & (expected <= 0)] = np.inf
    return total
