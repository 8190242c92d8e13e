"""How large a study would decide what this one leaves undecided."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from calibench.metrics.over_seeds import SeedEstimate

# Beyond, a study is no plan.
_MOST_EXAMPLES = 10**9
_MOST_SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class Size:
    """A study's size; None where it may stay as it is."""

    num_examples: int | None = None
    num_seeds: int | None = None


def deciding_sizes(
    estimate: SeedEstimate, bound: float, level: float
) -> tuple[Size, ...]:
    """Return sizes at which this very estimate would exclude the bound.

    The spread over examples and over seeds is taken to stay what it is, and the bias
    of an ECE to shrink as chance does. A study of that size decides about as often as
    not: half of all estimates come out nearer to the bound.

    Args:
        estimate: What was found.
        bound: Where the hypothesis ends.
        level: Of the interval that must exclude it, corrected for multiplicity.

    Returns:
        More examples alone, then more seeds alone, where either will do; else more of
        both; nothing where no study of a feasible size would.
    """
    return tuple(_sizes(estimate, bound, level))


def _sizes(estimate: SeedEstimate, bound: float, level: float) -> Iterator[Size]:
    distance = abs(estimate.value - bound)
    bias = estimate.down if estimate.value > bound else estimate.up

    def excludes(examples: float, seeds: int, part: float = 1.0) -> bool:
        half = estimate.half_width(level, num_examples=examples, num_seeds=seeds)
        shrunk = bias * math.sqrt(estimate.num_examples / examples)
        return half + shrunk < distance * part

    now, seeds = estimate.num_examples, estimate.num_seeds
    more_examples = _least(now, _MOST_EXAMPLES, lambda n: excludes(n, seeds))
    more_seeds = (
        _least(seeds, _MOST_SEEDS, lambda s: excludes(now, s)) if seeds > 1 else None
    )
    if more_examples is not None:
        yield Size(num_examples=more_examples)
    if more_seeds is not None:
        yield Size(num_seeds=more_seeds)
    if more_examples is not None or more_seeds is not None or seeds == 1:
        return
    # Half of the distance for the seeds, the rest for the examples.
    enough = _least(seeds, _MOST_SEEDS, lambda s: excludes(math.inf, s, part=0.5))
    if enough is not None:
        wanted = _least(now, _MOST_EXAMPLES, lambda n: excludes(n, enough))
        if wanted is not None:
            yield Size(num_examples=wanted, num_seeds=enough)


def _least(start: int, most: int, is_enough: Callable[[int], bool]) -> int | None:
    """Return the least number from `start` on that is enough; None beyond `most`."""
    low, high = start - 1, start
    while not is_enough(high):
        low, high = high, 2 * high
        if high > most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
