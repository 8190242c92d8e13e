"""The panel of `evaluate` for a metric state, with what a state can know."""

import math
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64

from calibench.binning import BinStats
from calibench.metrics import intervals
from calibench.metrics.calibration_error import mean_size
from calibench.metrics.cells import NUM_CELLS
from calibench.metrics.definitions import Definition, definitions
from calibench.metrics.evaluation import OF_BINS, SMOOTH_TIE
from calibench.metrics.evaluation_binned import of_class_sum
from calibench.metrics.floor import NoiseFloor, check_drawing, floor_of
from calibench.metrics.intervals import FEWEST_FOR_A_MEAN, Interval
from calibench.metrics.measurement import (
    Evaluation,
    Measurement,
    TemperatureDiagnosis,
)
from calibench.metrics.redraw import Drawing
from calibench.metrics.redraw_smooth import redrawn_smooth
from calibench.metrics.smooth_interval import of_smoothed_gaps
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_results import (
    ScoreAverages,
    TopAverages,
    equal_mass_bins,
    results,
    smooth_error,
)
from calibench.metrics.stream_sweep import redrawn_right, state_sweep
from calibench.metrics.stream_unbinned import unbinned_of_state
from calibench.metrics.verdict import verdict_on
from calibench.options import confidence_level

# They rank the classes of an example, and a state keeps the first class alone.
NOT_IN_A_STATE = frozenset({"top_k_ece", "kth_class_ece"})

Found: TypeAlias = dict[str, tuple[Interval | None, NoiseFloor | None]]

_LEFT_OUT = (None, None)
# Cells of replicates at a time.
_BLOCK = 2**20
# Where these have no interval, it is for want of examples.
_FROM_SUMS = {"nll", "brier", "confidence_gap"}
_NO_TEMPERATURE = (
    "a temperature needs more than one pass; fit one on a part that fits in memory"
)


