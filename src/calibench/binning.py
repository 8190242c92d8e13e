"""Assign examples to confidence bins, and summarize each bin: the only code that does.

Sums are taken in fixed point (see `sums`), so that a summary is a function of the
multiset of examples: the same bits for every order, sharding and thread count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64

from calibench.errors import ParameterError
from calibench.options import whole_number
from calibench.sums import counted, exact_sums
from calibench.validation import member
from calibench.weights import Weights

Confidence: TypeAlias = Float64[np.ndarray, " examples"]
Correct: TypeAlias = Bool[np.ndarray, " examples"]
BinIndex: TypeAlias = Int[np.ndarray, " examples"]
Counts: TypeAlias = Int64[np.ndarray, " bins"] | Float64[np.ndarray, " bins"]

# Shares of the total weight this close below a whole number of bins count as that.
_ROUNDING = 1e-12

# Redrawing a summary takes memory for every bin a thousand times over.
_MOST_BINS = 10_000


@dataclass(frozen=True, eq=False)
class Bins:
    """A bin for every example: bin b holds confidences in (edges[b], edges[b + 1]].

    Attributes:
        index: The bin of each example, in 0..num_bins - 1.
        edges: Ascending from 0 to 1. Confidence 0 belongs to the first bin. Empty
            equal-mass bins have no width.
    """

    index: BinIndex
    edges: Float64[np.ndarray, " edges"]

    @property
    def num_bins(self) -> int:
        """How many bins there are, empty ones included."""
        return len(self.edges) - 1


Binning: TypeAlias = Callable[[Confidence, int], Bins]


def equal_width(confidence: Confidence, num_bins: int) -> Bins:
    """Bin b holds confidences in (b / num_bins, (b + 1) / num_bins].

    Confidence 0 goes to the first bin and confidence 1 to the last. An edge is the
    float64 nearest to b / num_bins, and confidences are compared with that float64: a
    confidence of `5 / 15` is on the fifth edge of 15 bins and belongs below it.
    (`np.linspace` puts some edges one rounding off, at 0.6000000000000001 for 0.6.)

    Raises:
        ParameterError: `num_bins` is not in 1..10000.

    Source:
        Guo et al. 2017; the treatment of 0 is our choice.

    Example:
        >>> equal_width(np.array([0.0, 0.25, 0.26, 1.0]), 4).index.tolist()
        [0, 0, 1, 3]
    """
    _check_num_bins(num_bins)
    edges = _edges(num_bins)
    return Bins(np.searchsorted(edges[1:-1], confidence, side="left"), edges)


def equal_width_index(values: Confidence, num_bins: int) -> BinIndex:
    """The index of `equal_width` without a search, for grids of many bins.

    The product v * num_bins is rounded, so on or just below an edge it may reach the
    next bin, and never falls short: one comparison with the edge itself settles it.

    Example:
        >>> equal_width_index(np.array([0.0, 0.25, 0.26, 1.0]), 4).tolist()
        [0, 0, 1, 3]
    """
    index = np.minimum((values * num_bins).astype(np.int64), num_bins - 1)
    index -= (values <= _edges(num_bins)[index]) & (index > 0)
    return index


def equal_mass(
    confidence: Confidence, num_bins: int, weights: Weights | None = None
) -> Bins:
    """Bins hold equally many examples; equal confidences share a bin.

    An example of rank r (from 0, of n) belongs to bin floor(r * num_bins / n), where
    all of a group of equal confidences take the lowest rank of the group. So the bins
    depend neither on the order of the examples nor on repeating all of them, and
    heavy ties leave some bins empty. With weights the rank is the weight of all lower
    confidences and n the total weight.

    Args:
        confidence: Of each example.
        num_bins: How many bins.
        weights: How often each example is there, above 0.

    Raises:
        ParameterError: `num_bins` is not in 1..10000.

    Source:
        Nixon et al. 2019; keeping ties together is our choice.

    Example:
        >>> equal_mass(np.array([0.9, 0.6, 0.9, 0.7]), 2).index.tolist()
        [1, 0, 1, 0]
        >>> equal_mass(np.array([0.9, 0.6, 0.9, 0.9]), 2).index.tolist()
        [0, 0, 0, 0]
    """
    _check_num_bins(num_bins)
    num_examples = len(confidence)
    order = np.argsort(confidence, kind="stable")
    ascending = confidence[order]
    tied = np.zeros(num_examples, dtype=bool)
    tied[1:] = ascending[1:] == ascending[:-1]
    if weights is None:
        lowest_rank = np.maximum.accumulate(np.where(tied, 0, np.arange(num_examples)))
        ascending_bins = lowest_rank * num_bins // num_examples
    else:
        ascending_bins = _weighted_bins(weights[order], tied, num_bins)
    index = np.empty(num_examples, dtype=np.int64)
    index[order] = ascending_bins
    # A bin ends at the largest confidence in it, the last one at 1.
    ends = np.searchsorted(ascending_bins, np.arange(num_bins), side="right") - 1
    upper = np.where(ends == num_examples - 1, 1.0, ascending[ends])
    return Bins(index, np.concatenate([[0.0], upper]))


def _weighted_bins(
    weights: Weights, tied: Bool[np.ndarray, " examples"], num_bins: int
) -> Int64[np.ndarray, " examples"]:
    upto = np.cumsum(weights)
    below = np.maximum.accumulate(np.where(tied, 0, upto - weights))
    if weights.dtype.kind == "i":
        return np.asarray(below * num_bins // upto[-1])
    share = np.floor(below / upto[-1] * num_bins + _ROUNDING * num_bins)
    return np.minimum(share, num_bins - 1).astype(np.int64)


SCHEMES: dict[str, Binning] = {"equal_width": equal_width, "equal_mass": equal_mass}


def scheme_named(scheme: str | Binning) -> Binning:
    """Look a scheme up by name; a binning function stands for itself.

    Raises:
        ParameterError: There is no scheme of that name.
    """
    if callable(scheme):
        return scheme
    return SCHEMES[member(scheme, tuple(SCHEMES), "scheme")]


def lay(
    scheme: str | Binning,
    confidence: Confidence,
    num_bins: int,
    weights: Weights | None = None,
) -> Bins:
    """Lay bins by a scheme for examples with weights, which are above 0.

    Raises:
        ParameterError: There is no scheme of that name, or it is a function of the
            caller's that would not see the weights.
    """
    binning = scheme_named(scheme)
    if binning is equal_mass:
        return equal_mass(confidence, num_bins, weights)
    if binning is not equal_width and weights is not None:
        msg = (
            "a binning function of your own does not see the weights. Repeat the rows, "
            f"or choose a scheme from {', '.join(SCHEMES)}."
        )
        raise ParameterError(msg)
    return binning(confidence, num_bins)


@dataclass(frozen=True, eq=False)
class BinStats:
    """What a reliability diagram shows: one entry per non-empty bin.

    Attributes:
        count: Examples in the bin, repetitions included, so at least 1; their total
            weight, in float64, where weights are not whole numbers.
        confidence: Their mean confidence.
        accuracy: The share of them that is correct; a leading axis for resampled data.
        squared_gap: The mean over them of (confidence - correct)^2, likewise.
        lo: The edge below the bin, not part of it (but 0 belongs to the first bin).
        hi: The edge above, part of it.
    """

    count: Counts
    confidence: Float64[np.ndarray, " bins"]
    accuracy: Float64[np.ndarray, "*batch bins"]
    squared_gap: Float64[np.ndarray, "*batch bins"]
    lo: Float64[np.ndarray, " bins"]
    hi: Float64[np.ndarray, " bins"]

    @property
    def gap(self) -> Float64[np.ndarray, "*batch bins"]:
        """Confidence minus accuracy: positive where the model is over-confident."""
        return self.confidence - self.accuracy

    @property
    def weight(self) -> Float64[np.ndarray, " bins"]:
        """Share of all examples that fall in the bin."""
        return self.count / self.count.sum()


def summarize(
    bins: Bins,
    confidence: Confidence,
    correct: Correct,
    weights: Weights | None = None,
) -> BinStats:
    """Average confidence and correctness within each non-empty bin.

    Each example counts as often as its weight says.

    Example:
        >>> confidence = np.array([0.5, 0.75, 1.0])
        >>> bins = equal_width(confidence, 2)
        >>> stats = summarize(bins, confidence, np.array([False, True, True]))
        >>> stats.count.tolist(), stats.gap.tolist(), stats.lo.tolist()
        ([1, 2], [0.5, -0.125], [0.0, 0.5])
    """
    index, size = bins.index, bins.num_bins
    count = counted(index, size, weights)
    kept = count > 0
    some = count[kept]
    weights_right = None if weights is None else weights[correct]
    right = counted(index[correct], size, weights_right)[kept]
    total = exact_sums(index, confidence, size, weights)[kept]
    squared = exact_sums(index, (confidence - correct) ** 2, size, weights)[kept]
    return BinStats(
        count=some,
        confidence=total / some,
        accuracy=right / some,
        squared_gap=squared / some,
        lo=bins.edges[:-1][kept],
        hi=bins.edges[1:][kept],
    )


def _edges(num_bins: int) -> Float64[np.ndarray, " edges"]:
    return np.arange(num_bins + 1) / num_bins


def _check_num_bins(num_bins: int) -> None:
    whole_number(num_bins, "num_bins", 1, _MOST_BINS, " Usual is 15.")
