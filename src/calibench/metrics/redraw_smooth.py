"""The smooth calibration error of redrawn data, to about three digits."""

import math

import numpy as np
from jaxtyping import Bool, Float64, Int64

from calibench.metrics.redraw import Drawing, Right
from calibench.metrics.smooth import (
    cells_of,
    mean_size,
    series_of_moments,
)

# For a floor, a coarser grid than that of `smooth_ece` will do: with two moments and
# this many cells per kernel width a replicate is off by a few parts in ten thousand.
_CELLS_PER_WIDTH = 8
_FIRST_GRID, _LARGEST_GRID = 2**9, 2**13
# Terms of the series of replicates at a time.
_BLOCK = 2**20
_PILOTS = 4
# Up to so many uncertain examples, replicates that are alike are scored once.
_FEW = 16
_CLOSE = 1e-3
_STEPS = 30
# exp(-9^2 / 2) is 3e-18: what damps terms so much leaves nothing of them.
_NEGLIGIBLE = 9.0


def redrawn_smooth(drawing: Drawing) -> Float64[np.ndarray, " replicates"]:
    """`smooth_ece` of replicates of redrawn correctness, to about 3 digits."""
    ascending, many = drawing.ascending, drawing.many
    expected = ascending if many is None else many * ascending
    total = len(ascending) if many is None else int(many.sum())
    size, width, scores = 0, 1.0, []
    for right in drawing.right():
        if not size:
            width = _least_width(ascending, expected, right[:_PILOTS], total)
            size = 2 ** math.ceil(math.log2(_CELLS_PER_WIDTH / width))
        first, which = _distinct(right, ascending < 1)
        found = []
        for some in np.array_split(right[first], math.ceil(len(first) * size / _BLOCK)):
            series = _redrawn_series(ascending, expected, some, size) / total
            found.append(_fixed_points(series, width))
        scores.append(np.concatenate(found)[which])
    return np.concatenate(scores)


def _distinct(
    right: Right, uncertain: Bool[np.ndarray, " examples"]
) -> tuple[Int64[np.ndarray, " distinct"], Int64[np.ndarray, " some_replicates"]]:
    """The replicates that differ, and which of them each replicate is.

    Few uncertain examples are redrawn alike again and again, and the small errors of
    certain ones take the longest series.
    """
    if np.count_nonzero(uncertain) > _FEW:
        every = np.arange(len(right))
        return every, every
    # The certain ones are all right, so the first column may stand for them.
    varied = right[:, uncertain | (np.arange(right.shape[1]) == 0)]
    _, first, which = np.unique(varied, axis=0, return_index=True, return_inverse=True)
    return first, which.ravel()


def _least_width(
    ascending: Float64[np.ndarray, " examples"],
    expected: Float64[np.ndarray, " examples"],
    pilots: Right,
    total: int,
) -> float:
    """The smallest smooth error of a few replicates, on a grid fine enough for it."""
    size = _FIRST_GRID
    while True:
        series = _redrawn_series(ascending, expected, pilots, size) / total
        width = float(_fixed_points(series, _CELLS_PER_WIDTH / size).min())
        if width * size >= _CELLS_PER_WIDTH:
            return width
        if size == _LARGEST_GRID:
            return _CELLS_PER_WIDTH / _LARGEST_GRID
        size *= 4


def _redrawn_series(
    ascending: Float64[np.ndarray, " examples"],
    expected: Float64[np.ndarray, " examples"],
    redrawn: Right,
    size: int,
) -> Float64[np.ndarray, "some_replicates terms"]:
    cell, offset = cells_of(ascending, size)
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    moments = []
    for power, right in (
        (1.0, np.add.reduceat(redrawn, starts, axis=1, dtype=np.int64)),
        (offset, np.add.reduceat(redrawn * offset, starts, axis=1)),
    ):
        in_cells = np.zeros((len(redrawn), size))
        in_cells[:, cell[starts]] = np.add.reduceat(expected * power, starts) - right
        moments.append(in_cells)
    return series_of_moments(moments)


def _fixed_points(
    series: Float64[np.ndarray, "some_replicates terms"], start: float
) -> Float64[np.ndarray, " some_replicates"]:
    width = np.full((len(series), 1), start)
    for _ in range(_STEPS):
        error = _damped_size(series, width)[:, None]
        # The error falls about as width^(-1/3), so this power nearly lands on the
        # fixed point: a step is a hundred times longer than what it leaves to go.
        step = np.maximum(width**0.25 * error**0.75, 1 / series.shape[-1])
        moved = np.abs(step - width).max()
        width = step
        if moved < _CLOSE * start:
            break
    return width[:, 0]


def _damped_size(
    series: Float64[np.ndarray, "some_replicates terms"],
    width: Float64[np.ndarray, "some_replicates 1"],
) -> Float64[np.ndarray, " some_replicates"]:
    """`integral_of_size` of `damped`, to rounding, in one transform of fewer terms."""
    size = series.shape[-1] - 1
    terms = min(size, math.ceil(_NEGLIGIBLE / (math.pi * float(width.min()))))
    frequency = np.pi * np.arange(terms + 1)
    kept = series[:, : terms + 1] * np.exp(-0.5 * (frequency * width) ** 2)
    # A cosine series and, as a sine series, its antiderivative: the even and the odd
    # part of what comes back.
    both = np.empty(kept.shape, dtype=np.complex128)
    both.real = kept
    both.imag[:, 0] = 0
    both.imag[:, 1:] = -kept[:, 1:] / frequency[1:]
    wave = np.fft.irfft(both, 2 * size) * size
    ahead = wave[:, : size + 1]
    behind = np.concatenate([wave[:, :1], wave[:, : size - 1 : -1]], axis=1)
    mean = np.diff(ahead - behind, axis=1) * size + kept[:, :1]
    return mean_size(ahead + behind, mean)
