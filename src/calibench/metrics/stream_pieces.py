"""The examples of a state, ascending, as finely as its two grids together part them.

The cells of the log-odds part what the cells of the confidence hold near 1, where a
sharp model has most of its examples.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

from calibench.metrics.cells import NUM_CELLS, odds_confidence
from calibench.metrics.stream_top import TopLabelState
from calibench.metrics.sweep import Groups

Numbers: TypeAlias = Float64[np.ndarray, " pieces"]
Whole: TypeAlias = Int64[np.ndarray, " pieces"]


@dataclass(frozen=True, eq=False)
class Pieces:
    """What lies in one cell of the confidence and one of the log-odds, ascending.

    How many examples of a state lie below an edge of either grid is known, so it is
    known how many lie between two such edges, and how many of them are right. The sum
    of their confidences is known for whole cells of the confidence alone. Within one, a
    piece takes its share: each of its confidences stands equally far up its piece.

    Attributes:
        cell: The cell of the confidence, among the occupied ones.
        count: Examples, at least 1.
        right: Right ones.
        low: No confidence is below.
        high: None is above.
        total: The sum of confidences, good to `slack`.
        slack: How far that can be off; 0 for whole cells.
        limbs: For each occupied cell, the sum of its confidences as two integers.
    """

    cell: Whole
    count: Whole
    right: Whole
    low: Numbers
    high: Numbers
    total: Numbers
    slack: Numbers
    limbs: Int64[np.ndarray, "limbs=2 cells"]

    @classmethod
    def of(cls, state: TopLabelState) -> "Pieces":
        """The pieces of a state that has seen examples."""
        some, odds = state.cells.occupied, np.flatnonzero(state.odds[0])
        cells = np.flatnonzero(state.cells.count)
        in_cells, in_odds = np.cumsum(some.count), np.cumsum(state.odds[0, odds])
        right_upto = [np.cumsum(some.right), np.cumsum(state.odds[1, odds])]
        # Both count lower ends of one order, so equal counts are equal sets.
        ends = np.concatenate([in_cells, in_odds])
        upto, first = np.unique(ends, return_index=True)
        right = np.diff(np.concatenate(right_upto)[first], prepend=0)
        cell = np.searchsorted(in_cells, upto)
        low, high = odds_confidence(odds[np.searchsorted(in_odds, upto)])
        low = np.maximum(low, cells[cell] / NUM_CELLS)
        high = np.minimum(high, (cells[cell] + 1) / NUM_CELLS)
        count = np.diff(upto, prepend=0)
        total, slack = _shared(cell, count, low, high, some.confidence)
        return cls(cell, count, right, low, high, total, slack, some.rows[2:4])

    @cached_property
    def groups(self) -> Groups:
        """As the groups of a sweep."""
        return Groups(self.count, self.total)

    @cached_property
    def mean(self) -> Numbers:
        """The mean confidence of each piece."""
        return np.minimum(self.total / self.count, 1.0)

    @property
    def cell_starts(self) -> Whole:
        """The first piece of each occupied cell of the confidence."""
        return np.flatnonzero(np.diff(self.cell, prepend=-1))

    def redrawn_right(
        self, replicates: int, seed: int
    ) -> Int64[np.ndarray, "replicates pieces"]:
        """Draw how many examples of each piece are right, if calibrated."""
        rng = np.random.default_rng(seed)
        return rng.binomial(self.count, self.mean, (replicates, len(self.count)))


def _shared(
    cell: Whole,
    count: Whole,
    low: Numbers,
    high: Numbers,
    sums: Float64[np.ndarray, " cells"],
) -> tuple[Numbers, Numbers]:
    """The sum of confidences of each piece, and how far it can be off."""
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    least, room = count * low, count * (high - low)
    rooms = np.add.reduceat(room, starts)
    above = sums - np.add.reduceat(least, starts)
    up = np.clip(above / np.where(rooms > 0, rooms, 1.0), 0.0, 1.0)[cell]
    is_whole = np.diff(np.append(starts, len(cell)))[cell] == 1
    total = np.where(is_whole, sums[cell], least + up * room)
    return total, np.where(is_whole, 0.0, room * np.maximum(up, 1 - up))
