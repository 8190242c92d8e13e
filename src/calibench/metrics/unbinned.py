"""The numbers of the panel that need neither bins nor redrawing."""

import math
from typing import NamedTuple

import numpy as np

from calibench.errors import FitError
from calibench.metrics import intervals
from calibench.metrics.decomposition import decompositions
from calibench.metrics.definitions import LOG_ODDS
from calibench.metrics.intervals import Interval
from calibench.metrics.risk_coverage import RiskCoverage
from calibench.metrics.risk_coverage_interval import (
    FEWEST_WRONG,
    area_interval,
    excess_area_interval,
)
from calibench.metrics.saturation import (
    counted_log_odds,
    quantile_interval,
    quantile_of,
    saturated,
    share_interval,
)
from calibench.predictions import Predictions
from calibench.sums import counted

# With more, the fits of the decomposition would take seconds.
MOST_NUMBERS = 2**20
PARTS = ("nll_refinement", "nll_calibration", "brier_refinement", "brier_calibration")


class Number(NamedTuple):
    """A number, its interval, and why there is none, or not even a number (NaN)."""

    value: float
    interval: Interval | None
    reason: str = ""


def unbinned(some: Predictions, level: float) -> dict[str, Number]:
    """Decomposition, ranking, saturation, log-odds, by the names of `definitions`.

    Raises:
        DataError: The weights are not whole numbers.
    """
    return _of_parts(some, level) | _of_ranking(some, level) | _of_log_odds(some, level)


def _of_parts(some: Predictions, level: float) -> dict[str, Number]:
    if some.total_weight * some.num_classes > MOST_NUMBERS:
        reason = (
            f"left out above {MOST_NUMBERS:,} numbers, as it takes eleven fits; "
            "calibench.metrics.decompose has no such limit"
        )
        return dict.fromkeys(PARTS, Number(math.nan, None, reason))
    try:
        parts = decompositions(some, level=level)
    except FitError as error:
        return dict.fromkeys(PARTS, Number(math.nan, None, str(error)))
    few = f"fewer than {intervals.FEWEST_FOR_A_MEAN} examples"
    found = {}
    for score, each in parts.items():
        found[f"{score}_refinement"] = Number(
            each.refinement, each.refinement_interval, few
        )
        found[f"{score}_calibration"] = Number(each.calibration, each.interval, few)
    return found


def _of_ranking(some: Predictions, level: float) -> dict[str, Number]:
    curve = RiskCoverage.of(some)
    few = f"fewer than {FEWEST_WRONG} wrong examples"
    if int(curve.wrong.sum()) >= FEWEST_WRONG:
        few = "no wrong example is more confident than a right one"
    return {
        "aurc": Number(curve.area, area_interval(curve.count, curve.wrong, level), few),
        "excess_aurc": Number(
            curve.excess_area,
            excess_area_interval(curve.count, curve.wrong, level),
            few,
        ),
    }


def _of_log_odds(some: Predictions, level: float) -> dict[str, Number]:
    total = int(some.total_weight)
    count = int(counted(saturated(some).astype(np.int64), 2, some.counts)[1])
    share = share_interval(count, total, level)
    found = {"saturated_share": Number(count / total, share)}
    values, counts = counted_log_odds(some)
    for name, fraction in LOG_ODDS.items():
        value = quantile_of(values, counts, fraction)
        ends = quantile_interval(values, counts, fraction, level)
        reason = "too few examples for two order statistics around it"
        if ends is not None and not math.isfinite(ends[1]):
            ends, reason = None, "the others were given probability 0 at its upper end"
        if not math.isfinite(value):
            reason = "infinite, as the others were given probability 0"
        found[name] = Number(value, ends, reason)
    return found
