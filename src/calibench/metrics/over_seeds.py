"""A mean over test examples and training seeds, with an interval for each of the two.

Seeds share their test examples, so the two are crossed. Test examples say what another
test set would change, seeds what another training run would.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

import numpy as np
from jaxtyping import Float64

from calibench.metrics.intervals import Interval, quantile
from calibench.metrics.paired import standard_error, two_sided
from calibench.metrics.students_t import student_quantile, two_sided_student

_HALVINGS = 200


@dataclass(frozen=True, kw_only=True)
class SeedEstimate:
    """A number of several training runs that were measured on the same examples.

    Attributes:
        by_seed: The number of each seed; their mean is the estimate.
        error: Standard error of that mean, for other test examples and these seeds.
        num_examples: How many test examples it rests on.
        down: The most by which bias may have lifted the estimate.
        up: The most by which bias may have lowered it.
    """

    by_seed: tuple[float, ...]
    error: float
    num_examples: int
    down: float = 0.0
    up: float = 0.0

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return fmean(self.by_seed)

    @property
    def num_seeds(self) -> int:
        """How many seeds there are."""
        return len(self.by_seed)

    @property
    def deviation(self) -> float:
        """The standard deviation of one seed; 0 where one seed tells nothing."""
        return stdev(self.by_seed) if self.num_seeds > 1 else 0.0

    @property
    def is_exact(self) -> bool:
        """Whether no example and no seed differs from any other."""
        return self.error == self.deviation == self.down == self.up == 0

    def over_examples(self, level: float = 0.95) -> Interval:
        """For other test examples, with these very networks."""
        half = quantile(level) * self.error
        return self.value - self.down - half, self.value + self.up + half

    def over_seeds(self, level: float = 0.95) -> Interval | None:
        """For other seeds, by Student's t on these examples; None with one seed."""
        if self.num_seeds == 1:
            return None
        half = self.half_width(level, num_examples=math.inf)
        return self.value - half, self.value + half

    def half_width(
        self,
        level: float,
        *,
        num_examples: float | None = None,
        num_seeds: int | None = None,
    ) -> float:
        """Half the interval for other examples and other seeds, without the bias.

        The root of the sum of both halves' squares: the spread over seeds holds some of
        that over examples, so it errs on the side of caution. With one seed it is for
        other examples alone.

        Args:
            level: Of the interval.
            num_examples: Were there so many.
            num_seeds: Were there so many.
        """
        examples = self.num_examples if num_examples is None else num_examples
        seeds = self.num_seeds if num_seeds is None else num_seeds
        half = quantile(level) * self.error * math.sqrt(self.num_examples / examples)
        if seeds == 1 or self.deviation == 0:
            return half
        student = student_quantile(level, seeds - 1)
        return math.hypot(half, student * self.deviation / math.sqrt(seeds))

    def p_value(self, bound: float) -> float:
        """Two-sided, that the number is `bound`; bias counts in favor of that.

        It is 1 less the level at which the interval for both just reaches `bound`.
        """
        beyond = max(self.value - self.down - bound, bound - self.value - self.up, 0.0)
        spread = self.deviation / math.sqrt(self.num_seeds)
        if spread == 0:
            return two_sided(beyond, self.error)
        return _of_both(beyond, self.error, spread, self.num_seeds - 1)


def over_seeds(
    terms: Float64[np.ndarray, "seeds examples"],
    *,
    down: float = 0.0,
    up: float = 0.0,
    unseen: float = 0.0,
) -> SeedEstimate:
    """Estimate a mean whose terms are known for each seed and each test example.

    Args:
        terms: For one seed a row; of paired differences, say.
        down: The most by which bias may have lifted the mean.
        up: The most by which bias may have lowered it.
        unseen: The largest size of a term that no example happened to show. One more
            such example enters the standard error, so that a model that is right
            throughout does not look certain.

    Example:
        >>> found = over_seeds(np.array([[1.0, 3.0], [2.0, 4.0]]))
        >>> found.value, found.by_seed, found.error
        (2.5, (2.0, 3.0), 1.0)
    """
    num_examples = terms.shape[1]
    return SeedEstimate(
        by_seed=tuple(float(row.mean()) for row in terms),
        error=math.hypot(standard_error(terms.mean(axis=0)), unseen / num_examples),
        num_examples=num_examples,
        down=down,
        up=up,
    )


def _of_both(beyond: float, error: float, spread: float, freedom: int) -> float:
    """Solve beyond^2 = (error z)^2 + (spread t)^2 for the chance that z and t share."""
    low, high = 0.0, beyond / spread
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        chance = two_sided_student(middle, freedom)
        normal = -NormalDist().inv_cdf(chance / 2) if chance > 0 else math.inf
        is_beyond = math.hypot(error * normal, spread * middle) > beyond
        low, high = (low, middle) if is_beyond else (middle, high)
    return two_sided_student(low, freedom)
