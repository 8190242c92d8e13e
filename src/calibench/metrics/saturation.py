"""How far confidence has gone to its end: saturation, and the log-odds that remain."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64

from calibench.metrics.intervals import Interval, of_share, quantile
from calibench.metrics.scores import exact_mean
from calibench.options import between
from calibench.predictions import Predictions
from calibench.signatures import of_predictions
from calibench.sums import counted

Values: TypeAlias = Float64[np.ndarray, " values"]
Counts: TypeAlias = Int64[np.ndarray, " values"]

# Halfway between 1 and the float32 below it, and ties round to the even 1.
ROUNDS_TO_ONE = 1 - 2.0**-25
# Beyond, the binomial ranks are those of its normal limit.
_MOST_EXACT = 10**6
_MANY = 1000
# Of an interval from 0 to 1, down to the smallest normal numbers beside 1e-9.
_HALVINGS = 80


def saturated(some: Predictions) -> Bool[np.ndarray, " examples"]:
    """Whether the confidence of each example rounds to exactly 1 in float32.

    That is c >= 1 - 2^-25, or log-odds of at least ln(2^25 - 1), about 17.33. It is
    decided in float64, where a softmax of logits tells 1 - c apart down to 1e-16.
    Probabilities are taken as given: a 1 is saturated even if the other classes were
    not given 0.
    """
    return np.asarray(some.confidence >= ROUNDS_TO_ONE)


@of_predictions
def saturated_share(some: Predictions) -> float:
    """Share of examples whose confidence rounds to exactly 1 in float32, in [0, 1].

    Of those examples softmax probabilities in float32 tell nothing more apart, and
    gradients through them vanish. `log_odds_quantile` says how far beyond they are.

    Example:
        >>> saturated_share(Predictions.from_logits([[17.0, 0.0], [18.0, 0.0]], [0, 0]))
        0.5
    """
    return exact_mean(saturated(some).astype(np.float64), some.weights)


@of_predictions
def log_odds_quantile(some: Predictions, share: float = 0.5) -> float:
    """A quantile of the log-odds of the predicted class; by default the median.

    The log-odds are the largest logit minus logsumexp of the others, ln(c / (1 - c)),
    which keep growing where c rounds to 1. The quantile is the value of rank
    ceil(share * n), with no interpolation: repeating all examples leaves it. Infinite
    where so many rows give every other class probability 0.

    Args:
        some: The predictions.
        share: Of the examples at or below it, in (0, 1).

    Raises:
        ParameterError: `share` is not between 0 and 1.
        DataError: The weights are not whole numbers.

    Example:
        >>> some = Predictions.from_logits(
        ...     [[3.0, 0.0], [0.0, 5.0], [7.0, 0.0]], [0] * 3
        ... )
        >>> log_odds_quantile(some)
        5.0
    """
    return quantile_of(*counted_log_odds(some), share)


def counted_log_odds(some: Predictions) -> tuple[Values, Counts]:
    """The log-odds that occur, ascending, and how often each does.

    Raises:
        DataError: The weights are not whole numbers.
    """
    some = some.present
    values, index = np.unique(some.log_odds, return_inverse=True)
    return values, counted(index, len(values), some.counts)


def quantile_of(values: Values, count: Counts, share: float) -> float:
    """The quantile of ascending values that occur so many times each.

    Raises:
        ParameterError: `share` is not between 0 and 1.
    """
    between(share, "share")
    # As the decimal that is meant: 0.05 * 20 is 1, which the float64 of 0.05 exceeds.
    rank = math.ceil(Fraction(str(float(share))) * int(count.sum()))
    return _ranked(values, count, rank)


def quantile_interval(
    values: Values, count: Counts, share: float, level: float
) -> Interval | None:
    """Two order statistics that hold the population's quantile.

    Whatever the distribution, the number of examples at or below the quantile is
    binomial, so the coverage is at least the level: exactly so, if ties are rare, but
    for the steps of the binomial. None where an end would be beyond the examples.

    Args:
        values: Ascending.
        count: How often each occurs.
        share: Of the quantile.
        level: Of the interval.

    Source:
        David and Nagaraja 2003, section 7.1.
    """
    total = int(count.sum())
    low = _lower_rank(total, share, level)
    from_top = _lower_rank(total, 1 - share, level)
    if min(low, from_top) < 1:
        return None
    return (
        _ranked(values, count, low),
        _ranked(values, count, total + 1 - from_top),
    )


def share_interval(count: int, total: int, level: float) -> Interval:
    """The exact interval for a share, which Wilson's undercuts where it is near 0.

    Both tails of the binomial are at most (1 - level) / 2 at its ends. With more than
    1,000 examples on either side, Wilson's is as good.

    Source:
        Clopper and Pearson 1934.

    Example:
        >>> low, high = share_interval(0, 10, 0.95)
        >>> low, round(high, 4)  # 1 - 0.025^(1 / 10)
        (0.0, 0.3085)
    """
    if min(count, total - count) > _MANY:
        return of_share(count, total, level)
    if 2 * count > total:
        low, high = share_interval(total - count, total, level)
        return 1 - high, 1 - low
    tail = (1 - level) / 2
    # The upper end is where so few are that rare, the lower where one fewer is not.
    high = _root(lambda p: _at_most(count, total, p) > tail)
    if count == 0:
        return 0.0, high
    return _root(lambda p: 1 - _at_most(count - 1, total, p) < tail), high


def _root(holds_below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds_below(middle) else (low, middle)
    return low


def _at_most(count: int, total: int, p: float) -> float:
    """The chance of so few among so many."""
    return math.fsum(_binomial(count, total, p).tolist())


def _binomial(most: int, total: int, p: float) -> Float64[np.ndarray, " counts"]:
    """The chances of 0, 1, ... and `most` among so many."""
    steps = np.arange(1, most + 1)
    odds = math.log(p) - math.log1p(-p)
    log_mass = np.cumsum(np.log((total + 1 - steps) / steps) + odds)
    return np.exp(np.append(0.0, log_mass) + total * math.log1p(-p))


def _ranked(values: Values, count: Counts, rank: int) -> float:
    """The value of a rank, from 1."""
    return float(values[np.searchsorted(np.cumsum(count), rank)])


def _lower_rank(total: int, share: float, level: float) -> int:
    """The largest r with P(fewer than r of `total` at or below) <= (1 - level) / 2."""
    if total > _MOST_EXACT:
        spread = math.sqrt(total * share * (1 - share))
        return math.floor(total * share - quantile(level) * spread)
    upto = np.cumsum(_binomial(total, total, share))
    return int((upto <= (1 - level) / 2).sum())
