"""Redraw labels from a model's own probabilities: data on which it is calibrated.

Examples are sorted first, so that equal sets of predictions redraw equally in whatever
order they come, and blocks bound the memory without changing the stream of numbers.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float64, Int64

from calibench.binning import Bins, BinStats, exact_sums

# Random numbers drawn at a time.
_BLOCK = 2**20


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
    probs: Float64[np.ndarray, "examples classes"], replicates: int, seed: int
) -> Iterator[Int64[np.ndarray, "some_replicates examples"]]:
    """Draw labels from the rows of probabilities, in blocks of replicates."""
    num_examples, num_classes = probs.shape
    rng = np.random.default_rng(seed)
    width = 1 << (num_classes - 1).bit_length()
    # Padded to a power of two, so that a search by halves needs no bounds check. The
    # last class takes what rounding leaves of the row.
    cumulative = np.full((num_examples, width), np.inf)
    cumulative[:, : num_classes - 1] = np.cumsum(probs, axis=1)[:, :-1]
    flat, rows_start = cumulative.ravel(), np.arange(num_examples) * width
    for rows in _blocks(replicates, num_examples):
        uniform = rng.random((rows, num_examples))
        drawn = np.zeros((rows, num_examples), dtype=np.int64)
        step = width // 2
        while step:
            drawn += step * (uniform >= flat[rows_start + drawn + (step - 1)])
            step //= 2
        yield drawn


def _blocks(replicates: int, num_examples: int) -> Iterator[int]:
    per_block = max(1, _BLOCK // num_examples)
    for start in range(0, replicates, per_block):
        yield min(per_block, replicates - start)