def evaluate_state(
    state: MetricState,
    *,
    num_bins: int = 15,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Evaluation:
    """Measure calibration from a metric state: `evaluate` for any number of examples.

    Values are those of `MetricState.result`; the definitions of the two that come from
    cells state their bounds. Intervals are those of `evaluate`; for the smooth error
    the right and the wrong examples of a cell stand at their mean confidences. Floors
    redraw how many examples of each cell are right (a binomial at the cell's mean
    confidence, whose variance is too large by less than 1 / 7,200^2 an example). There
    is no floor of `classwise_ece`, and no temperature: they need the examples.
    `top_k_ece` and `kth_class_ece` are left out: a state keeps the first class of an
    example and the classes one by one, not the ranks of the others.

    Raises:
        ParameterError: There are no examples, `num_bins` does not divide the number of
            cells, or `replicates` is below 1.

    Example:
        >>> from calibench.predictions import Predictions
        >>> some = MetricState.of(Predictions.from_probs([[0.75, 0.25]], [0]))
        >>> evaluate_state(some, replicates=9).measurements["top_label_ece"].value
        0.25
    """
    check_drawing(replicates, seed)
    confidence_level(level)
    values = results(state, num_bins) | {"accuracy": TopAverages.of(state).accuracy}
    measured = _averages(state, num_bins, level)
    stats = state.bins(num_bins)
    mass, bound = equal_mass_bins(state, num_bins)
    right = redrawn_right(state, replicates, seed)
    redrawn, redrawn_mass = redrawn_stats(state, [stats, mass], right)
    for name, (functional, interval) in OF_BINS.items():
        values[name] = float(functional(stats))
        floor = floor_of(functional(redrawn), values[name])
        measured[name] = (interval(stats, level), floor)
    name = "top_label_ece_equal_mass"
    measured[name] = (
        intervals.of_mean_size(mass, level),
        floor_of(mean_size(redrawn_mass), values[name]),
    )
    measured["smooth_ece"] = _of_kernel(
        state, values["smooth_ece"], (replicates, seed), level
    )
    swept = state_sweep(state, right, level)
    values["ece_sweep"] = swept.value
    measured["ece_sweep"] = (swept.interval, swept.floor)
    summed = of_class_sum(
        values["classwise_ece"], *measured["classwise_ece"], state.num_classes
    )
    values["classwise_ece_sum"], measured["classwise_ece_sum"] = summed[0], summed[1:]
    rules = {
        each: f"from cells of 1 / {NUM_CELLS}, within {at_most:.1e}"
        for each, at_most in (
            (name, bound),
            ("smooth_ece", smooth_error(state)[1]),
            ("ece_sweep", swept.bound),
        )
    }
    reasons = {}
    for each, (number, at_most) in unbinned_of_state(state, level).items():
        values[each], measured[each] = number.value, (number.interval, None)
        reasons[each] = number.reason
        if at_most > 0:
            rules[each] = f"from cells of the log-odds, within {at_most:.1e}"
    measurements = {
        name: Measurement(
            values.get(name, math.nan),
            *measured.get(name, _LEFT_OUT),
            _defined(
                name,
                _with_rule(each, rules.get(name)),
                measured.get(name, _LEFT_OUT)[0],
                reasons.get(name),
            ),
        )
        for name, each in definitions(num_bins, swept.num_bins).items()
        if name not in NOT_IN_A_STATE
    }
    temperature = TemperatureDiagnosis(None, None, _NO_TEMPERATURE)
    return Evaluation(
        n=state.num_examples,
        num_classes=state.num_classes,
        level=level,
        replicates=replicates,
        measurements=measurements,
        temperature=temperature,
        verdict=verdict_on(state.num_examples, measurements, temperature),
    )


def redrawn_stats(
    state: MetricState,
    summaries: list[BinStats],
    right: Int64[np.ndarray, "replicates occupied_cells"],
) -> list[BinStats]:
    """Summaries of `redrawn_right`, for bins that are made of whole cells."""
    cells = state.cells.occupied
    upto, mean = np.cumsum(cells.count), cells.mean_confidence
    # (c - a)^2 = c^2 + a (1 - 2c) for a in {0, 1}.
    square = cells.squared_gap + 2 * cells.confidence_right - cells.right
    blocks = np.array_split(right, math.ceil(right.size / _BLOCK))
    redrawn = []
    for stats in summaries:
        ends = np.cumsum(stats.count)[:-1]
        starts = np.concatenate([[0], np.searchsorted(upto, ends) + 1])
        total = np.add.reduceat(square, starts)
        saved = [
            np.add.reduceat(block * (1 - 2 * mean), starts, axis=1) for block in blocks
        ]
        total = total + np.concatenate(saved)
        accuracy = np.add.reduceat(right, starts, axis=1) / stats.count
        redrawn.append(
            replace(stats, accuracy=accuracy, squared_gap=total / stats.count)
        )
    return redrawn


def _of_kernel(
    state: MetricState, value: float, drawing: tuple[int, int], level: float
) -> tuple[Interval, NoiseFloor]:
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
        level,
    )
    drawn = Drawing(cells.mean_confidence, *drawing, cells.count)
    redrawn = redrawn_smooth(drawn)
    return interval, floor_of(redrawn, value, tie=SMOOTH_TIE * value)


def _averages(state: MetricState, num_bins: int, level: float) -> Found:
    averages, scores = TopAverages.of(state), ScoreAverages.of(state)
    n = averages.n
    cells = state.class_bins(num_bins)
    missing = scores.square_missing * n
    return {
        "accuracy": (intervals.of_share(averages.right, n, level), None),
        "nll": (_of_mean(scores.nll, scores.square_nll, n, level), None),
        "brier": (_of_mean(scores.brier, scores.square_brier, n, level), None),
        "confidence_gap": (
            _of_mean(averages.gap, averages.square_gap, n, level),
            None,
        ),
        "classwise_ece": (intervals.of_class_sums(cells, n, missing, level), None),
    }


def _of_mean(mean: float, square: float, n: int, level: float) -> Interval | None:
    """`intervals.of_mean` from the mean and the mean square."""
    if n < FEWEST_FOR_A_MEAN or not math.isfinite(square):
        return None
    variance = max(square - mean**2, 0.0) * n / (n - 1)
    half = intervals.quantile(level) * math.sqrt(variance / n)
    return mean - half, mean + half


def _with_rule(definition: Definition, rule: str | None) -> Definition:
    if rule is None:
        return definition
    edges = rule if definition.edges is None else f"{definition.edges}; {rule}"
    return replace(definition, edges=edges)


def _defined(
    name: str, definition: Definition, interval: Interval | None, reason: str | None
) -> Definition:
    if interval is not None:
        return definition
    if reason is not None:
        return definition.without_interval(reason)
    if name not in _FROM_SUMS:
        return definition.without_interval("it needs the examples, not their cells")
    if name == "nll":
        return definition.without_interval("too few examples, or an infinite loss")
    return definition.without_interval(f"fewer than {FEWEST_FOR_A_MEAN} examples")
