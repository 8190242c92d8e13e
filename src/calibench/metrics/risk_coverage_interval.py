"""Confidence intervals of the area under the risk-coverage curve."""

import math

import numpy as np

from calibench.metrics.intervals import Interval
from calibench.metrics.risk_coverage import (
    Counts,
    Values,
    area_of,
    excess_area_of,
    harmonic_growth,
)
from calibench.metrics.students_t import student

# Below this many wrong examples the area is too skewed for normal theory.
FEWEST_WRONG = 10
# An excess of this size is rounding.
_PERFECT = 1e-12


def area_interval(count: Counts, wrong: Counts, level: float) -> Interval | None:
    """Student's t for the logarithm of the area, by its influence function.

    With a degree of freedom for each wrong example, less one. None for fewer than 10
    wrong examples.

    Source:
        The influence function is that of Zhou et al. 2024's form of the population
        value, E[error (-ln share of examples at least as confident)]; the derivation
        is in `_influence`.
    """
    if int(wrong.sum()) < FEWEST_WRONG:
        return None
    error = _standard_error(count, wrong, *_influence(count, wrong))
    return _logarithmic(area_of(count, wrong), error, level, int(wrong.sum()))


def excess_area_interval(count: Counts, wrong: Counts, level: float) -> Interval | None:
    """As `area_interval`, for the excess; None also where no wrong answer is ahead."""
    value, total, bad = excess_area_of(count, wrong), int(count.sum()), int(wrong.sum())
    if bad < FEWEST_WRONG or value <= _PERFECT:
        return None
    of_wrong, of_right = _influence(count, wrong)
    rate = bad / total
    # The derivative of the least area, e + (1 - e) ln(1 - e), in e.
    slope = -math.log1p(-rate)
    of_wrong, of_right = of_wrong - slope * (1 - rate), of_right + slope * rate
    error = _standard_error(count, wrong, of_wrong, of_right)
    return _logarithmic(value, error, level, bad)


def _influence(count: Counts, wrong: Counts) -> tuple[Values, Values]:
    """How far a wrong, and a right, example of each group moves the area, times n.

    With ranks k from the top, an example at rank k adds (its error) (1/k + ... + 1/n)
    and pushes those behind it down: - sum_(j >= k) (error of rank j) / j. Both are
    averaged over the ranks of a group.
    """
    before, share = np.cumsum(count) - count, wrong / count
    growth = harmonic_growth(before, count)
    within = 1 - before * (growth / count)
    own = _from_behind(growth) + within
    pushed = _from_behind(share * growth) + share * within
    level = float(wrong.sum()) / float(count.sum()) - area_of(count, wrong)
    return own - pushed + level, level - pushed


def _standard_error(
    count: Counts, wrong: Counts, of_wrong: Values, of_right: Values
) -> float:
    square = wrong * of_wrong**2 + (count - wrong) * of_right**2
    return math.sqrt(math.fsum(square.tolist())) / float(count.sum())


def _from_behind(values: Values) -> Values:
    return np.cumsum(values[::-1])[::-1] - values


def _logarithmic(value: float, error: float, level: float, wrong: int) -> Interval:
    # The few wrong examples make most of the standard error.
    factor = math.exp(student(level, wrong - 1) * error / value)
    return value / factor, min(value * factor, 1.0)
