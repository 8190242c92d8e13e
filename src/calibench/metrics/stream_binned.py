"""The binned and smoothed numbers of a metric state, with intervals and floors."""

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64

from calibench.binning import BinStats
from calibench.metrics import intervals
from calibench.metrics.calibration_error import mean_size
from calibench.metrics.cells import TopSums
from calibench.metrics.evaluation import OF_BINS, SMOOTH_TIE
from calibench.metrics.evaluation_binned import of_class_sum
from calibench.metrics.floor import NoiseFloor, floor_of
from calibench.metrics.intervals import Interval
from calibench.metrics.rank_cells import RankCells
from calibench.metrics.redraw import Drawing
from calibench.metrics.redraw_smooth import redrawn_smooth
from calibench.metrics.smooth_interval import of_smoothed_gaps
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_classwise import redrawn_classwise
from calibench.metrics.stream_equal_mass import MassBins
from calibench.metrics.stream_pieces import Pieces
from calibench.metrics.stream_results import ScoreAverages, smooth_error
from calibench.metrics.stream_sweep import state_sweep
from calibench.metrics.stream_top import TopLabelState

Found: TypeAlias = dict[str, tuple[float, Interval | None, NoiseFloor | None]]

# Cells of replicates at a time.
_BLOCK = 2**20


@dataclass(frozen=True)
class Drawn:
    """How numbers are binned, redrawn and bounded.

    Attributes:
        num_bins: How many bins.
        replicates: How many data sets are redrawn.
        seed: Of the redrawing.
        level: Of the intervals.
    """

    num_bins: int
    replicates: int
    seed: int
    level: float


def of_top_label(
    state: TopLabelState, how: Drawn
) -> tuple[Found, dict[str, float], int]:
    """The numbers of the predicted class.

    Returns:
        The numbers; for some the most that the cells can change of them; and the number
        of bins of `ece_sweep`.
    """
    # First, as it takes the most memory: none is held for others yet.
    smooth, off = smooth_error(state)
    of_kernel = _of_kernel(state, smooth, how)
    pieces, stats = Pieces.of(state), state.bins(how.num_bins)
    right = pieces.redrawn_right(how.replicates, how.seed)
    of_cells = np.add.reduceat(right, pieces.cell_starts, axis=1)
    redrawn = redrawn_stats(state.cells, stats, of_cells)
    del of_cells
    found: Found = {}
    for name, (functional, interval) in OF_BINS.items():
        value = float(functional(stats))
        floor = floor_of(functional(redrawn), value)
        found[name] = (value, interval(stats, how.level), floor)
    mass = MassBins.of(pieces, how.num_bins)
    found["top_label_ece_equal_mass"] = (
        mass.error,
        intervals.of_mean_size(mass.stats, how.level),
        floor_of(mass.redrawn(right), mass.error),
    )
    swept = state_sweep(pieces, right, how.level)
    found["ece_sweep"] = (swept.value, swept.interval, swept.floor)
    found["smooth_ece"] = of_kernel
    bounds = {
        "top_label_ece_equal_mass": mass.bound,
        "smooth_ece": off,
        "ece_sweep": swept.bound,
    }
    return found, bounds, swept.num_bins


def of_classes(state: MetricState, how: Drawn) -> Found:
    """The class-wise errors."""
    cells, missing = state.class_bins(how.num_bins), ScoreAverages.of(state)
    value, n = cells.mean_size(), state.num_examples
    interval = intervals.of_class_sums(cells, n, missing.square_missing * n, how.level)
    redrawn = redrawn_classwise(state, how.num_bins, how.replicates, how.seed)
    floor = None if redrawn is None else floor_of(redrawn, value)
    return {
        "classwise_ece": (value, interval, floor),
        "classwise_ece_sum": of_class_sum(value, interval, floor, state.num_classes),
    }


def of_ranks(ranks: RankCells, how: Drawn) -> Found:
    """The numbers of more than the predicted class."""
    found: Found = {}
    for name, cells in ranks.cells.items():
        stats, some = ranks.bins(name, how.num_bins), cells.occupied
        rng, shape = np.random.default_rng(how.seed), (how.replicates, len(some.count))
        right = rng.binomial(some.count, some.mean_confidence, shape)
        value = float(mean_size(stats))
        floor = floor_of(mean_size(redrawn_stats(cells, stats, right)), value)
        found[name] = (value, intervals.of_mean_size(stats, how.level), floor)
    return found


def redrawn_stats(
    cells: TopSums,
    stats: BinStats,
    right: Int64[np.ndarray, "replicates occupied_cells"],
) -> BinStats:
    """A summary of redrawn cells, for bins that are made of whole cells."""
    some = cells.occupied
    upto, mean = np.cumsum(some.count), some.mean_confidence
    # (c - a)^2 = c^2 + a (1 - 2c) for a in {0, 1}.
    square = some.squared_gap + 2 * some.confidence_right - some.right
    blocks = np.array_split(right, math.ceil(right.size / _BLOCK))
    ends = np.cumsum(stats.count)[:-1]
    starts = np.concatenate([[0], np.searchsorted(upto, ends) + 1])
    saved = [np.add.reduceat(each * (1 - 2 * mean), starts, axis=1) for each in blocks]
    total = np.add.reduceat(square, starts) + np.concatenate(saved)
    accuracy = np.add.reduceat(right, starts, axis=1) / stats.count
    return replace(stats, accuracy=accuracy, squared_gap=total / stats.count)


def _of_kernel(
    state: TopLabelState, value: float, how: Drawn
) -> tuple[float, Interval, NoiseFloor]:
    cells = state.cells.occupied
    right, of_right = cells.right, cells.confidence_right
    counts = np.concatenate([cells.count - right, right])
    sums = np.concatenate([cells.confidence - of_right, of_right])
    correct = np.repeat([False, True], len(right))
    seen = counts > 0
    interval = of_smoothed_gaps(
        np.minimum(sums[seen] / counts[seen], 1.0),
        correct[seen],
        counts[seen].astype(np.float64),
        value,
        how.level,
    )
    drawing = Drawing(cells.mean_confidence, how.replicates, how.seed, cells.count)
    redrawn = redrawn_smooth(drawing)
    return value, interval, floor_of(redrawn, value, tie=SMOOTH_TIE * value)
