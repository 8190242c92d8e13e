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

# Cells of the log-odds, where confidences near 1 lie far apart: 1 / 64 wide, from -16
# to 48. What lies beyond is in the first and the last.
ODDS_STEPS = 64
LEAST_ODDS = -16
NUM_ODDS = 4096


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


def cell_log_odds(
    confidence: Confidence,
) -> Float64[np.ndarray, " examples"]:
    """Log-odds of a confidence, infinite at 1.

    Above 30 they are coarse, as 1 - c is a small multiple of 2^-53 there;
    `Predictions.log_odds` goes back to the logits.
    """
    with np.errstate(divide="ignore"):
        return np.log(confidence) - np.log(1 - confidence)


def top_cells(
    confidence: Confidence, correct: Correct, counts: Counts | None = None
) -> Int64[np.ndarray, "rows=8 cells"]:
    """The rows of `TopLabelState.top`, each example as often as it counts."""
    index = equal_width_index(confidence, NUM_CELLS)
    right = index[correct]
    of_right = None if counts is None else counts[correct]
    return np.concatenate(
        [
            counted(index, NUM_CELLS, counts)[None],
            counted(right, NUM_CELLS, of_right)[None],
            limb_sums(index, confidence, NUM_CELLS, counts),
            limb_sums(right, confidence[correct], NUM_CELLS, of_right),
            limb_sums(index, (confidence - correct) ** 2, NUM_CELLS, counts),
        ]
    )


def odds_cells(
    log_odds: Float64[np.ndarray, " examples"],
    correct: Correct,
    counts: Counts | None = None,
) -> Int64[np.ndarray, "rows=2 odds_cells"]:
    """The rows of `TopLabelState.odds`, each example as often as it counts."""
    steps = (log_odds - LEAST_ODDS) * ODDS_STEPS
    index = np.clip(steps, 0, NUM_ODDS - 1).astype(np.int64)
    of_right = None if counts is None else counts[correct]
    return np.stack(
        [
            counted(index, NUM_ODDS, counts),
            counted(index[correct], NUM_ODDS, of_right),
        ]
    )
