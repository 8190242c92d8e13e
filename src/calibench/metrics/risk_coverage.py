"""Risk against coverage: how well confidence ranks right above wrong.

Everything follows from two counts for each confidence, the examples and the wrong ones,
most confident first, so that the cells of a metric state will do as well.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

from calibench.metrics.intervals import Interval
from calibench.predictions import Predictions
from calibench.signatures import of_predictions
from calibench.sums import counted

Counts: TypeAlias = Int64[np.ndarray, " groups"]
Masses: TypeAlias = Int64[np.ndarray, " groups"] | Float64[np.ndarray, " groups"]
Values: TypeAlias = Float64[np.ndarray, " groups"]

_SHIFT = 16
# Of x^-10, x^-8, ... x^-2 in the expansion of the harmonic numbers.
_BERNOULLI = (1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12)


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The risk-coverage curve, one point for each confidence that occurs.

    Answering only where the confidence is at least a threshold covers a share of the
    examples, the coverage, and is wrong in a share of those, the risk.

    Attributes:
        threshold: The confidences that occur, falling.
        count: How many examples have each.
        wrong: How many of those are wrong.

    Example:
        >>> some = Predictions.from_probs([[0.9, 0.1], [0.6, 0.4]], [0, 1])
        >>> curve = RiskCoverage.of(some)
        >>> curve.coverage.tolist(), curve.risk.tolist()
        ([0.5, 1.0], [0.0, 0.5])
    """

    threshold: Values
    count: Counts
    wrong: Counts

    @classmethod
    def of(cls, some: Predictions) -> "RiskCoverage":
        """The curve of predictions.

        Raises:
            DataError: Their weights are not whole numbers.
        """
        some = some.present
        rising, index = np.unique(some.confidence, return_inverse=True)
        group, wrong = len(rising) - 1 - index, ~some.correct
        counts = some.counts
        of_wrong = None if counts is None else counts[wrong]
        return cls(
            threshold=rising[::-1],
            count=counted(group, len(rising), counts),
            wrong=counted(group[wrong], len(rising), of_wrong),
        )

    @property
    def coverage(self) -> Values:
        """Share of the examples at least as confident as each threshold."""
        return np.cumsum(self.count) / self.count.sum()

    @property
    def risk(self) -> Values:
        """Share of those that are wrong.

        Within a group of equal confidence the expected risk is not linear in the
        coverage: with N examples and E errors before, it is (E + j wrong / count) / (N
        + j) after j more.
        """
        return np.cumsum(self.wrong) / np.cumsum(self.count)

    @property
    def area(self) -> float:
        """The area under the curve; see `aurc`."""
        return area_of(self.count, self.wrong)

    @property
    def excess_area(self) -> float:
        """The area beyond the least possible; see `excess_aurc`."""
        return excess_area_of(self.count, self.wrong)


@of_predictions
def aurc(some: Predictions) -> float:
    """Area under the risk-coverage curve, in [0, 1]; lower is better.

    The mean over k = 1..n of the share of wrong answers among the k most confident.
    Of equal confidences any order is as good as another: it is the expectation over
    random orders, in closed form, so that the order of the examples does not matter.
    (Code that sorts lets the order of the file decide between them.) It depends on the
    order of the confidences alone, not on their calibration, and it grows with the
    error rate: `excess_aurc` takes off what no ranking could avoid.

    Source:
        Geifman and El-Yaniv 2017 for the curve; Geifman, Uziel and El-Yaniv 2019 for
        its area. The expectation over ties is ours.

    Example:
        >>> some = Predictions.from_probs([[0.9, 0.1], [0.6, 0.4]], [0, 1])
        >>> round(aurc(some), 12)  # (0 / 1 + 1 / 2) / 2
        0.25
    """
    return RiskCoverage.of(some).area


@of_predictions
def excess_aurc(some: Predictions) -> float:
    """The area under the risk-coverage curve beyond the least possible, in [0, 1].

    The least is that of a ranking with every right answer above every wrong one; 0
    means that confidence ranks so.

    Source:
        Geifman, Uziel and El-Yaniv 2019 (E-AURC). They take the limit e + (1 - e)
        ln(1 - e) for the least, e the error rate; here it is the sum for n examples.

    Example:
        >>> excess_aurc(Predictions.from_probs([[0.9, 0.1], [0.6, 0.4]], [0, 1]))
        0.0
    """
    return RiskCoverage.of(some).excess_area


def area_of(count: Masses, wrong: Masses) -> float:
    """The area from counts of groups of equal confidence, most confident first.

    Of N examples with E errors before a group of m with w errors, the expected risk
    after j of the group is (E + j w / m) / (N + j); summed over j that is w + (E - N w
    / m)(H(N + m) - H(N)) with the harmonic numbers H.

    Args:
        count: How many examples, above 0.
        wrong: How many of them are wrong.

    Example:
        >>> area_of(np.array([2]), np.array([1]))
        0.5
    """
    before, errors = np.cumsum(count) - count, np.cumsum(wrong) - wrong
    growth = harmonic_growth(before, count)
    terms = wrong + (errors - before * (wrong / count)) * growth
    return math.fsum(terms.tolist()) / float(count.sum())


def excess_area_of(count: Masses, wrong: Masses) -> float:
    """The area beyond that of all right answers before all wrong ones, from counts."""
    bad = wrong.sum()
    best = np.stack([count.sum() - bad, bad])
    kept = best > 0
    least = area_of(best[kept], np.stack([0 * bad, bad])[kept])
    # A perfect ranking would be a rounding off 0.
    return max(area_of(count, wrong) - least, 0.0)


def area_range(count: Counts, wrong: Counts) -> Interval:
    """The least and the most that the area can be if groups are ranked within.

    The area of finer groups that make up these lies between: right answers first, or
    wrong ones first, in every group.
    """
    right = count - wrong
    ends = []
    for first, second, errors in ((right, wrong, 1), (wrong, right, 0)):
        counts = np.stack([first, second], axis=1)
        wrongs = np.zeros_like(counts)
        wrongs[:, errors] = wrong
        kept = counts > 0
        ends.append(area_of(counts[kept], wrongs[kept]))
    return ends[0], ends[1]


def harmonic_growth(start: Masses, steps: Masses) -> Values:
    """H(start + steps) - H(start), where H(n) = 1 + 1/2 + ... + 1/n.

    For any numbers of at least 0, by H(x) = ln x + Euler's constant + 1/(2x) - ...,
    taken 16 further on, where its seventh term is below 1e-16.

    Example:
        >>> harmonic_growth(np.array([0, 1]), np.array([1, 1])).round(15).tolist()
        [1.0, 0.5]
    """
    end = start + steps
    growth = np.log1p(steps / (start + _SHIFT))
    growth += _remainder(end + _SHIFT) - _remainder(start + _SHIFT)
    for i in range(1, _SHIFT + 1):
        growth += steps / ((start + i) * (end + float(i)))
    return growth


def _remainder(x: Masses) -> Values:
    """H(x) - ln x - Euler's constant, for x of at least 16."""
    square = 1.0 / np.square(x, dtype=np.float64)
    series = np.zeros_like(square)
    for coefficient in _BERNOULLI:
        series = (series + coefficient) * square
    return 0.5 / x - series
