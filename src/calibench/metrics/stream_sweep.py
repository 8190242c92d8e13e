"""The sweep over numbers of bins, for a metric state."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from calibench.binning import from_limbs
from calibench.metrics import intervals
from calibench.metrics.calibration_error import mean_size
from calibench.metrics.cells import NUM_CELLS
from calibench.metrics.floor import NoiseFloor, floor_of
from calibench.metrics.intervals import Interval
from calibench.metrics.stream_results import equal_mass_bins
from calibench.metrics.stream_top import TopLabelState, check_bins
from calibench.metrics.sweep import Groups, largest_ascending, swept_error

# Numbers drawn at a time.
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
    state: TopLabelState, replicates: int, seed: int, level: float
) -> Swept:
    """Sweep the cells of a state.

    If no cell holds two confidences, the number of bins and the error are those of
    `ece_sweep`.

    Raises:
        ParameterError: There are no examples.
    """
    check_bins(state, 1, NUM_CELLS)
    sums = state.top[:, state.top[0] > 0]
    groups = Groups(sums[0], from_limbs(sums[2:4]))
    num_bins = int(largest_ascending(groups, sums[1:2])[0])
    stats, bound = equal_mass_bins(state, num_bins)
    value = float(mean_size(stats))
    mean = np.minimum(groups.total / groups.count, 1.0)
    redrawn = [
        swept_error(groups, right)
        for right in redrawn_right(groups.count, mean, replicates, seed)
    ]
    return Swept(
        num_bins,
        value,
        bound,
        intervals.of_mean_size(stats, level),
        floor_of(np.concatenate(redrawn), value),
    )


def redrawn_right(
    count: Int64[np.ndarray, " cells"],
    mean: Float64[np.ndarray, " cells"],
    replicates: int,
    seed: int,
) -> Iterator[Int64[np.ndarray, "some_replicates cells"]]:
    """Draw how many of each cell are right, in blocks of replicates."""
    rng = np.random.default_rng(seed)
    per_block = max(1, _BLOCK // len(count))
    for start in range(0, replicates, per_block):
        rows = min(per_block, replicates - start)
        yield rng.binomial(count, mean, (rows, len(count)))
