"""Risk-coverage area and quantiles by their definitions, in exact fractions."""

import itertools
import math
from fractions import Fraction


def area_of_order(wrong):
    """Mean over k of the share wrong among the first k."""
    risks = [Fraction(sum(wrong[:k]), k) for k in range(1, len(wrong) + 1)]
    return sum(risks) / len(risks)


def expected_area(confidence, wrong):
    """The mean over every order of the examples that never ranks a lower one first."""
    groups = [
        [w for c, w in zip(confidence, wrong, strict=True) if c == level]
        for level in sorted(set(confidence), reverse=True)
    ]
    orders = itertools.product(*(itertools.permutations(group) for group in groups))
    areas = [area_of_order(list(itertools.chain(*order))) for order in orders]
    return sum(areas) / len(areas)


def least_area(wrong):
    return area_of_order(sorted(wrong))


def quantile(values, share):
    """The least value with at least this share, a decimal, of all at or below it."""
    least = Fraction(str(share)) * len(values)
    return min(v for v in values if sum(w <= v for w in values) >= least)


def coverage_of_ranks(total, low, high, share):
    """The chance that a quantile lies from one rank to another: a binomial's."""
    return sum(
        math.comb(total, k) * share**k * (1 - share) ** (total - k)
        for k in range(low, high)
    )
