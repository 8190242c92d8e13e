"""The panel of `evaluate` for a metric state, with what a state can know."""

import math
from dataclasses import replace

from calibench.metrics import intervals
from calibench.metrics.definitions import FITTED, Definition, definitions
from calibench.metrics.floor import check_drawing
from calibench.metrics.further import Further
from calibench.metrics.intervals import FEWEST_FOR_A_MEAN, Interval
from calibench.metrics.measurement import (
    Evaluation,
    Measurement,
    TemperatureDiagnosis,
)
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_binned import (
    Drawn,
    Found,
    of_classes,
    of_ranks,
    of_top_label,
)
from calibench.metrics.stream_decomposition import LEFT_ONE_OUT, parts_of_sums
from calibench.metrics.stream_results import ScoreAverages, TopAverages
from calibench.metrics.stream_unbinned import unbinned_of_state
from calibench.metrics.top_k import panel_k
from calibench.metrics.unbinned import PARTS, Number
from calibench.metrics.verdict import verdict_on
from calibench.options import confidence_level

# Where these have no interval, it is for want of examples.
_FROM_SUMS = {"nll", "brier", "confidence_gap"}
_NEEDS_PASSES = "it needs further passes over the examples"


def evaluate_state(
    state: MetricState,
    *,
    further: Further | None = None,
    num_bins: int = 15,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Evaluation:
    """Measure calibration from a metric state: `evaluate` for any number of examples.

    Values are those of `MetricState.result`; the definitions of those that come from
    cells state their bounds. Intervals are those of `evaluate`; for the smooth error
    the right and the wrong examples of a cell stand at their mean confidences. Floors
    redraw how many examples of each cell are right (a binomial at the cell's mean
    confidence, whose variance is too large by less than 1 / 7,200^2 an example, or
    1 / 600^2 for the top classes). That of `classwise_ece` draws the classes apart,
    which leaves its mean as it is and moves its 95th percentile a little.

    Args:
        state: Of all examples.
        further: Further passes over the same examples, to their end: for a temperature,
            the two parts of proper scores, `top_k_ece` and `kth_class_ece`. Without
            them the parts are not a number, and the last two are left out.
        num_bins: How many bins for the binned metrics.
        replicates: How many data sets to redraw for the floors.
        seed: Of the redrawing.
        level: Of the intervals.

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
    how = Drawn(num_bins, replicates, seed, level)
    found, bounds, swept = of_top_label(state, how)
    found |= _averages(state, level) | of_classes(state, how)
    rules = {name: f"from cells, within {most:.1e}" for name, most in bounds.items()}
    numbers = {}
    for name, (number, most) in unbinned_of_state(state, level).items():
        numbers[name] = number
        if most > 0:
            rules[name] = f"from cells of the log-odds, within {most:.1e}"
    numbers |= _parts(state, further, level)
    found |= {name: (each.value, each.interval, None) for name, each in numbers.items()}
    if further is not None and further.ranks is not None:
        found |= of_ranks(further.ranks, how)
    known = definitions(num_bins, swept, panel_k(state.num_classes))
    measurements = {}
    for name in known:
        if name in found:
            definition = _with_rule(known[name], rules.get(name))
            reason = numbers[name].reason if name in numbers else None
            definition = _defined(name, definition, found[name][1], reason)
            measurements[name] = Measurement(*found[name], definition)
    temperature = TemperatureDiagnosis(None, None, _NEEDS_PASSES)
    if further is not None and further.search.found is not None:
        temperature = further.search.found
    n = state.num_examples
    return Evaluation(
        n=n,
        num_classes=state.num_classes,
        level=level,
        replicates=replicates,
        measurements=measurements,
        temperature=temperature,
        verdict=verdict_on(n, measurements, temperature),
    )


def _parts(
    state: MetricState, further: Further | None, level: float
) -> dict[str, Number]:
    if further is None:
        return dict.fromkeys(PARTS, Number(math.nan, None, _NEEDS_PASSES))
    return parts_of_sums(ScoreAverages.of(state), further.search, level)


def _averages(state: MetricState, level: float) -> Found:
    averages, scores = TopAverages.of(state), ScoreAverages.of(state)
    n = averages.n
    share = intervals.of_share(averages.right, n, level)
    found: Found = {"accuracy": (averages.accuracy, share, None)}
    for name, mean, square in (
        ("nll", scores.nll, scores.square_nll),
        ("brier", scores.brier, scores.square_brier),
        ("confidence_gap", averages.gap, averages.square_gap),
    ):
        found[name] = (mean, _of_mean(mean, square, n, level), None)
    return found


def _of_mean(mean: float, square: float, n: int, level: float) -> Interval | None:
    """`intervals.of_mean` from the mean and the mean square."""
    if n < FEWEST_FOR_A_MEAN or not math.isfinite(square):
        return None
    variance = max(square - mean**2, 0.0) * n / (n - 1)
    half = intervals.quantile(level) * math.sqrt(variance / n)
    return mean - half, mean + half


def _with_rule(definition: Definition, rule: str | None) -> Definition:
    quantity = definition.quantity.replace(FITTED, LEFT_ONE_OUT)
    definition = replace(definition, quantity=quantity)
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
