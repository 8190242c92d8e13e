"""Redraw correctness from a model's own confidence: data on which it is calibrated.

Examples are sorted first, so that equal sets of predictions redraw equally in whatever
order they come, and blocks bound the memory without changing the stream of numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from calibench.binning import Bins, BinStats
from calibench.predictions import Counts
from calibench.sums import counted, exact_sums

Right: TypeAlias = (
    Bool[np.ndarray, "some_replicates examples"]
    | Int64[np.ndarray, "some_replicates examples"]
)

# Up to so many repetitions of each example on average they are drawn one by one.
_ONE_BY_ONE = 4

# Random numbers at a time.
_BLOCK = 2**20

# Draws that are kept, a bit each: 32 MB.
_MOST_KEPT = 2**28


def redrawn_correct(
    confidence: Float64[np.ndarray, " examples"], replicates: int, seed: int
) -> Iterator[Bool[np.ndarray, "some_replicates examples"]]:
    """Draw a_i ~ Bernoulli(c_i), in blocks of replicates."""
    rng = np.random.default_rng(seed)
    for rows in blocks_of(replicates, len(confidence)):
        yield rng.random((rows, len(confidence))) < confidence


def redrawn_right(
    confidence: Float64[np.ndarray, " examples"],
    replicates: int,
    seed: int,
    counts: Counts | None,
) -> Iterator[Right]:
    """Draw how many repetitions of each example are right, in blocks of replicates."""
    if counts is None:
        yield from redrawn_correct(confidence, replicates, seed)
        return
    if counts.sum() <= _ONE_BY_ONE * len(counts):
        # The same numbers as for repeated examples, and sooner than binomials.
        starts, drawn = np.cumsum(counts) - counts, np.repeat(confidence, counts)
        for correct in redrawn_correct(drawn, replicates, seed):
            yield np.add.reduceat(correct, starts, axis=1, dtype=np.int64)
        return
    rng = np.random.default_rng(seed)
    for rows in blocks_of(replicates, len(confidence)):
        yield rng.binomial(counts, confidence, (rows, len(confidence)))


@dataclass(frozen=True, eq=False)
class Drawing:
    """Replicates of redrawn correctness, of which several numbers are to be scored.

    They are drawn once and kept as bits, if they are not too many for that.

    Attributes:
        confidence: Of each example.
        replicates: How many data sets to redraw.
        seed: Of the redrawing.
        counts: How often each example is there, at least once; None for once.
    """

    confidence: Float64[np.ndarray, " examples"]
    replicates: int
    seed: int
    counts: Counts | None = None

    @cached_property
    def order(self) -> Int64[np.ndarray, " examples"]:
        """The examples by ascending confidence, and by counts where it is equal."""
        if self.counts is None:
            return np.argsort(self.confidence)
        return np.lexsort((self.counts, self.confidence))

    @cached_property
    def ascending(self) -> Float64[np.ndarray, " examples"]:
        """The confidences in that order."""
        return self.confidence[self.order]

    @cached_property
    def many(self) -> Counts | None:
        """The counts in that order."""
        return None if self.counts is None else self.counts[self.order]

    def right(self) -> Iterator[Right]:
        """How many repetitions of each are right, in that order, in blocks."""
        if self.counts is not None or self.replicates * len(self.order) > _MOST_KEPT:
            yield from redrawn_right(
                self.ascending, self.replicates, self.seed, self.many
            )
            return
        for bits in self._kept:
            correct = np.unpackbits(bits, axis=1, count=len(self.order))
            yield correct.view(np.bool_)

    @cached_property
    def _kept(self) -> list[UInt8[np.ndarray, "some_replicates bytes"]]:
        drawn = redrawn_correct(self.ascending, self.replicates, self.seed)
        return [np.packbits(correct, axis=1) for correct in drawn]


def redrawn_bins(bins: Bins, drawing: Drawing, *, squares: bool = True) -> BinStats:
    """Summarize bins as `summarize` does, for replicates of redrawn correctness.

    The number right in a bin is drawn example by example (it is Poisson-binomial: the
    confidences of a bin differ, so a binomial at their mean would be too wide). An
    example of weight w is there w times, each drawn by itself.

    Args:
        bins: Of the examples.
        drawing: What to draw.
        squares: Whether squared gaps are asked for; they are not numbers if not.
    """
    index, right = bins.index[drawing.order], drawing.right
    ascending, many = drawing.ascending, drawing.many
    if (np.diff(index) < 0).any():
        # Bins that do not rise with the confidence are drawn one after the other.
        ranks = drawing.confidence if drawing.counts is None else drawing.counts
        order = np.lexsort((ranks, drawing.confidence, bins.index))
        index, ascending = bins.index[order], drawing.confidence[order]
        many = None if drawing.counts is None else drawing.counts[order]
        right = partial(
            redrawn_right, ascending, drawing.replicates, drawing.seed, many
        )
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    kept, size = index[starts], bins.num_bins
    count = counted(index, size, many)[kept]
    narrow = np.int32 if many is None else np.int64
    hits, saved = [], []
    for correct in right():
        hits.append(np.add.reduceat(correct, starts, axis=1, dtype=narrow))
        if squares:
            # (c - a)^2 = c^2 + a (1 - 2c) for a in {0, 1}.
            drawn = correct * (1 - 2 * ascending)
            saved.append(np.add.reduceat(drawn, starts, axis=1))
    accuracy = np.concatenate(hits) / count
    squared = np.full_like(accuracy, np.nan)
    if squares:
        square = exact_sums(index, ascending**2, size, many)[kept]
        squared = (square + np.concatenate(saved)) / count
    return BinStats(
        count=count,
        confidence=exact_sums(index, ascending, size, many)[kept] / count,
        accuracy=accuracy,
        squared_gap=squared,
        lo=bins.edges[:-1][kept],
        hi=bins.edges[1:][kept],
    )


def blocks_of(replicates: int, width: int, block: int | None = None) -> Iterator[int]:
    """How many replicates of that many numbers fit into each block, one at least."""
    per_block = max(1, (block or _BLOCK) // width)
    for start in range(0, replicates, per_block):
        yield min(per_block, replicates - start)
