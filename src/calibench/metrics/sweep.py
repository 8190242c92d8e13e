"""Calibration error with as many bins as keep the accuracies ascending."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

from calibench.metrics.calibration_error import Error, top_label_ece
from calibench.metrics.redraw import Drawing
from calibench.predictions import Counts, Predictions
from calibench.signatures import of_predictions

# As for every binning here.
MOST_BINS = 10_000
# A sweep that comes so far is likely to go on to the end.
_MANY = 64


@of_predictions
def ece_sweep(some: Predictions) -> float:
    """Expected calibration error in the most equal-mass bins whose accuracies ascend.

    `top_label_ece` with `scheme="equal_mass"` and `sweep_num_bins(some)` bins. A
    reliability curve should rise, so bins are made finer until noise makes it fall:
    fewer bins where examples are few. It is still not 0 for a calibrated model, and
    where the true curve falls it sees one bin.

    Returns:
        A fraction in [0, 1].

    Source:
        Roelofs et al. 2022, algorithm 1, for l1; bins and ties are those of our
        `equal_mass` (theirs cut ties by their order in memory).

    Example:
        Two bins fall (right, then wrong), so there is one: |0.75 - 0.5|.

        >>> some = Predictions.from_probs([[0.625, 0.375], [0.875, 0.125]], [0, 1])
        >>> ece_sweep(some)
        0.25
    """
    num_bins = sweep_num_bins(some)
    return top_label_ece(some, num_bins=num_bins, scheme="equal_mass")


@of_predictions
def sweep_num_bins(some: Predictions) -> int:
    """The number of bins of `ece_sweep`.

    It starts at 1, goes up by 1, and stops below the first number at which a bin is
    less accurate than the bin below it; equal accuracies ascend, empty bins do not
    count. If none falls: as many as there are examples, but at most 10,000.

    Source:
        Roelofs et al. 2022: the largest b up to n such that b and all numbers below it
        ascend. (Their code never tries b = n.)

    Example:
        >>> rows = [[0.625, 0.375], [0.75, 0.25], [0.875, 0.125]]
        >>> sweep_num_bins(Predictions.from_probs(rows, [1, 0, 0]))
        3
    """
    some = some.present
    groups, order, starts = Groups.of(some.confidence, some.counts)
    times = 1 if some.counts is None else some.counts
    right = np.add.reduceat((some.correct * times)[order], starts, dtype=np.int64)
    return int(largest_ascending(groups, right[None])[0])


@dataclass(frozen=True, eq=False)
class Groups:
    """Examples by ascending confidence; those of a group are never parted.

    Attributes:
        count: How many examples each group has, repetitions included, at least 1.
        total: The sum of their confidences.
    """

    count: Int64[np.ndarray, " groups"]
    total: Float64[np.ndarray, " groups"]

    @classmethod
    def of(
        cls, confidence: Float64[np.ndarray, " examples"], counts: Counts | None = None
    ) -> tuple["Groups", Int64[np.ndarray, " examples"], Int64[np.ndarray, " groups"]]:
        """A group for each distinct confidence; the sorting order; where each starts.

        Args:
            confidence: Of each example.
            counts: How often each is there, at least once.
        """
        if counts is None:
            order = np.argsort(confidence)
        else:
            # By counts too, so that drawn replicates don't depend on the order of rows.
            order = np.lexsort((counts, confidence))
        ascending = confidence[order]
        starts = np.flatnonzero(np.diff(ascending, prepend=-1.0))
        count = np.diff(starts, append=len(ascending))
        if counts is not None:
            count = np.add.reduceat(counts[order], starts)
        return cls(count, count * ascending[starts]), order, starts

    @cached_property
    def upto(self) -> Int64[np.ndarray, " groups_and_1"]:
        """Examples below each group, and all of them."""
        return np.concatenate([[0], np.cumsum(self.count)])

    @property
    def lowest_rank(self) -> Int64[np.ndarray, " groups"]:
        """The rank of the first example of each group, from 0."""
        return self.upto[:-1]

    @property
    def most_bins(self) -> int:
        """The most bins that are tried."""
        return min(int(self.upto[-1]), MOST_BINS)

    def starts(self, num_bins: int) -> Int64[np.ndarray, " occupied_bins"]:
        """The first group of each bin of `equal_mass` that is not empty."""
        # Rank r is in bin floor(r M / n), so bin b starts at rank ceil(b n / M).
        first = -(-np.arange(num_bins) * self.upto[-1] // num_bins)
        if len(self.count) == self.upto[-1]:
            return first  # without ties, ranks are groups
        starts = np.searchsorted(self.lowest_rank, first)
        starts = starts[starts < len(self.count)]
        return starts[np.diff(starts, prepend=-1) > 0]


def largest_ascending(
    groups: Groups, right: Int64[np.ndarray, "replicates groups"]
) -> Int64[np.ndarray, " replicates"]:
    """`sweep_num_bins` from how many of each group are right."""
    replicates = len(right)
    upto = np.zeros((replicates, right.shape[1] + 1), dtype=np.int64)
    np.cumsum(right, axis=1, out=upto[:, 1:])
    found = np.ones(replicates, dtype=np.int64)
    rising = np.arange(replicates)
    for num_bins in range(2, groups.most_bins + 1):
        ascend = _ascend(groups, upto, groups.starts(num_bins), rising)
        rising = rising[ascend]
        if not len(rising):
            break
        found[rising] = num_bins
        if num_bins == _MANY:
            # Where the groups themselves ascend, so do all bins made of them.
            finest = _ascend(groups, upto, np.arange(len(groups.count)), rising)
            found[rising[finest]] = groups.most_bins
            rising = rising[~finest]
    return found


def redrawn_sweep(drawing: Drawing) -> Error:
    """`ece_sweep` of replicates of redrawn correctness, each with its own bins."""
    groups, _, starts = Groups.of(drawing.confidence, drawing.counts)
    scores = []
    for each in drawing.right():
        if len(starts) == each.shape[1]:
            right = each.astype(np.int64)
        else:
            right = np.add.reduceat(each, starts, axis=1, dtype=np.int64)
        scores.append(swept_error(groups, right))
    return np.concatenate(scores)


def swept_error(
    groups: Groups, right: Int64[np.ndarray, "replicates groups"]
) -> Float64[np.ndarray, " replicates"]:
    """`ece_sweep` from how many of each group are right."""
    chosen = largest_ascending(groups, right)
    found = np.empty(len(right))
    for num_bins in np.unique(chosen).tolist():
        rows, starts = chosen == num_bins, groups.starts(num_bins)
        total = np.add.reduceat(groups.total, starts)
        hits = np.add.reduceat(right[rows], starts, axis=1)
        found[rows] = np.abs(total - hits).sum(axis=1) / groups.upto[-1]
    return found


def _ascend(
    groups: Groups,
    upto: Int64[np.ndarray, "replicates groups_and_1"],
    starts: Int64[np.ndarray, " bins"],
    rows: Int64[np.ndarray, " some_replicates"],
) -> Bool[np.ndarray, " some_replicates"]:
    ends = np.append(starts, len(groups.count))
    # Rounded quotients order as the fractions do, up to 2^26 examples in a bin.
    accuracy = np.diff(upto[rows[:, None], ends]) / np.diff(groups.upto[ends])
    return (np.diff(accuracy, axis=1) >= 0).all(axis=1)
