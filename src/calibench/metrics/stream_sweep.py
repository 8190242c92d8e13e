"""The sweep over numbers of bins, for a metric state."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from calibench.metrics import intervals
from calibench.metrics.floor import NoiseFloor, floor_of
from calibench.metrics.intervals import Interval
from calibench.metrics.stream_equal_mass import MassBins
from calibench.metrics.stream_pieces import Pieces
from calibench.metrics.sweep import largest_ascending, swept_error

# Pieces of replicates at a time.
_BLOCK = 2**20


@dataclass(frozen=True)
class Swept:
    """What a metric state knows of `ece_sweep`.

    Attributes:
        num_bins: The number of bins chosen. The examples of a piece stay together, so
            the number may be another than for the examples themselves.
        value: The error in so many equal-mass bins of whole pieces.
        bound: How far it can be from `top_label_ece` in so many equal-mass bins.
        interval: As for the equal-mass error.
        floor: Of redrawn pieces, swept anew in every replicate.
    """

    num_bins: int
    value: float
    bound: float
    interval: Interval
    floor: NoiseFloor


def state_sweep(
    pieces: Pieces, redrawn: Int64[np.ndarray, "replicates pieces"], level: float
) -> Swept:
    """Sweep the pieces of a state, and those of `Pieces.redrawn_right`.

    If no piece holds two confidences, the number of bins and the error are those of
    `ece_sweep`.
    """
    num_bins = int(largest_ascending(pieces.groups, pieces.right[None])[0])
    bins = MassBins.of(pieces, num_bins)
    blocks = np.array_split(redrawn, math.ceil(redrawn.size / _BLOCK))
    scores = np.concatenate([swept_error(pieces.groups, block) for block in blocks])
    interval = intervals.of_mean_size(bins.stats, level)
    return Swept(
        num_bins, bins.error, bins.bound, interval, floor_of(scores, bins.error)
    )
