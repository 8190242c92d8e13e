"""The binned numbers of a panel that have bins, or events, of their own."""

from dataclasses import replace
from typing import TypeAlias

from calibench.binning import equal_mass, equal_width, summarize
from calibench.metrics import intervals
from calibench.metrics.calibration_error import mean_size
from calibench.metrics.floor import NoiseFloor, floor_of
from calibench.metrics.intervals import Interval
from calibench.metrics.redraw import redrawn_bins
from calibench.metrics.sweep import redrawn_sweep
from calibench.metrics.top_k import Claims
from calibench.predictions import Predictions

Found: TypeAlias = tuple[float, Interval | None, NoiseFloor | None]


def of_sweep(
    some: Predictions, num_bins: int, replicates: int, seed: int, level: float
) -> Found:
    """`ece_sweep`, whose number of bins is given, and swept anew in every replicate."""
    bins = equal_mass(some.confidence, num_bins)
    stats = summarize(bins, some.confidence, some.correct)
    value = float(mean_size(stats))
    redrawn = redrawn_sweep(some.confidence, replicates, seed)
    return value, intervals.of_mean_size(stats, level), floor_of(redrawn, value)


def of_claims(
    claims: Claims, num_bins: int, replicates: int, seed: int, level: float
) -> Found:
    """The expected calibration error of claims other than the predicted class."""
    bins = equal_width(claims.confidence, num_bins)
    stats = summarize(bins, claims.confidence, claims.correct)
    redrawn = mean_size(redrawn_bins(bins, claims.confidence, replicates, seed))
    value = float(mean_size(stats))
    return value, intervals.of_mean_size(stats, level), floor_of(redrawn, value)


def of_class_sum(
    value: float, interval: Interval | None, floor: NoiseFloor | None, num_classes: int
) -> Found:
    """The class-wise sum, from what was found for the mean."""
    if interval is not None:
        lo, hi = interval
        interval = lo * num_classes, min(hi * num_classes, 2.0)
    if floor is not None:
        floor = replace(
            floor, mean=floor.mean * num_classes, p95=floor.p95 * num_classes
        )
    return value * num_classes, interval, floor
