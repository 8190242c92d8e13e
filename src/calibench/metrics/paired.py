"""Tests of a difference between two sets of predictions on the same examples.

What is hard about an example is hard for both sets, so each method works on differences
example by example. A false-alarm rate is measured for each in the tests.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64

from calibench.binning import equal_width
from calibench.metrics.calibration_error import debiased_l2, top_label_bins
from calibench.metrics.intervals import Interval, most_bias, quantile
from calibench.metrics.scores import exact_mean
from calibench.metrics.weighted_mean import mean_and_deviation
from calibench.predictions import Counts, Predictions

Vector: TypeAlias = Float64[np.ndarray, " examples"]

# Random numbers at a time.
_BLOCK = 2**19
# Beyond, drawing takes seconds and agrees with normal theory.
MOST_DRAWS = 2**27


class Outcome(NamedTuple):
    """A confidence interval for a difference, and the p-value of no difference.

    There is no interval where so few terms are not 0 that many a replicate has none.
    """

    interval: Interval | None
    p_value: float


def of_mean(
    terms: Vector,
    *,
    counts: Counts | None = None,
    replicates: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Outcome:
    """Symmetric bootstrap-t for the mean of paired differences, as of a proper score.

    Examples are drawn with replacement, both sets alike. Each replicate's mean counts
    in units of its own standard error, which allows for the skewness that a percentile
    interval misses. The interval excludes 0 exactly where p is at most 1 - level. For
    more than 2^27 draws the ratio is held for normal, as it then nearly is.

    Args:
        terms: The difference of each example; at least two, finite.
        counts: How often each example is there; None for once.
        replicates: How many data sets to draw; the least p is 1 / (1 + replicates).
        seed: Of the drawing. The result depends neither on the order of the examples
            nor, but for its sign, on which set comes first.
        level: Of the interval.

    Source:
        Hall 1992, section 3.6.

    Example:
        >>> of_mean(np.array([-1.0, 1.0]), replicates=99).p_value
        1.0
    """
    value, error = exact_mean(terms, counts), standard_error(terms, counts)
    total = len(terms) if counts is None else int(counts.sum())
    if error == 0 or total * replicates > MOST_DRAWS:
        return of_normal(value, error, level)
    if counts is not None:
        terms = np.repeat(terms, counts)
    ratios = np.sort(_redrawn_ratios(_canonical(terms), replicates, seed))
    reached = replicates - int(np.searchsorted(ratios, abs(value) / error))
    half = float(ratios[math.ceil(level * (replicates + 1)) - 1]) * error
    interval = (value - half, value + half) if math.isfinite(half) else None
    return Outcome(interval, (1 + reached) / (1 + replicates))


def of_size(
    first: Predictions, second: Predictions, *, num_bins: int = 15, level: float = 0.95
) -> Outcome:
    """For two ECEs: the paired standard error, and the bias that they may have.

    Each ECE is lifted by noise, more where a model is unsure, so two calibrated models
    of unequal accuracy have unequal ECE. The interval reaches out by the most that the
    bias of either may be, and p counts only what is beyond it. It errs on the side of
    caution; `of_squared_size` has more power.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25], [1.0, 0.0]], [0, 1])
        >>> of_size(some, some).p_value
        1.0
    """
    before, after = (ece_terms(each, num_bins=num_bins) for each in (first, second))
    counts = first.counts
    value = exact_mean(after, counts) - exact_mean(before, counts)
    error = standard_error(after - before, counts)
    half = quantile(level) * error
    down, up = (
        most_bias(top_label_bins(each, num_bins=num_bins)) for each in (second, first)
    )
    beyond = max(value - down, -value - up, 0.0)
    interval = max(value - down - half, -1.0), min(value + up + half, 1.0)
    return Outcome(interval, two_sided(beyond, error))


def of_squared_size(
    first: Predictions, second: Predictions, *, num_bins: int = 15, level: float = 0.95
) -> Outcome:
    """For two debiased squared calibration errors: normal theory, paired by jackknife.

    The jackknife leaves out one example of both sets at a time. Its variance is right
    where a model is miscalibrated and up to twice too large where both are calibrated,
    never too small on average.

    Source:
        Efron and Stein 1981 for the direction of the bias; Sun et al. 2024 for the
        normal limit of each.
    """
    value = debiased_l2(second, num_bins=num_bins) - debiased_l2(
        first, num_bins=num_bins
    )
    before, after = (_left_out(each, num_bins) for each in (first, second))
    pseudo = (int(first.total_weight) - 1) * (after - before)
    return of_normal(value, standard_error(pseudo, first.counts), level)


def squared_size_terms(some: Predictions, *, num_bins: int = 15) -> Vector:
    """Terms whose mean is the debiased squared calibration error, by jackknife.

    What the error changes by without an example, times n - 1, around the error itself.
    Their standard error is that of `of_squared_size`.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25], [0.75, 0.25]], [0, 1])
        >>> squared_size_terms(some).tolist()  # one pair: -1/4 times 3/4
        [-0.1875, -0.1875]
    """
    left_out = (some.num_examples - 1) * _left_out(some, num_bins)
    terms = left_out.mean() - left_out + debiased_l2(some, num_bins=num_bins)
    return np.asarray(terms)


def of_normal(value: float, error: float, level: float) -> Outcome:
    """Normal theory for a difference with a standard error."""
    half = quantile(level) * error
    return Outcome((value - half, value + half), two_sided(value, error))


def ece_terms(some: Predictions, *, num_bins: int = 15) -> Vector:
    """The terms whose mean is ECE: each gap, with the sign of the gap of its bin.

    Taking the signs as given, they make ECE a mean, with the standard error of a mean.
    That is right where every bin's gap is well off 0. Near 0 it is too wide: the size
    of a gap varies less than the gap.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25], [1.0, 0.0]], [0, 1])
        >>> ece_terms(some).tolist()
        [0.25, 1.0]
    """
    bins = equal_width(some.confidence, num_bins)
    gap, counts = some.confidence - some.correct, some.counts
    weighted = gap if counts is None else gap * counts
    sums = np.bincount(bins.index, weighted, minlength=num_bins)
    return np.asarray(gap * np.sign(sums)[bins.index])


def standard_error(terms: Vector, counts: Counts | None = None) -> float:
    """Of the mean; infinite where one example tells nothing about spread."""
    if counts is not None:
        found = mean_and_deviation(terms, counts, fewest=2)
        return math.inf if found is None else found[1]
    count = len(terms)
    return float(terms.std(ddof=1) / math.sqrt(count)) if count > 1 else math.inf


def two_sided(difference: float, error: float) -> float:
    """The p-value of no difference, by normal theory.

    Example:
        >>> two_sided(0.0, 1.0)
        1.0
    """
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return math.erfc(abs(difference) / error / math.sqrt(2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that any error among them has the stated probability.

    Source:
        Holm 1979: the i-th smallest of m is multiplied by m - i + 1, never falling.

    Example:
        >>> holm([0.25, 0.125])
        [0.25, 0.25]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = highest
    return adjusted


def _canonical(terms: Vector) -> Vector:
    """The terms in order, or their negatives: the same for both orders of two sets."""
    ascending = np.sort(terms)
    negated = -ascending[::-1]
    unequal = np.flatnonzero(ascending != negated)
    if not len(unequal) or ascending[unequal[0]] > negated[unequal[0]]:
        return ascending
    return negated


def _redrawn_ratios(
    terms: Vector, replicates: int, seed: int
) -> Float64[np.ndarray, " replicates"]:
    """How many of its own standard errors each replicate's mean is off."""
    rng = np.random.default_rng(seed)
    count, rows = len(terms), max(_BLOCK // len(terms), 1)
    center = float(terms.mean())
    found = []
    for start in range(0, replicates, rows):
        size = (min(rows, replicates - start), count)
        drawn = terms[rng.integers(count, size=size, dtype=np.int32)]
        mean = drawn.mean(axis=1)
        drawn -= mean[:, None]
        spread = np.einsum("re,re->r", drawn, drawn)
        error = np.sqrt(spread / (count - 1) / count)
        off = np.abs(mean - center)
        # A replicate without spread is as far off as can be, unless it is not off.
        ratio = np.divide(off, error, out=np.full_like(off, np.inf), where=error > 0)
        found.append(np.where(off == 0, 0.0, ratio))
    return np.concatenate(found)


def _left_out(some: Predictions, num_bins: int) -> Vector:
    """The debiased squared error without each of the examples, one time of many."""
    index = equal_width(some.confidence, num_bins).index
    gap = some.confidence - some.correct
    times = np.ones_like(gap) if some.counts is None else some.counts
    count, total, square = (
        np.bincount(index, times * each, minlength=num_bins)
        for each in (np.ones_like(gap), gap, gap**2)
    )
    whole = _pairs(count, total, square)
    without = _pairs(count[index] - 1, total[index] - gap, square[index] - gap**2)
    return np.asarray((whole.sum() - whole[index] + without) / (some.total_weight - 1))


def _pairs(
    count: Float64[np.ndarray, " items"],
    total: Float64[np.ndarray, " items"],
    square: Float64[np.ndarray, " items"],
) -> Float64[np.ndarray, " items"]:
    # A bin of one example has no pair; nor has one of none.
    return np.where(count > 1, (total**2 - square) / np.maximum(count - 1, 1), 0.0)
