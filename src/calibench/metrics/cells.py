"""The fine grids on which a state of the predicted class counts and sums."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from calibench.binning import Confidence, Correct, equal_width_index
from calibench.predictions import Counts
from calibench.sums import counted, from_limbs, limb_sums

# Cells of the predicted class. Every number of bins that divides it has its edges among
# the edges of the cells, as the very same float64: 10, 12, 15, 20, 25, 30, 50, 100, ...
NUM_CELLS = 7200

# Cells of the log-odds, where confidences near 1 lie far apart. With s the smaller of c
# and 1 - c, a cell is 1 / 64 of a power of two of s, so that its index is read off the
# bits of s: no logarithm is taken, and no machine rounds it otherwise. The middle cell
# is c = 1/2; the last is c = 1, and the first is all that is below 2^-23.
_STEP_BITS = 6
_MIDDLE = 23 << _STEP_BITS
NUM_ODDS = _MIDDLE + (52 << _STEP_BITS) + 2
_DROPPED = 52 - _STEP_BITS
_KEY_OF_HALF = 1022 << _STEP_BITS
# As `calibench.kernel` takes it.
ODDS_GRID = (_DROPPED, _KEY_OF_HALF, _MIDDLE, NUM_ODDS - 1)
# Of which 1 - c is a multiple where c is above 1/2.
_UNIT = 2.0**-53
# How far a softmax in float64 can be off where 1 - c is small.
_ROUNDING = 2.0**-51


@dataclass(frozen=True, eq=False)
class TopSums:
    """The rows of `top_cells` by what they are, of all cells or of some.

    Attributes:
        rows: Examples, right ones, the sum of confidences, that of right ones, that of
            squared gaps; a sum takes two rows, its limbs.
    """

    rows: Int64[np.ndarray, "rows=8 cells"]

    @property
    def count(self) -> Int64[np.ndarray, " cells"]:
        """Examples."""
        return self.rows[0]

    @property
    def right(self) -> Int64[np.ndarray, " cells"]:
        """Right ones."""
        return self.rows[1]

    @property
    def confidence(self) -> Float64[np.ndarray, " cells"]:
        """The sum of confidences."""
        return from_limbs(self.rows[2:4])

    @property
    def confidence_right(self) -> Float64[np.ndarray, " cells"]:
        """The sum of confidences of right ones."""
        return from_limbs(self.rows[4:6])

    @property
    def squared_gap(self) -> Float64[np.ndarray, " cells"]:
        """The sum of (confidence - correct)^2."""
        return from_limbs(self.rows[6:8])

    @property
    def mean_confidence(self) -> Float64[np.ndarray, " cells"]:
        """The mean confidence, of cells that have examples."""
        return np.minimum(self.confidence / self.count, 1.0)

    @property
    def occupied(self) -> "TopSums":
        """Of the cells that have examples."""
        return TopSums(self.rows[:, self.count > 0])

    @property
    def together(self) -> "TopSums":
        """Of all these cells as one."""
        return TopSums(self.rows.sum(axis=1, keepdims=True))

    def total_gap(self) -> float:
        """Sum of confidence minus number right over all cells, rounded once."""
        high, low = self.rows[2:4].sum(axis=1).tolist()
        return ((high << 30) + low - (int(self.right.sum()) << 60)) / 2**60


def odds_index(confidence: Confidence) -> Int64[np.ndarray, " examples"]:
    """The cell of the log-odds of each confidence."""
    smaller = np.minimum(confidence, 1 - confidence)
    steps = _KEY_OF_HALF - (smaller.view(np.int64) >> _DROPPED)
    return np.clip(
        np.where(confidence > 0.5, _MIDDLE + steps, _MIDDLE - steps), 0, NUM_ODDS - 1
    )


def odds_confidence(
    index: Int64[np.ndarray, " cells"],
) -> tuple[Float64[np.ndarray, " cells"], Float64[np.ndarray, " cells"]]:
    """The least and the greatest confidence in cells of the log-odds.

    Above 1/2 both are there: 1 - c is a multiple of 2^-53. Below, the greatest is not.
    """
    least, most = _smaller_range(index)
    fewest, units = np.ceil(least / _UNIT), np.ceil(most / _UNIT) - 1
    high = np.where(index >= _MIDDLE, 1 - fewest * _UNIT, most)
    low = np.where(index >= _MIDDLE, 1 - units * _UNIT, least)
    return np.minimum(low, high), high


def odds_range(
    index: Int64[np.ndarray, " cells"],
) -> tuple[Float64[np.ndarray, " cells"], Float64[np.ndarray, " cells"]]:
    """The least and the greatest log-odds of examples in these cells.

    Near 1 they are wide, as 1 - c is a small multiple of 2^-53 there and its rounding
    counts; `Predictions.log_odds` goes back to the logits.
    """
    least, most = _smaller_range(index)
    near, far = (
        _log_odds_beside(np.maximum(each, 0))
        for each in (most + _ROUNDING, least - _ROUNDING)
    )
    above = index >= _MIDDLE
    return np.where(above, near, -far), np.where(above, far, -near)


def _smaller_range(
    index: Int64[np.ndarray, " cells"],
) -> tuple[Float64[np.ndarray, " cells"], Float64[np.ndarray, " cells"]]:
    """The least of c and 1 - c in cells, and what it is below (but at 1/2)."""
    steps = np.abs(index - _MIDDLE)
    least = _smaller_of(steps)
    least[index == 0] = least[index == NUM_ODDS - 1] = 0
    return least, np.minimum(_smaller_of(steps - 1), 0.5)


def _smaller_of(steps: Int64[np.ndarray, " cells"]) -> Float64[np.ndarray, " cells"]:
    return ((_KEY_OF_HALF - steps) << _DROPPED).view(np.float64)


def _log_odds_beside(
    smaller: Float64[np.ndarray, " cells"],
) -> Float64[np.ndarray, " cells"]:
    with np.errstate(divide="ignore"):
        return np.log1p(-smaller) - np.log(smaller)


def top_cells(
    confidence: Confidence,
    correct: Correct,
    counts: Counts | None = None,
    num_cells: int = NUM_CELLS,
) -> Int64[np.ndarray, "rows=8 cells"]:
    """The rows of `TopLabelState.top`, each example as often as it counts."""
    index = equal_width_index(confidence, num_cells)
    right = index[correct]
    of_right = None if counts is None else counts[correct]
    return np.concatenate(
        [
            counted(index, num_cells, counts)[None],
            counted(right, num_cells, of_right)[None],
            limb_sums(index, confidence, num_cells, counts),
            limb_sums(right, confidence[correct], num_cells, of_right),
            limb_sums(index, (confidence - correct) ** 2, num_cells, counts),
        ]
    )


def odds_cells(
    confidence: Confidence, correct: Correct, counts: Counts | None = None
) -> Int64[np.ndarray, "rows=2 odds_cells"]:
    """The rows of `TopLabelState.odds`, each example as often as it counts."""
    index = odds_index(confidence)
    of_right = None if counts is None else counts[correct]
    return np.stack(
        [
            counted(index, NUM_ODDS, counts),
            counted(index[correct], NUM_ODDS, of_right),
        ]
    )
