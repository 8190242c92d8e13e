"""The whole panel: every number with its interval, noise floor and definition."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from calibench.binning import BinStats, lay, summarize
from calibench.errors import FitError
from calibench.metrics import calibration_error, intervals, redraw
from calibench.metrics.calibration_error import Functional
from calibench.metrics.canonical_evaluation import canonical_measurements
from calibench.metrics.classwise import class_cells
from calibench.metrics.debiased import size_less_bias
from calibench.metrics.definitions import Definition, definitions
from calibench.metrics.evaluation_binned import (
    Found,
    of_claims,
    of_class_sum,
    of_sweep,
    values_alone,
)
from calibench.metrics.floor import check_drawing, floor_of
from calibench.metrics.intervals import Interval
from calibench.metrics.measurement import (
    Evaluation,
    Measurement,
    TemperatureDiagnosis,
)
from calibench.metrics.redraw_labels import redrawn_classwise
from calibench.metrics.redraw_smooth import redrawn_smooth
from calibench.metrics.scores import accuracy, brier_terms, exact_mean
from calibench.metrics.smooth import smooth_ece
from calibench.metrics.smooth_interval import of_smooth_error
from calibench.metrics.sweep import sweep_num_bins
from calibench.metrics.top_k import among_top, of_rank, panel_k
from calibench.metrics.unbinned import unbinned
from calibench.metrics.verdict import verdict_on
from calibench.options import confidence_level
from calibench.posthoc.temperature import Temperature, optimal_temperature
from calibench.predictions import UNCOUNTED, Predictions
from calibench.signatures import of_predictions

_RATIO = "normal theory of a ratio of two sums, of weight * value and of weight"

# The redrawn smooth errors are good to about three digits.
SMOOTH_TIE = 1e-3

BinInterval: TypeAlias = Callable[[BinStats, float], Interval]

OF_BINS: dict[str, tuple[Functional, BinInterval]] = {
    "top_label_ece": (calibration_error.mean_size, intervals.of_mean_size),
    "rms_calibration_error": (
        calibration_error.root_mean_square,
        intervals.of_root_mean_square,
    ),
    "max_calibration_error": (
        calibration_error.largest_size,
        intervals.of_largest_size,
    ),
    "debiased_l2": (calibration_error.pair_products, intervals.of_pair_products),
    "debiased_l1": (size_less_bias, intervals.of_size_less_bias),
    "overconfidence": (calibration_error.mean_excess, intervals.of_mean_excess),
    "underconfidence": (calibration_error.mean_shortfall, intervals.of_mean_shortfall),
}


@of_predictions
def evaluate(
    some: Predictions,
    *,
    num_bins: int = 15,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    canonical: bool = False,
) -> Evaluation:
    """Measure calibration, with an interval, a noise floor and a definition each.

    Args:
        some: The predictions.
        num_bins: How many bins for the binned metrics.
        replicates: How many data sets to redraw for the floors.
        seed: Of the redrawing.
        level: Of the intervals. They treat examples as independent draws; the spread
            over training seeds is another matter.
        canonical: Whether to add the kernel estimates for whole vectors of
            probabilities, `canonical_measurements`: time is quadratic in the number of
            examples.

    A whole-number weight is so many examples. With other weights there are values, and
    intervals of means: how many independent examples a bin holds is not known.

    Raises:
        DataError: Kernel estimates of weighted examples are asked for.
        ParameterError: `num_bins` or `replicates` is below 1, or `level` is not
            between 0 and 1.

    Example:
        >>> found = evaluate(Predictions.from_probs([[0.75, 0.25]], [0]), replicates=9)
        >>> found.measurements["top_label_ece"].value
        0.25
    """
    check_drawing(replicates, seed)
    confidence_level(level)
    given, some = some, some.present
    k, swept = panel_k(some.num_classes), None
    if some.is_counted:
        how, swept = (num_bins, replicates, seed, level), sweep_num_bins(some)
        drawing = redraw.Drawing(some.confidence, replicates, seed, some.counts)
        found = _of_bins(some, num_bins, drawing, level)
        found |= _of_classes(some, *how)
        found |= _of_kernel(some, drawing, level)
        found["ece_sweep"] = of_sweep(some, swept, drawing, level)
        found["top_k_ece"] = of_claims(among_top(some, k), *how)
        found["kth_class_ece"] = of_claims(of_rank(some, 2), *how)
        others = unbinned(some, level)
        found |= {name: (*each[:2], None) for name, each in others.items()}
        reasons = {name: each.reason for name, each in others.items()}
    else:
        found = values_alone(some, num_bins, k)
        reasons = dict.fromkeys(found, UNCOUNTED)
    found |= _averages(some, level)
    measurements = {
        name: Measurement(
            *found[name],
            _defined(some, definition, found[name][1], reasons.get(name)),
        )
        for name, definition in definitions(num_bins, swept, k).items()
    }
    if canonical:
        measurements |= canonical_measurements(
            some, replicates=replicates, seed=seed, level=level
        )
    temperature = _diagnose(some)
    n = int(some.total_weight) if some.is_counted else None
    return Evaluation(
        n=given.num_examples,
        num_classes=some.num_classes,
        level=level,
        replicates=replicates,
        measurements=measurements,
        temperature=temperature,
        verdict=verdict_on(n, measurements, temperature),
        total_weight=None if given.weights is None else given.total_weight,
    )


def _averages(some: Predictions, level: float) -> dict[str, Found]:
    weights, correct = some.weights, some.correct.astype(np.float64)
    share: Interval | None
    if some.is_counted:
        right = some.correct.sum() if weights is None else weights[some.correct].sum()
        share = intervals.of_share(int(right), int(some.total_weight), level)
    else:
        share = intervals.of_mean(correct, level, weights)
    terms = {
        "nll": -some.label_log_probs,
        "brier": brier_terms(some),
        "confidence_gap": some.confidence - some.correct,
    }
    found: dict[str, Found] = {"accuracy": (accuracy(some), share, None)}
    for name, values in terms.items():
        interval = intervals.of_mean(values, level, weights)
        found[name] = (exact_mean(values, weights), interval, None)
    return found


def _of_bins(
    some: Predictions, num_bins: int, drawing: redraw.Drawing, level: float
) -> dict[str, Found]:
    found: dict[str, Found] = {}
    counts = some.counts
    for scheme, suffix, names in (
        ("equal_width", "", list(OF_BINS)),
        ("equal_mass", "_equal_mass", ["top_label_ece"]),
    ):
        bins = lay(scheme, some.confidence, num_bins, counts)
        stats = summarize(bins, some.confidence, some.correct, counts)
        # Of equal mass there is no number of squares.
        redrawn = redraw.redrawn_bins(bins, drawing, squares=not suffix)
        for name in names:
            functional, interval = OF_BINS[name]
            value = float(functional(stats))
            floor = floor_of(functional(redrawn), value)
            found[name + suffix] = (value, interval(stats, level), floor)
    return found


def _of_classes(
    some: Predictions, num_bins: int, replicates: int, seed: int, level: float
) -> dict[str, Found]:
    cells, counts = class_cells(some, num_bins, "equal_width"), some.counts
    missing = 1 - np.exp(some.label_log_probs)
    redrawn = redrawn_classwise(
        some.probs, num_bins, "equal_width", replicates, seed, counts
    )
    value = cells.mean_size()
    interval = intervals.of_classwise(cells, missing, level, counts)
    mean = (value, interval, floor_of(redrawn, value))
    return {
        "classwise_ece": mean,
        "classwise_ece_sum": of_class_sum(*mean, some.num_classes),
    }


def _of_kernel(
    some: Predictions, drawing: redraw.Drawing, level: float
) -> dict[str, Found]:
    value = smooth_ece(some)
    redrawn = redrawn_smooth(drawing)
    floor = floor_of(redrawn, value, tie=SMOOTH_TIE * value)
    return {"smooth_ece": (value, of_smooth_error(some, value, level), floor)}


def _defined(
    some: Predictions,
    definition: Definition,
    interval: Interval | None,
    reason: str | None,
) -> Definition:
    if interval is not None:
        return definition if some.is_counted else replace(definition, interval=_RATIO)
    if reason:
        return definition.without_interval(reason)
    fewest = intervals.FEWEST_FOR_A_MEAN
    if not some.is_counted and np.isfinite(some.label_log_probs).all():
        few = f"fewer than {fewest} examples in effect, or no spread among them"
        return definition.without_interval(few)
    if some.total_weight < fewest:
        return definition.without_interval(f"fewer than {fewest} examples")
    return definition.without_interval("a label was given probability 0")


def _diagnose(some: Predictions) -> TemperatureDiagnosis:
    try:
        value = optimal_temperature(some)
    except FitError as error:
        return TemperatureDiagnosis(None, None, str(error))
    scaled = Temperature(value).apply(some)
    return TemperatureDiagnosis(
        value, exact_mean(-scaled.label_log_probs, some.weights), None
    )
