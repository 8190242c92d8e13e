"""Cells of the claims of more than the predicted class, exact and mergeable."""

from dataclasses import dataclass

import numpy as np

from calibench.binning import BinStats
from calibench.errors import DataError, ParameterError
from calibench.metrics.cells import TopSums, top_cells
from calibench.metrics.stream_top import stats_of
from calibench.metrics.top_k import Claims, among_top, of_rank, panel_k
from calibench.options import whole_number
from calibench.predictions import Predictions

# Every number of bins that fits the classes of a metric state divides it.
_NUM_CELLS = 600


@dataclass(frozen=True, eq=False)
class RankCells:
    """What `top_k_ece` and `kth_class_ece` of the panel need to know of examples.

    A value, of the same size and the same bits as a metric state has: whatever the
    order, the shards and the batches.

    Attributes:
        num_classes: K.
        cells: By name of the number, the sums of `TopLabelState.top` for its claims,
            in 600 cells.

    Example:
        >>> some = Predictions.from_probs([[0.5, 0.25, 0.25]] * 2, [1, 2])
        >>> stats = RankCells.of(some).bins("kth_class_ece", 15)
        >>> stats.gap.tolist()  # 0.25 was claimed, and half of the labels came
        [-0.25]
    """

    num_classes: int
    cells: dict[str, TopSums]

    @classmethod
    def of(cls, some: Predictions) -> "RankCells":
        """The cells of these examples, each as often as its weight says.

        Raises:
            DataError: The weights are not whole numbers.
        """
        claims = {
            "top_k_ece": among_top(some, panel_k(some.num_classes)),
            "kth_class_ece": of_rank(some, 2),
        }
        cells = {name: _sums(each) for name, each in claims.items()}
        return cls(some.num_classes, cells)

    @property
    def num_examples(self) -> int:
        """How many examples it has seen."""
        return int(self.cells["top_k_ece"].count.sum())

    def merge(self, other: "RankCells") -> "RankCells":
        """The cells of the examples of both.

        Raises:
            DataError: The number of classes differs.
        """
        if self.num_classes != other.num_classes:
            msg = f"{self.num_classes} and {other.num_classes} classes do not merge."
            raise DataError(msg)
        added = {
            name: TopSums(mine.rows + other.cells[name].rows)
            for name, mine in self.cells.items()
        }
        return RankCells(self.num_classes, added)

    def bins(self, name: str, num_bins: int) -> BinStats:
        """The bins of a number, bit for bit those of memory.

        Raises:
            ParameterError: `num_bins` does not divide 600.
        """
        if _NUM_CELLS % whole_number(num_bins, "num_bins", least=1):
            msg = f"num_bins {num_bins} does not divide {_NUM_CELLS}. Give 15, or 10."
            raise ParameterError(msg)
        rows = self.cells[name].rows
        sums = TopSums(rows.reshape(len(rows), num_bins, -1).sum(axis=2))
        return stats_of(sums, np.arange(num_bins + 1) / num_bins)


def _sums(claims: Claims) -> TopSums:
    counts = claims.of.counts
    return TopSums(top_cells(claims.confidence, claims.correct, counts, _NUM_CELLS))
