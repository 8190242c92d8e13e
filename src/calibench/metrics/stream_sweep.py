"""The sweep over numbers of bins, for a metric state."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from calibench.metrics import intervals
from calibench.metrics.calibration_error import mean_size
from calibench.metrics.cells import NUM_CELLS
from calibench.metrics.floor import NoiseFloor, floor_of
from calibench.metrics.intervals import Interval
from calibench.metrics.stream_results import equal_mass_bins
from calibench.metrics.stream_top import TopLabelState, check_bins
from calibench.metrics.sweep import Groups, largest_ascending, swept_error

# Cells of replicates at a time.
_BLOCK = 2**20


@dataclass(frozen=True)
class Swept:
    """What a metric state knows of `ece_sweep`.

    Attributes:
        num_bins: The number of bins chosen. The examples of a cell stay together, so
            the number may be another than for the examples themselves.
        value: The error in so many equal-mass bins of whole cells.
        bound: How far it can be from `top_label_ece` in so many equal-mass bins.
        interval: As for the equal-mass error.
        floor: Of redrawn cells, swept anew in every replicate.
    """

    num_bins: int
    value: float
    bound: float
    interval: Interval
    floor: NoiseFloor


def state_sweep(
    state: TopLabelState,
    redrawn: Int64[np.ndarray, "replicates occupied_cells"],
    level: float,
) -> Swept:
    """Sweep the cells of a state, and those of `redrawn_right`.

    If no cell holds two confidences, the number of bins and the error are those of
    `ece_sweep`.

    Raises:
        ParameterError: There are no examples.
    """
    check_bins(state, 1, NUM_CELLS)
    cells = state.cells.occupied
    groups = Groups(cells.count, cells.confidence)
    num_bins = int(largest_ascending(groups, cells.right[None])[0])
    stats, bound = equal_mass_bins(state, num_bins)
    value = float(mean_size(stats))
    blocks = np.array_split(redrawn, math.ceil(redrawn.size / _BLOCK))
    scores = np.concatenate([swept_error(groups, block) for block in blocks])
    interval = intervals.of_mean_size(stats, level)
    return Swept(num_bins, value, bound, interval, floor_of(scores, value))


def redrawn_right(
    state: TopLabelState, replicates: int, seed: int
) -> Int64[np.ndarray, "replicates occupied_cells"]:
    """Draw how many examples of each occupied cell are right."""
    cells, rng = state.cells.occupied, np.random.default_rng(seed)
    shape = (replicates, len(cells.count))
    return rng.binomial(cells.count, cells.mean_confidence, shape)
