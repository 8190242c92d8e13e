"""Two accuracies on the same examples, by the examples on which they differ."""

import math

from calibench.metrics.intervals import quantile
from calibench.metrics.paired import Outcome

_HALVINGS = 60


def of_shares(gained: int, lost: int, total: int, level: float = 0.95) -> Outcome:
    """For two accuracies: Tango's score interval, and the exact test of McNemar.

    Args:
        gained: How many examples only the second set has right.
        lost: How many only the first has right.
        total: How many examples there are.
        level: Of the interval.

    Source:
        McNemar 1947; Tango 1998, equation 8, solved by bisection.

    Example:
        >>> of_shares(4, 0, 100).p_value  # 2 / 2**4
        0.125
    """
    value, z = (gained - lost) / total, quantile(level)

    def bound(end: float) -> float:
        inside, outside = value, end
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            within = abs(_tango_score(gained, lost, total, middle)) <= z
            inside, outside = (middle, outside) if within else (inside, middle)
        return inside

    return Outcome((bound(-1.0), bound(1.0)), _mcnemar(gained, lost))


def _mcnemar(gained: int, lost: int) -> float:
    """Twice the chance of so few heads, of gained + lost fair coins, and at most 1."""
    coins, fewer = gained + lost, min(gained, lost)
    if gained == lost:
        return 1.0
    last = math.exp(
        math.lgamma(coins + 1)
        - math.lgamma(fewer + 1)
        - math.lgamma(coins - fewer + 1)
        - coins * math.log(2)
    )
    total = term = 1.0
    for heads in range(fewer, 0, -1):
        term *= heads / (coins - heads + 1)
        total += term
        if term < 1e-17 * total:
            break
    return min(1.0, 2 * last * total)


def _tango_score(gained: int, lost: int, total: int, difference: float) -> float:
    """How many standard errors the data are off, were this the true difference."""
    apart = gained - lost - total * difference
    linear = (2 * total - gained + lost) * difference - gained - lost
    constant = -lost * difference * (1 - difference)
    root = math.sqrt(max(linear**2 - 8 * total * constant, 0.0))
    chance_lost = (root - linear) / (4 * total)
    variance = total * (2 * chance_lost + difference * (1 - difference))
    if apart == 0:
        return 0.0
    return (
        apart / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, apart)
    )
