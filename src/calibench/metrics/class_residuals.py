"""By how much the probabilities of all classes are off, and how far that varies."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from calibench.metrics.folded import most_fold_bias
from calibench.metrics.intervals import Interval, quantile, reaching_down
from calibench.predictions import Counts

# Products of the residuals of two classes, each of one example.
MOST_PRODUCTS = 2**28


@dataclass(frozen=True, eq=False)
class ClassResiduals:
    """Residuals p - [is the label] of every class, and the cell that each is in.

    Sums are taken in the order of the examples: sort them for bits that don't depend
    on it.

    Attributes:
        residual: Of each class and example; 0 where it is not to count.
        cell: The bin of each, from 0; the last is for what is not to count.
        num_bins: How many bins, that last one excluded.
        counts: How often each example is there; None for once.
    """

    residual: Float64[np.ndarray, "classes examples"]
    cell: Int64[np.ndarray, "classes examples"]
    num_bins: int
    counts: Counts | None = None

    @cached_property
    def times(self) -> Float64[np.ndarray, " examples"]:
        """How often each example is there."""
        if self.counts is None:
            return np.ones(self.residual.shape[1])
        return self.counts.astype(np.float64)

    @cached_property
    def total(self) -> float:
        """How many examples there are, repetitions included."""
        return float(self.times.sum())

    @cached_property
    def count(self) -> Float64[np.ndarray, "classes bins"]:
        """How many examples each bin of each class holds."""
        return self._sums(np.ones_like(self.residual))

    @cached_property
    def sum(self) -> Float64[np.ndarray, "classes bins"]:
        """The sum of their residuals."""
        return self._sums(self.residual)

    @cached_property
    def square(self) -> Float64[np.ndarray, "classes bins"]:
        """The sum of the squares of their residuals."""
        return self._sums(self.residual**2)

    def at(
        self, values: Float64[np.ndarray, "classes bins"]
    ) -> Float64[np.ndarray, "classes examples"]:
        """The value of the bin of each example, 0 where it is not to count."""
        padded = np.pad(values, ((0, 0), (0, 1)))
        return np.take_along_axis(padded, self.cell, axis=1)

    def mean(self, values: Float64[np.ndarray, " examples"]) -> float:
        """The mean of values of the examples."""
        return float((self.times * values).sum()) / self.total

    def products(self, scaled: Float64[np.ndarray, "classes examples"]) -> float:
        """The sum over all pairs of cells of the squared sum of products in both.

        The examples of two cells are those in one of them by one class, and in the
        other by the other class.
        """
        width = self.num_bins + 1
        found = [float((self._sums(scaled**2) ** 2).sum())]
        for k in range(1, len(scaled)):
            for other in range(k):
                pair = self.cell[k] * width + self.cell[other]
                weights = self.times * scaled[k] * scaled[other]
                found.append(2 * float((np.bincount(pair, weights) ** 2).sum()))
        return math.fsum(found)

    def _sums(
        self, values: Float64[np.ndarray, "classes examples"]
    ) -> Float64[np.ndarray, "classes bins"]:
        width = self.num_bins + 1
        sums = [
            np.bincount(cell, self.times * each, width)
            for cell, each in zip(self.cell, values, strict=True)
        ]
        return np.stack(sums)[:, : self.num_bins]


def of_mean_square(residuals: ClassResiduals, level: float) -> Interval | None:
    """For the class-wise RMS error: as for that of the predicted class.

    The squared error without the bias of sampling is a mean over pairs of examples that
    share a cell, of the product of their residuals. Its variance has a part of order
    1 / n^2, with the covariances between classes, and parts of order 1 / n: from the
    gaps between bins, and one in proportion to the squared error, which is taken at
    each candidate. None where the covariances would take too long.

    Source:
        Sun et al. 2024 for the normal limit in both regimes; the sum over classes and
        the inversion are ours.
    """
    num_classes, num_examples = residuals.residual.shape
    if num_classes**2 * num_examples > MOST_PRODUCTS:
        return None
    count, n = residuals.count, residuals.total
    some = np.maximum(count, 1)
    gap = residuals.sum / some
    scale = 1 / (n * num_classes)
    plain = float((count * gap**2).sum()) * scale
    pairs = (residuals.sum**2 - residuals.square) / np.maximum(count - 1, 1)
    value = float(pairs[count > 1].sum()) * scale
    off = residuals.residual - residuals.at(gap)
    degenerate = 2 * residuals.products(off * residuals.at(some**-0.5)) * scale**2
    # One example more that is wrong, lest a few perfect ones look certain.
    typical = 2 / (num_classes * (n + 2))
    if plain > 0:
        along = (residuals.at(gap) * off).mean(axis=0)
        typical = max(typical, residuals.mean(along**2) / plain)
    noise = np.maximum(residuals.square / some - gap**2, 0) / np.maximum(count - 1, 1)
    square = residuals.at(np.maximum(gap**2 - noise, 0)).mean(axis=0)
    between = max(residuals.mean(square**2) - residuals.mean(square) ** 2, 0.0)
    z = quantile(level)
    shift, fixed = 2 * z**2 * typical / n, z**2 * (degenerate + between / n)
    half = math.sqrt(max(shift**2 + 2 * shift * value + fixed, fixed))
    low, high = (math.sqrt(max(value + shift + e * half, 0.0)) for e in (-1, 1))
    return low, min(max(high, math.sqrt(plain)), 1.0)


def of_mean_size_of_some(residuals: ClassResiduals, level: float) -> Interval:
    """For the class-wise error above a threshold: as for ECE, reaching down.

    Where a class has no example that counts, its error is 0; one has some.
    """
    count, n = residuals.count, residuals.total
    num_classes = len(count)
    of_class = np.maximum(count.sum(axis=1, keepdims=True), 1)
    share = 1 / (of_class * num_classes)
    size = np.abs(residuals.sum) * share
    within = residuals.square - residuals.sum**2 / np.maximum(count, 1)
    variance = (np.maximum(within, 0) + 1) / (count + 2)
    deviation = np.sqrt(count * variance) * share
    bias = float(most_fold_bias(size, deviation).sum())
    error = np.broadcast_to(size.sum(axis=1, keepdims=True), size.shape)
    signed = residuals.residual * residuals.at(np.sign(residuals.sum) * n * share)
    moved = (signed - residuals.at(error * n / of_class)).sum(axis=0)
    # One example that misses by 1 is added, as for the class-wise error.
    most = 2 * n / float(count.sum())
    spread = (residuals.mean(moved**2) * n + most**2) / (n + 1)
    return reaching_down(float(size.sum()), bias, math.sqrt(spread / n), level)
