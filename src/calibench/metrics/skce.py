"""Squared kernel calibration error: of all probabilities at once, without bias."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from calibench.errors import ParameterError
from calibench.metrics.intervals import Interval, quantile
from calibench.metrics.kernel_strips import (
    ManyLabels,
    Rows,
    SortedExamples,
    Strip,
    class_sums,
)
from calibench.predictions import Predictions, unweighted
from calibench.signatures import of_predictions

# Fewer leave too much of the variance to chance.
FEWEST_FOR_PAIRS = 100
# An error this many standard deviations of a calibrated model's stands out.
_CLEAR = 2.0


@of_predictions
def squared_kernel_calibration_error(
    some: Predictions, *, bandwidth: float | None = None
) -> float:
    """Mean over pairs of different examples of k(p_i, p_j) <e_i - p_i, e_j - p_j>.

    e is the one-hot label and k the Gaussian kernel exp(-|p - q|^2 / (2 v^2)). Where
    similar predictions miss in the same direction it is positive; for a model that is
    calibrated in the canonical (strong) sense it is 0 on average, and it is reported
    signed. It is a squared distance of functions, not of probabilities: use it to test
    and to compare on the same examples with one bandwidth, not to say how many points a
    model is off.

    Args:
        some: The predictions.
        bandwidth: The v above; None takes the median distance among up to 1,000
            examples, evenly spaced in sorted order (the mean if the median is 0, 1 if
            that is).

    Returns:
        From -2 to 2, 0 on average if calibrated; 0 for a single example.

    Raises:
        ParameterError: `bandwidth` is not positive.

    Source:
        Widmann et al. 2019, SKCE with the unbiased quadratic estimator; their kernel is
        an exponential of the total variation.

    Example:
        >>> squared_kernel_calibration_error(
        ...     Predictions.from_probs([[1.0, 0.0]] * 2, [1, 1])
        ... )
        2.0
    """
    examples = SortedExamples(unweighted(some, "squared_kernel_calibration_error"))
    return PairStatistics.of(examples, bandwidth).value


@dataclass(frozen=True, eq=False)
class PairStatistics:
    """What one pass over all pairs of examples finds.

    Attributes:
        value: The error.
        bandwidth: Of the kernel.
        row_means: The mean term of each example's pairs, in sorted order.
        mean_square: The mean squared term of a pair.
        mean_size: The mean term of an example with itself, |e_i - p_i|^2.
        redrawn: The error for each further set of labels.
    """

    value: float
    bandwidth: float
    row_means: Float64[np.ndarray, " examples"]
    mean_square: float
    mean_size: float
    redrawn: Float64[np.ndarray, " sets"]

    @classmethod
    def of(
        cls,
        examples: SortedExamples,
        bandwidth: float | None = None,
        redrawn: ManyLabels | None = None,
    ) -> "PairStatistics":
        """Pass over the kernel once, for the labels and further sets of them.

        Raises:
            ParameterError: `bandwidth` is not positive.
        """
        width = median_distance(examples) if bandwidth is None else bandwidth
        if not 0 < width < np.inf:
            msg = f"bandwidth must be positive, got {bandwidth}."
            raise ParameterError(msg)
        n = examples.num_examples
        further = examples.labels[:0] if redrawn is None else redrawn
        row_sums, sums, square, size = np.zeros(n), np.zeros(len(further)), 0.0, 0.0
        for rows in examples.strips():
            kernel = _kernel(examples, rows, width)
            if len(further):
                sums += _redrawn_sums(examples, kernel, rows, further)
            kernel *= _residual_products(examples, rows)
            row_sums[rows] = kernel.sum(axis=1)
            square += float(np.einsum("re,re->", kernel, kernel))
            size += float((_residuals(examples, rows) ** 2).sum())
        pairs = max(n * (n - 1), 1)
        return cls(
            value=math.fsum(row_sums.tolist()) / pairs,
            bandwidth=width,
            row_means=row_sums / max(n - 1, 1),
            mean_square=square / pairs,
            mean_size=size / n,
            redrawn=sums / pairs,
        )

    def interval(self, level: float) -> Interval | None:
        """Normal theory near calibration and away from it; None below 100 examples.

        The variance of a mean over pairs has a part of order 1 / n^2, all that is left
        of it for a calibrated model, and one of order 1 / n, nearly in proportion to
        the error itself. That one is taken at each candidate for the error, as in
        Wilson's interval for a share. The proportion is estimated where the error
        stands out of its noise; elsewhere it is the mean of the squared eigenvalues of
        the terms over the mean of the eigenvalues, which noise without direction has.

        Source:
            Hoeffding 1948 for the parts; the inversion is ours. The kernel's bandwidth
            is taken as given.
        """
        n = len(self.row_means)
        if n < FEWEST_FOR_PAIRS:
            return None
        second = max(self.mean_square - self.value**2, 0.0)
        spread = float(self.row_means.var(ddof=1)) * (n - 1) ** 2 / (n - 2)
        first = max((spread - second) / (n - 4), 0.0)
        ratio = self.mean_square / self.mean_size if self.mean_size else 0.0
        if self.value > _CLEAR * math.sqrt(2 * second) / n:
            ratio = first / self.value
        z = quantile(level)
        shift, fixed = 2 * z**2 * ratio / n, 2 * z**2 * second / n**2
        half = math.sqrt(max(shift**2 + 2 * shift * self.value + fixed, fixed))
        return self.value + shift - half, self.value + shift + half


def median_distance(examples: SortedExamples) -> float:
    """The median Euclidean distance between the probabilities of two examples."""
    probs = examples.probs(examples.pilots())
    above = np.triu_indices(len(probs), 1)
    distance = np.sqrt(_square_distances(probs, probs)[above])
    if len(distance) == 0:
        return 1.0
    # Rounding leaves identical rows up to 1e-8 apart.
    distance[distance < 1e-7] = 0.0
    return float(np.median(distance)) or float(distance.mean()) or 1.0


def _square_distances(
    one: Rows, other: Float64[np.ndarray, "others classes"]
) -> Float64[np.ndarray, "rows others"]:
    found = -2 * (one @ other.T)
    found += np.einsum("rk,rk->r", one, one)[:, None]
    found += np.einsum("rk,rk->r", other, other)
    return np.maximum(found, 0.0, out=found)


def _kernel(examples: SortedExamples, rows: slice, width: float) -> Strip:
    """The kernel of some examples with all, 0 with themselves."""
    here = examples.probs(rows)

    def block(columns: slice) -> np.ndarray:
        found = _square_distances(here, examples.probs(columns))
        found /= -2 * width**2
        return np.exp(found, out=found)

    kernel = examples.strip_of(len(here), block)
    kernel[np.arange(len(here)), np.arange(rows.start, rows.stop)] = 0.0
    return kernel


def _residuals(examples: SortedExamples, rows: slice) -> Rows:
    residuals = -examples.probs(rows)
    labels = examples.labels[0, rows].astype(np.int64)
    residuals[np.arange(len(residuals)), labels] += 1
    return residuals


def _residual_products(examples: SortedExamples, rows: slice) -> Strip:
    here = _residuals(examples, rows)
    return examples.strip_of(
        len(here), lambda columns: here @ _residuals(examples, columns).T
    )


def _redrawn_sums(
    examples: SortedExamples, kernel: Strip, rows: slice, redrawn: ManyLabels
) -> Float64[np.ndarray, " sets"]:
    """For each set of labels, the sum over the strip's pairs, each pair once a side.

    <e_i - p_i, e_j - p_j> is [y_i = y_j] - p_j(y_i) - p_i(y_j) + <p_i, p_j>: only the
    first part needs every pair anew, and its halves are equal, so one will do.
    """
    here = examples.probs(rows)
    smoothed = np.zeros_like(here)
    for columns in examples.blocks():
        smoothed += kernel[:, columns] @ examples.probs(columns)
    below = kernel[:, : rows.stop].copy()
    # Of the square on the diagonal, the lower half.
    below[:, rows] = np.tril(below[:, rows])
    drawn = redrawn[:, rows].astype(np.int64)
    position = np.arange(len(here))
    sums = class_sums(below, redrawn[:, : rows.stop], here.shape[1])
    agreeing = np.array(
        [s[position, own].sum() for s, own in zip(sums, drawn, strict=True)]
    )
    crossed = smoothed[position, drawn].sum(axis=1)
    return 2 * (agreeing - crossed) + float(np.einsum("rk,rk->", here, smoothed))
