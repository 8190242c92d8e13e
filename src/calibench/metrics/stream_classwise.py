"""The noise floor of class-wise errors, redrawn from the cells of the classes."""

import math

import numpy as np
from jaxtyping import Float64

from calibench.metrics.stream import MetricState
from calibench.sums import from_limbs

# Cells of replicates at a time, and in all: seconds.
_BLOCK, _MOST = 2**20, 2**26


def redrawn_classwise(
    state: MetricState, num_bins: int, replicates: int, seed: int
) -> Float64[np.ndarray, " replicates"] | None:
    """`classwise_ece` of replicates in which the labels in each cell are drawn anew.

    How many examples of a cell bear its label is drawn as a binomial at the cell's mean
    probability, in whole bins if there are too many cells. An example has one label, so
    in truth its classes are not independent, which moves no mean. Of two classes one is
    drawn, as the other is its mirror image.

    Returns:
        None where the bins of all classes are too many to draw.
    """
    classes = state.classes[:, -1:] if state.num_classes == 2 else state.classes
    binned = classes.reshape(*classes.shape[:2], num_bins, -1)
    if np.count_nonzero(classes[0]) * replicates > _MOST:
        binned = binned.sum(axis=3, keepdims=True)
        if np.count_nonzero(binned[0]) * replicates > _MOST:
            return None
    is_seen = binned[0] > 0
    count, total = binned[0][is_seen], from_limbs(binned[2:, is_seen])
    mean = np.minimum(total / count, 1.0)
    bins = np.flatnonzero(is_seen) // is_seen.shape[2]
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    sums = np.add.reduceat(total, starts)
    rng = np.random.default_rng(seed)
    scores = []
    blocks = math.ceil(replicates * len(count) / _BLOCK)
    for part in np.array_split(np.arange(replicates), blocks):
        hits = rng.binomial(count, mean, (len(part), len(count)))
        gaps = sums - np.add.reduceat(hits, starts, axis=1)
        scores.append(np.abs(gaps).sum(axis=1))
    return np.concatenate(scores) / (state.num_examples * len(classes[0]))
