"""The binned numbers of a panel that have bins, or events, of their own."""

import math
from dataclasses import replace
from typing import TypeAlias

from calibench.binning import lay, summarize
from calibench.metrics import intervals
from calibench.metrics.calibration_error import mean_size
from calibench.metrics.definitions import definitions
from calibench.metrics.floor import NoiseFloor, floor_of
from calibench.metrics.intervals import Interval
from calibench.metrics.panel import scalars
from calibench.metrics.redraw import Drawing, redrawn_bins
from calibench.metrics.sweep import redrawn_sweep
from calibench.metrics.top_k import Claims, kth_class_ece, top_k_ece
from calibench.predictions import Predictions

Found: TypeAlias = tuple[float, Interval | None, NoiseFloor | None]


def of_sweep(some: Predictions, num_bins: int, drawing: Drawing, level: float) -> Found:
    """`ece_sweep`, whose number of bins is given, and swept anew in every replicate."""
    counts = some.counts
    bins = lay("equal_mass", some.confidence, num_bins, counts)
    stats = summarize(bins, some.confidence, some.correct, counts)
    value = float(mean_size(stats))
    floor = floor_of(redrawn_sweep(drawing), value)
    return value, intervals.of_mean_size(stats, level), floor


def of_claims(
    claims: Claims, num_bins: int, replicates: int, seed: int, level: float
) -> Found:
    """The expected calibration error of claims other than the predicted class."""
    confidence, counts = claims.confidence, claims.of.counts
    bins = lay("equal_width", confidence, num_bins, counts)
    stats = summarize(bins, confidence, claims.correct, counts)
    drawing = Drawing(confidence, replicates, seed, counts)
    redrawn = mean_size(redrawn_bins(bins, drawing, squares=False))
    value = float(mean_size(stats))
    return value, intervals.of_mean_size(stats, level), floor_of(redrawn, value)


def values_alone(some: Predictions, num_bins: int, k: int) -> dict[str, Found]:
    """The numbers of a panel for weights that do not count examples.

    Those that have to count them are not a number.
    """
    values = scalars(some, num_bins=num_bins)
    values |= {
        "classwise_ece_sum": values["classwise_ece"] * some.num_classes,
        "top_k_ece": top_k_ece(some, k=k, num_bins=num_bins),
        "kth_class_ece": kth_class_ece(some, k=2, num_bins=num_bins),
    }
    names = definitions(num_bins)
    return {name: (values.get(name, math.nan), None, None) for name in names}


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
