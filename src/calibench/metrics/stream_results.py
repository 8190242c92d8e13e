"""Numbers read off a metric state, and how far those from cells can be off.

Equal-width numbers are exact. Equal-mass bins and the smooth error depend on more than
the cells know; each comes with a bound on what that can change.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from calibench.metrics import calibration_error
from calibench.metrics.cells import NUM_CELLS, TopSums
from calibench.metrics.debiased import size_less_bias
from calibench.metrics.float_sums import total_of
from calibench.metrics.smooth import (
    damped,
    fixed_point,
    integral_of_size,
    series_of_moments,
)
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_equal_mass import MassBins
from calibench.metrics.stream_pieces import Pieces
from calibench.metrics.stream_top import TopLabelState, check_bins
from calibench.options import fraction, whole_number
from calibench.sums import from_limbs

# The series of the cells ends where a kernel of this width has damped it to e^-79.
SMALLEST_WIDTH = 4 / NUM_CELLS
# The integral of |second derivative| of a standard Gaussian, 4 phi(1), over 8.
_BEND = 4 * math.exp(-0.5) / math.sqrt(2 * math.pi) / 8


def results(state: TopLabelState, num_bins: int) -> dict[str, float]:
    """`TopLabelState.result`, and of a `MetricState` what else it knows."""
    stats = state.bins(num_bins)
    averages = TopAverages.of(state)
    found = {
        "error_rate": averages.error_rate,
        "mean_confidence": averages.confidence,
        "confidence_gap": averages.gap,
        "top_label_ece": float(calibration_error.mean_size(stats)),
        "top_label_ece_equal_mass": equal_mass_error(state, num_bins)[0],
        "max_calibration_error": float(calibration_error.largest_size(stats)),
        "overconfidence": float(calibration_error.mean_excess(stats)),
        "underconfidence": float(calibration_error.mean_shortfall(stats)),
        "rms_calibration_error": float(calibration_error.root_mean_square(stats)),
        "debiased_l1": float(size_less_bias(stats)),
        "debiased_l2": float(calibration_error.pair_products(stats)),
        "smooth_ece": smooth_error(state)[0],
        "saturated_share": int(state.saturated) / averages.n,
    }
    if not isinstance(state, MetricState):
        return found
    scores = ScoreAverages.of(state)
    return found | {
        "nll": scores.nll,
        "brier": scores.brier,
        "classwise_ece": state.class_bins(num_bins).mean_size(),
    }


@dataclass(frozen=True)
class TopAverages:
    """Means over examples of what concerns the predicted class."""

    n: int
    right: int
    confidence: float
    gap: float
    square_gap: float

    @classmethod
    def of(cls, state: TopLabelState) -> "TopAverages":
        """The means of a state that has seen examples."""
        sums = state.cells.together
        n = sums.count.item()
        return cls(
            n=n,
            right=sums.right.item(),
            confidence=sums.confidence.item() / n,
            gap=sums.total_gap() / n,
            square_gap=sums.squared_gap.item() / n,
        )

    @property
    def accuracy(self) -> float:
        """Share of examples that are right."""
        return self.right / self.n

    @property
    def error_rate(self) -> float:
        """Share of examples that are wrong."""
        return (self.n - self.right) / self.n


@dataclass(frozen=True)
class ScoreAverages:
    """Means over examples of proper scores, and the squares for their intervals."""

    nll: float
    square_nll: float
    brier: float
    square_brier: float
    square_missing: float

    @classmethod
    def of(cls, state: MetricState) -> "ScoreAverages":
        """The means of a state that has seen examples."""
        n = state.num_examples
        half, square_half, missing = from_limbs(state.scores).tolist()
        infinite = int(state.infinite) > 0
        return cls(
            nll=math.inf if infinite else total_of(state.losses[0]) / n,
            square_nll=math.inf if infinite else total_of(state.losses[1]) / n,
            brier=2 * half / n,
            square_brier=4 * square_half / n,
            square_missing=missing / n,
        )


def equal_mass_error(state: TopLabelState, num_bins: int) -> tuple[float, float]:
    """`top_label_ece` with equal-mass bins, and a bound on its error.

    Raises:
        ParameterError: There are no examples, or `num_bins` is below 1.
    """
    check_bins(state, 1, NUM_CELLS)
    whole_number(num_bins, "num_bins", least=1)
    bins = MassBins.of(Pieces.of(state), num_bins)
    return bins.error, bins.bound


def smooth_error(state: TopLabelState) -> tuple[float, float]:
    """`smooth_ece`, and a bound on its error.

    Within a cell of width h examples are known by the sum of their gaps and its first
    moment; what is left out of the kernel of width s is below h^2 / 8 times its second
    derivative, whose integral is 0.97 / s^2. So the smoothed integral is off by at most
    0.121 (h / s)^2 mean|gap|, and its fixed point by no more, since it falls with s.
    Errors below 4 h are taken at s = 4 h and may be low by what they lack to 4 h.

    Raises:
        ParameterError: There are no examples.
    """
    check_bins(state, 1, NUM_CELLS)
    sums, n = state.cells.together, state.num_examples
    low, of_right = abs(sums.total_gap()) / n, sums.confidence_right.item()
    wrong = sums.confidence.item() - of_right
    high = (wrong + sums.right.item() - of_right) / n
    series = _gap_series(state)

    def error(width: float) -> float:
        return float(integral_of_size(damped(series, width)))

    value = fixed_point(error, max(low, SMALLEST_WIDTH), max(high, SMALLEST_WIDTH))
    width = max(value, SMALLEST_WIDTH)
    bound = _BEND * high / (width * NUM_CELLS) ** 2
    return value, bound + width - value


def confidence_quantile(state: TopLabelState, share: float) -> float:
    """The confidence below which a share of the examples lies, to within a cell.

    It is the mean confidence of the cell that holds the example of rank
    ceil(share * n), so it is off by less than 1 / 7,200.

    Raises:
        ParameterError: There are no examples, or `share` is not in [0, 1].
    """
    check_bins(state, 1, NUM_CELLS)
    fraction(share, "share")
    upto = np.cumsum(state.cells.count)
    rank = max(math.ceil(share * int(upto[-1])), 1)
    cell = int(np.searchsorted(upto, rank))
    sums = TopSums(state.top[:, [cell]])
    return sums.confidence.item() / sums.count.item()


def _gap_series(state: TopLabelState) -> Float64[np.ndarray, " terms"]:
    """The cosine series of the gaps, from their sums and first moments in cells."""
    cells, right = state.cells, state.cells.right
    middle = (np.arange(NUM_CELLS) + 0.5) / NUM_CELLS
    gap = cells.confidence - right
    # c (c - a) = (c - a)^2 + a c - a, as a is 0 or 1.
    moment = cells.squared_gap + cells.confidence_right - right - middle * gap
    return np.asarray(series_of_moments([gap, moment]) / state.num_examples)
