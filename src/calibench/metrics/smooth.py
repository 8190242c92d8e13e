"""Smooth calibration error: a kernel in place of bins, with no width to choose."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Inexact, Int64

from calibench.predictions import Predictions
from calibench.signatures import of_predictions
from calibench.weights import Weights

# Grid cells per kernel width. Moments up to the third in each cell make the error of
# the gridding about (1 / 64)^4 / 24 of the value.
_CELLS_PER_WIDTH = 64
_MOMENTS = 4
_LARGEST_GRID = 2**17
_SMALLEST_WIDTH = 2.0**-15
_TOLERANCE = 1e-13
_STEPS = 100

# The integral of the absolute smoothed gap, by the width of the kernel.
ErrorOfWidth: TypeAlias = Callable[[float], float]


@of_predictions
def smooth_ece(some: Predictions) -> float:
    """Smooth calibration error of the predicted class (smECE).

    The integral over t in [0, 1] of |mean_i K_s(t, c_i) (c_i - a_i)|, K_s the Gaussian
    of width s reflected at 0 and 1, for the one s at which the integral equals s.
    Reflection keeps the mass of every example at 1, those at exactly 0 or 1 included:
    a kernel at an endpoint is twice as high and half as wide. (relplot halves the
    weight of the examples at an endpoint.)

    The kernel is written as its cosine series, so reflection is exact; what remains is
    quadrature, good to 1e-9. Errors below 2^-15 are taken at s = 2^-15.

    Returns:
        A fraction in [0, 1], between |mean gap| and the mean of |c - a|.

    Source:
        Blasiok and Nakkiran 2023, definitions 1 and 3.

    Example:
        >>> some = Predictions.from_probs(
        ...     [[1.0, 0.0]] * 9 + [[0.5, 0.5]], [0] * 9 + [1]
        ... )
        >>> smooth_ece(some)
        0.05
    """
    some = some.present
    return smooth_error_of(some.confidence, some.correct, some.weights)


def smooth_error_of(
    confidence: Float64[np.ndarray, " examples"],
    correct: Bool[np.ndarray, " examples"],
    weights: Weights | None = None,
) -> float:
    """`smooth_ece` of confidences and whether each is right, weights above 0."""
    # Sorted, so that sums round the same for every order of the examples.
    ranks = weights if weights is not None else correct
    order = np.lexsort((ranks, correct, confidence))
    confidence, gap = confidence[order], confidence[order] - correct[order]
    if weights is None:
        return smooth_error_of_sums(confidence, gap, len(gap))
    weights = weights[order]
    return smooth_error_of_sums(confidence, weights * gap, float(weights.sum()))


def smooth_error_of_sums(
    confidence: Float64[np.ndarray, " items"],
    gap: Float64[np.ndarray, " items"],
    total: float,
) -> float:
    """`smooth_ece` of sums of gaps at ascending confidences.

    Args:
        confidence: Where each sum is.
        gap: The sum of weight * gap there.
        total: The total weight.
    """
    low, high = abs(float(gap.sum()) / total), float(np.abs(gap).sum()) / total
    if gap.min() >= 0 or gap.max() <= 0:
        # One sign everywhere: the integral is |mean gap| whatever the width.
        return low
    error = KernelSums(confidence, gap, total).error
    return fixed_point(error, max(low, _SMALLEST_WIDTH), max(high, _SMALLEST_WIDTH))


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Smoothed gaps, each with its weight, for any kernel width."""

    confidence: Float64[np.ndarray, " examples"]
    gap: Float64[np.ndarray, " examples"]
    total: float
    _series: dict[int, Float64[np.ndarray, " terms"]] = field(default_factory=dict)

    def error(self, width: float) -> float:
        """The integral of the absolute smoothed gap."""
        size = grid_size(width)
        if size not in self._series:
            sums = cosine_series(self.confidence, self.gap, size, self.total)
            self._series[size] = sums
        series = damped(self._series[size], width)
        return float(integral_of_size(series))


def grid_size(width: float) -> int:
    """The power of two that gives a kernel width enough cells, within bounds."""
    wanted = 2 ** math.ceil(math.log2(_CELLS_PER_WIDTH / width))
    return min(max(wanted, _CELLS_PER_WIDTH), _LARGEST_GRID)


def cosine_series(
    position: Float64[np.ndarray, " examples"],
    value: Float64[np.ndarray, " examples"],
    size: int,
    total: float,
) -> Float64[np.ndarray, " terms"]:
    """sum_i value_i cos(k pi position_i) / total, k = 0..size, positions in [0, 1]."""
    cell, offset = cells_of(position, size)
    moments = [np.bincount(cell, value * offset**j, size) for j in range(_MOMENTS)]
    return series_of_moments(moments) / total


