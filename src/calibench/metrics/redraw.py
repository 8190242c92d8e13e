"""Redraw labels from a model's own probabilities: data on which it is calibrated.

Examples are sorted first, so that equal sets of predictions redraw equally in whatever
order they come, and blocks bound the memory without changing the stream of numbers.
"""

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float64, Int64

from calibench.binning import Binning, Bins, BinStats, exact_sums
from calibench.metrics.smooth import (
    cells_of,
    damped,
    integral_of_size,
    series_of_moments,
    smooth_error_of,
)

# Random numbers, or cells of a replicate, at a time.
_BLOCK = 2**20

# For a floor, a coarser grid than that of `smooth_ece` will do: with two moments and
# this many cells per kernel width a replicate is off by a few parts in ten thousand.
_CELLS_PER_WIDTH = 8
_LARGEST_GRID = 2**13
_PILOTS = 4
_CLOSE = 1e-3
_STEPS = 30


def redrawn_correct(
    confidence: Float64[np.ndarray, " examples"], replicates: int, seed: int
) -> Iterator[Bool[np.ndarray, "some_replicates examples"]]:
    """Draw a_i ~ Bernoulli(c_i), in blocks of replicates."""
    rng = np.random.default_rng(seed)
    for rows in _blocks(replicates, len(confidence)):
        yield rng.random((rows, len(confidence))) < confidence


def redrawn_bins(
    bins: Bins,
    confidence: Float64[np.ndarray, " examples"],
    replicates: int,
    seed: int,
) -> BinStats:
    """Summarize bins as `summarize` does, for replicates of redrawn correctness.

    The number right in a bin is drawn example by example (it is Poisson-binomial: the
    confidences of a bin differ, so a binomial at their mean would be too wide).
    """
    order = np.lexsort((confidence, bins.index))
    ascending, index = confidence[order], bins.index[order]
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    kept = index[starts]
    count = np.diff(starts, append=len(index))
    right, saved = [], []
    for correct in redrawn_correct(ascending, replicates, seed):
        right.append(np.add.reduceat(correct, starts, axis=1, dtype=np.int32))
        # (c - a)^2 = c^2 + a (1 - 2c) for a in {0, 1}.
        drawn = correct * (1 - 2 * ascending)
        saved.append(np.add.reduceat(drawn, starts, axis=1))
    size = bins.num_bins
    square = exact_sums(index, ascending**2, size)[kept]
    return BinStats(
        count=count.astype(np.int64),
        confidence=exact_sums(index, ascending, size)[kept] / count,
        accuracy=np.concatenate(right) / count,
        squared_gap=(square + np.concatenate(saved)) / count,
        lo=bins.edges[:-1][kept],
        hi=bins.edges[1:][kept],
    )


def redrawn_labels(
    probs: Float64[np.ndarray, "examples classes"],
    replicates: int,
    seed: int,
    cells: int = 1,
) -> Iterator[Int64[np.ndarray, "some_replicates examples"]]:
    """Draw labels from the rows of probabilities, in blocks of replicates.

    A block is small enough for `cells` numbers a replicate besides the labels.
    """
    num_examples, num_classes = probs.shape
    rng = np.random.default_rng(seed)
    width = 1 << (num_classes - 1).bit_length()
    # Padded to a power of two, so that a search by halves needs no bounds check. The
    # last class takes what rounding leaves of the row.
    cumulative = np.full((num_examples, width), np.inf)
    cumulative[:, : num_classes - 1] = np.cumsum(probs, axis=1)[:, :-1]
    flat, rows_start = cumulative.ravel(), np.arange(num_examples) * width
    for rows in _blocks(replicates, max(num_examples, cells)):
        uniform = rng.random((rows, num_examples))
        drawn = np.zeros((rows, num_examples), dtype=np.int64)
        step = width // 2
        while step:
            drawn += step * (uniform >= flat[rows_start + drawn + (step - 1)])
            step //= 2
        yield drawn


def redrawn_classwise(
    probs: Float64[np.ndarray, "examples classes"],
    num_bins: int,
    binning: Binning,
    replicates: int,
    seed: int,
) -> Float64[np.ndarray, " replicates"]:
    """`classwise_ece` of replicates whose labels are drawn from the probabilities."""
    ordered = probs[np.lexsort(probs.T)]
    num_examples, num_classes = ordered.shape
    size = num_classes * num_bins
    columns = np.ascontiguousarray(ordered.T)
    cells = np.stack([binning(column, num_bins).index for column in columns])
    cells += np.arange(num_classes)[:, None] * num_bins
    total = exact_sums(cells.ravel(), columns.ravel(), size)
    flat, example, scores = cells.ravel(), np.arange(num_examples), []
    for labels in redrawn_labels(ordered, replicates, seed, cells=size):
        hit = flat[labels * num_examples + example]
        hit += np.arange(len(labels))[:, None] * size
        hits = np.bincount(hit.ravel(), minlength=len(labels) * size)
        scores.append(np.abs(total - hits.reshape(-1, size)).sum(axis=1))
    return np.concatenate(scores) / (num_classes * num_examples)


def redrawn_smooth(
    confidence: Float64[np.ndarray, " examples"], replicates: int, seed: int
) -> Float64[np.ndarray, " replicates"]:
    """`smooth_ece` of replicates of redrawn correctness, to about 3 digits."""
    ascending = np.sort(confidence)
    size, width, scores = 0, 1.0, []
    for correct in redrawn_correct(ascending, replicates, seed):
        if not size:
            pilots = [smooth_error_of(ascending, row) for row in correct[:_PILOTS]]
            width = max(min(pilots), _CELLS_PER_WIDTH / _LARGEST_GRID)
            size = 2 ** math.ceil(math.log2(_CELLS_PER_WIDTH / width))
        series = _redrawn_series(ascending, correct, size)
        scores.append(_fixed_points(series, width))
    return np.concatenate(scores)


def _redrawn_series(
    ascending: Float64[np.ndarray, " examples"],
    correct: Bool[np.ndarray, "some_replicates examples"],
    size: int,
) -> Float64[np.ndarray, "some_replicates terms"]:
    cell, offset = cells_of(ascending, size)
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    moments = []
    for power in (np.ones_like(offset), offset):
        in_cells = np.zeros((len(correct), size))
        right = np.add.reduceat(correct * power, starts, axis=1)
        in_cells[:, cell[starts]] = np.add.reduceat(ascending * power, starts) - right
        moments.append(in_cells)
    return series_of_moments(moments) / len(ascending)


def _fixed_points(
    series: Float64[np.ndarray, "some_replicates terms"], start: float
) -> Float64[np.ndarray, " some_replicates"]:
    width = np.full((len(series), 1), start)
    for _ in range(_STEPS):
        error = integral_of_size(damped(series, width))[:, None]
        # The error falls about as width^(-1/3), so this power nearly lands on the
        # fixed point: a step is a hundred times longer than what it leaves to go.
        step = np.maximum(width**0.25 * error**0.75, 1 / series.shape[-1])
        moved = np.abs(step - width).max()
        width = step
        if moved < _CLOSE * start:
            break
    return width[:, 0]


def _blocks(replicates: int, num_examples: int) -> Iterator[int]:
    per_block = max(1, _BLOCK // num_examples)
    for start in range(0, replicates, per_block):
        yield min(per_block, replicates - start)
