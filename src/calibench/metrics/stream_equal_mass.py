"""Equal-mass bins of a metric state, and how far their error can be off."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from calibench.binning import BinStats
from calibench.metrics.calibration_error import mean_size
from calibench.metrics.stream_pieces import Pieces
from calibench.sums import from_limbs


@dataclass(frozen=True, eq=False)
class MassBins:
    """Bins of equal mass in which the examples of a piece stay together.

    Attributes:
        pieces: What they are made of.
        bins: The bin of each piece, from 0 to M - 1; some may be empty.
        num_bins: M.
    """

    pieces: Pieces
    bins: Int64[np.ndarray, " pieces"]
    num_bins: int

    @classmethod
    def of(cls, pieces: Pieces, num_bins: int) -> "MassBins":
        """Lay bins as `binning.equal_mass` does, by the lowest rank of each piece."""
        upto = pieces.groups.upto
        return cls(pieces, upto[:-1] * num_bins // upto[-1], num_bins)

    @property
    def starts(self) -> Int64[np.ndarray, " occupied_bins"]:
        """The first piece of each bin that is not empty."""
        return np.flatnonzero(np.diff(self.bins, prepend=-1))

    @property
    def stats(self) -> BinStats:
        """Summaries; squared gaps are as if a piece were of one confidence."""
        pieces, starts = self.pieces, self.starts
        count, right = self._added(pieces.count), self._added(pieces.right)
        wrong = pieces.count - pieces.right
        square = wrong * pieces.mean**2 + pieces.right * (1 - pieces.mean) ** 2
        ends = pieces.high[np.append(starts[1:], len(self.bins)) - 1]
        return BinStats(
            count=count,
            confidence=self._totals / count,
            accuracy=right / count,
            squared_gap=self._added(square) / count,
            lo=np.concatenate([[0.0], ends[:-1]]),
            hi=ends,
        )

    @property
    def error(self) -> float:
        """The mean size of the gaps, as of `top_label_ece`."""
        return float(mean_size(self.stats))

    @property
    def bound(self) -> float:
        """How far `error` can be from that of the examples themselves.

        The bins of memory differ in two ways: examples of a piece in which a bin ends
        may be in a later bin, unless the piece is a single confidence; and in a cell of
        the confidence that two bins share, the sums of confidences of its pieces may
        differ by their slack, one for another. Either moves a sum of gaps from one bin
        to others, by so much at most. Where all of these bins are, whatever moves,
        over-confident, or all under-confident, that leaves their sizes together as they
        are; elsewhere they change by the size of what moves, in every bin that it
        moves.
        """
        pieces, here = self.pieces, self._index
        upto = pieces.groups.upto
        last = (upto[1:] - 1) * self.num_bins // upto[-1]
        ends = (last - self.bins) * (pieces.high > pieces.low)
        over = (pieces.count - pieces.right) * pieces.high
        under = pieces.right * (1 - pieces.low)
        most = np.where(ends > 0, np.maximum(over, under), 0.0)
        slack = np.where(self._is_shared, pieces.slack, 0.0)
        received = np.zeros(len(self.starts) + 1)
        np.add.at(received, here + 1, np.where(ends > 1, over + under, most))
        reach = self._added(most + slack) + received[:-1]
        gap = self._totals - self._added(pieces.right)
        sign = np.append(np.where(np.abs(gap) > reach, np.sign(gap), 0), 0)
        # The bin after that of a piece, if it is not empty.
        first = np.append(self.bins[self.starts], -1)
        is_next = first[here + 1] == self.bins + 1
        is_kept = is_next & (ends == 1) & (sign[here] == sign[here + 1])
        is_kept &= sign[here] != 0
        moved = np.where(ends > 1, most + over + under, 2 * most)
        uneven = slack[~self._is_of_one_sign(sign)].sum()
        return float(moved[~is_kept].sum() + uneven) / int(upto[-1])

    def redrawn(
        self, right: Int64[np.ndarray, "replicates pieces"]
    ) -> Float64[np.ndarray, " replicates"]:
        """The errors of replicates of `Pieces.redrawn_right`."""
        gaps = self._totals - np.add.reduceat(right, self.starts, axis=1)
        return np.asarray(np.abs(gaps).sum(axis=1) / self.pieces.groups.upto[-1])

    def _added(self, values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, self.starts)

    @property
    def _index(self) -> Int64[np.ndarray, " pieces"]:
        """Which of the bins that are not empty a piece is in."""
        return np.cumsum(np.diff(self.bins, prepend=self.bins[0]) > 0)

    @property
    def _is_shared(self) -> Bool[np.ndarray, " pieces"]:
        """Whether the cell of the confidence around a piece is in two bins or more."""
        first, last = self._ends_of_cells(self.bins)
        return np.asarray(first < last)

    def _is_of_one_sign(self, sign: np.ndarray) -> Bool[np.ndarray, " pieces"]:
        """Whether the bins of the cell around a piece have one known sign."""
        first, last = self._ends_of_cells(self._index)
        changes = np.cumsum(np.diff(sign, prepend=sign[0]) != 0)
        return np.asarray((changes[first] == changes[last]) & (sign[first] != 0))

    def _ends_of_cells(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts, cell = self.pieces.cell_starts, self.pieces.cell
        last = np.append(starts[1:], len(cell)) - 1
        return values[starts][cell], values[last][cell]

    @property
    def _totals(self) -> Float64[np.ndarray, " occupied_bins"]:
        """The sums of confidences, exact where they are of whole cells."""
        pieces, is_shared = self.pieces, self._is_shared
        limbs = np.zeros((2, len(self.bins)), dtype=np.int64)
        limbs[:, pieces.cell_starts] = pieces.limbs
        limbs[:, is_shared] = 0
        whole = from_limbs(np.add.reduceat(limbs, self.starts, axis=1))
        return np.asarray(whole + self._added(np.where(is_shared, pieces.total, 0.0)))
