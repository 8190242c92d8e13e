"""The two parts of proper scores, from the sums of a pass at the best temperature."""

import math

from calibench.metrics.intervals import quantile
from calibench.metrics.stream_results import ScoreAverages
from calibench.metrics.temperature_search import TemperatureSearch
from calibench.metrics.temperature_sums import TemperatureSums
from calibench.metrics.unbinned import PARTS, Number

# How the panel of a stream says what `decompose` says by folds.
LEFT_ONE_OUT = "g = temperature fitted on all other examples, to first order"
# A share of 1 / T: if leaving one example out moves it further, first order is not all.
_MOST_INFLUENCE = 0.1


def parts_of_sums(
    given: ScoreAverages, search: TemperatureSearch, level: float
) -> dict[str, Number]:
    """Refinement and calibration of NLL and Brier score.

    `decompose` fits on nine tenths of the examples and scores the others. Here each is
    scored by the fit without that example alone, from the derivatives at the optimum
    of all: the mean of its score is off the in-sample mean by mean(d s) / (n H), where
    s and d are the slopes of its NLL and of its score, and H the curvature of the mean
    NLL. Both estimate the same, and differ by about mean(s^2) / (n H), which is 1 / n
    for a calibrated model: by less than two deals of `decompose` differ. Intervals are
    those of `decompose`, with the first-order error of 1 / T in place of its jackknife.

    Args:
        given: The scores as given.
        search: At its end.
        level: Of the intervals.

    Source:
        Takeuchi 1976 for the first-order term; Efron and Stein 1981.
    """
    sums = search.sums
    if search.found is None or search.found.nll is None or sums is None:
        reason = search.found.reason if search.found else "its search has not ended"
        return dict.fromkeys(PARTS, Number(math.nan, None, f"no temperature: {reason}"))
    bend = sums.count * sums.mean("second")
    if sums.largest > _MOST_INFLUENCE * bend:
        reason = "single examples decide the temperature; give a part that fits memory"
        return dict.fromkeys(PARTS, Number(math.nan, None, reason))
    z, n = quantile(level), sums.count
    fitted = z * math.sqrt(n * sums.mean("slope_square")) / bend
    at_minimum = sums.mean("brier") + search.step * sums.mean("brier_slope")
    moved = abs(sums.mean("brier_slope")) * fitted
    nll = (search.found.nll, sums.mean("slope_square") / bend)
    brier = (at_minimum, sums.mean("slopes") / bend)
    return _parts("nll", given.nll, nll, 0.0, sums, z) | _parts(
        "brier", given.brier, brier, moved, sums, z
    )


def _parts(
    score: str,
    given: float,
    refined: tuple[float, float],
    by_fit: float,
    sums: TemperatureSums,
    z: float,
) -> dict[str, Number]:
    in_sample, optimism = refined
    held_out = in_sample + optimism
    size, gain = ("loss", "gain") if score == "nll" else ("brier", "brier_gain")
    calibration, most = given - held_out, max(given - in_sample, given - held_out)
    half = z * _error(sums.mean(f"{size}_square"), in_sample, sums.count) + by_fit
    error = z * _error(sums.mean(f"{gain}_square"), given - in_sample, sums.count)
    error += by_fit
    hidden = z**2 / 2 * (most - calibration)
    return {
        f"{score}_refinement": Number(held_out, (held_out - half, held_out + half)),
        f"{score}_calibration": Number(
            calibration, (calibration - error, most + error + hidden)
        ),
    }


def _error(square: float, mean: float, count: int) -> float:
    """The standard error of a mean, from the mean square."""
    return math.sqrt(max(square - mean**2, 0.0) / max(count - 1, 1))