def cells_of(
    position: Float64[np.ndarray, " examples"], size: int
) -> tuple[Int64[np.ndarray, " examples"], Float64[np.ndarray, " examples"]]:
    """The cell of each position, of `size` over [0, 1], and the offset in it."""
    cell = np.minimum((position * size).astype(np.int64), size - 1)
    return cell, position - (cell + 0.5) / size


def series_of_moments(
    moments: list[Float64[np.ndarray, "*batch cells"]],
) -> Float64[np.ndarray, "*batch terms"]:
    """Sum of value * cos(k pi position), from sums of value * offset^j in each cell.

    exp(-ik pi (x + d)) is the sum over j of (-ik pi d)^j / j! times exp(-ik pi x), cut
    where the moments end.
    """
    size = moments[0].shape[-1]
    rate = -1j * np.pi * np.arange(size + 1)
    total: np.ndarray = np.fft.rfft(moments[0], 2 * size)
    factor: np.ndarray = np.ones(size + 1)
    for order, moment in enumerate(moments[1:], start=1):
        factor = factor * rate / order
        total += factor * np.fft.rfft(moment, 2 * size)
    return np.asarray((total * np.exp(rate * 0.5 / size)).real)


def damped(
    series: Float64[np.ndarray, "*batch terms"],
    width: float | Float64[np.ndarray, "*batch 1"],
) -> Float64[np.ndarray, "*batch terms"]:
    """The series of a function smoothed by the reflected Gaussian of a width."""
    frequency = np.pi * np.arange(series.shape[-1])
    return np.asarray(series * np.exp(-0.5 * (frequency * width) ** 2))


def at_edges(
    series: Inexact[np.ndarray, "*batch terms"],
) -> Float64[np.ndarray, "*batch terms"]:
    """Values of a cosine series at the edges of the cells."""
    size = series.shape[-1] - 1
    # irfft divides by its length and doubles every term but the first and the last.
    return np.fft.irfft(series, 2 * size)[..., : size + 1] * (2 * size)


def integral_of_size(
    series: Float64[np.ndarray, "*batch terms"],
) -> Float64[np.ndarray, "*batch"]:
    """The integral over [0, 1] of |f| for a smooth f given by its cosine series.

    Where f keeps its sign across a cell, the integral of |f| is the difference of its
    antiderivative, exactly; where it crosses 0 it is taken as quadratic.
    """
    size = series.shape[-1] - 1
    here = at_edges(series)
    # The antiderivative is a sine series: term k divided by k pi, plus a line.
    waves = np.zeros(series.shape, dtype=np.complex128)
    waves.imag[..., 1:] = -series[..., 1:] * (1 / (np.pi * np.arange(1, size + 1)))
    mean = np.diff(at_edges(waves), axis=-1) * size + series[..., :1]
    return mean_size(here, mean)


def mean_size(
    edges: Float64[np.ndarray, "*batch edges"],
    mean: Float64[np.ndarray, "*batch cells"],
) -> Float64[np.ndarray, "*batch"]:
    """The mean of |f| over cells, from f at their edges and its mean over each."""
    sizes = np.abs(mean)
    before, after = edges[..., :-1], edges[..., 1:]
    crossing: Bool[np.ndarray, "*batch cells"] = before * after < 0
    sizes[crossing] = _mean_size_across(
        before[crossing], after[crossing], mean[crossing]
    )
    return np.asarray(sizes.mean(axis=-1))


def _mean_size_across(
    before: Float64[np.ndarray, " cells"],
    after: Float64[np.ndarray, " cells"],
    mean: Float64[np.ndarray, " cells"],
) -> Float64[np.ndarray, " cells"]:
    """Mean |q| over [0, 1] for quadratics q of opposite signs at 0 and 1."""
    bend = 3 * (before + after) - 6 * mean
    rise = after - before - bend
    # Newton's step from the chord's root; what it leaves matters in second order only.
    chord = before / (before - after)
    value = before + chord * (rise + chord * bend)
    slope = rise + 2 * bend * chord
    root = np.clip(chord - value / np.where(slope == 0, np.inf, slope), 0, 1)
    first = root * (before + root * (rise / 2 + root * bend / 3))
    return np.abs(first) + np.abs(mean - first)


def fixed_point(error: ErrorOfWidth, low: float, high: float) -> float:
    """The width that equals its own error: the one root of a falling function."""
    lowest = error(low)
    below, above = lowest - low, error(high) - high
    if below <= 0:
        return lowest
    for step in range(_STEPS):
        if high - low < _TOLERANCE or above >= 0:
            break
        # Every third step halves: the secant alone can creep from one side.
        width = (low * above - high * below) / (above - below)
        if step % 3 == 2 or not low < width < high:
            width = (low + high) / 2
        excess = error(width) - width
        if abs(excess) < _TOLERANCE:
            return width
        if excess > 0:
            low, below = width, excess
        else:
            high, above = width, excess
    return high
