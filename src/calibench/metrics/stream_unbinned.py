"""Ranking, saturation and log-odds of a metric state, and how far they can be off.

They are read off the cells of the log-odds, which tell apart confidences near 1.
"""

import math

import numpy as np

from calibench.metrics.cells import odds_range
from calibench.metrics.definitions import LOG_ODDS
from calibench.metrics.risk_coverage import area_of, area_range, excess_area_of
from calibench.metrics.risk_coverage_interval import (
    area_interval,
    excess_area_interval,
)
from calibench.metrics.saturation import (
    quantile_interval,
    quantile_of,
    share_interval,
)
from calibench.metrics.stream_top import TopLabelState
from calibench.metrics.unbinned import Number


def unbinned_of_state(
    state: TopLabelState, level: float
) -> dict[str, tuple[Number, float]]:
    """What `unbinned` measures, and for each number a bound on what the cells change.

    A cell counts as one confidence. The areas lie between those of the best and the
    worst ranking within the cells. A log-odds quantile is the middle of its cell, and
    infinite where 1 - c is lost in its rounding; its interval reaches to the ends of
    the cells that hold it. The saturated share is exact.
    """
    seen = np.flatnonzero(state.odds[0])
    count, right = state.odds[:, seen]
    return (
        _of_ranking(count[::-1], (count - right)[::-1], level)
        | _of_saturation(state, level)
        | _of_log_odds(seen, count, level)
    )


def _of_ranking(
    count: np.ndarray, wrong: np.ndarray, level: float
) -> dict[str, tuple[Number, float]]:
    area, (least, most) = area_of(count, wrong), area_range(count, wrong)
    bound = max(area - least, most - area)
    few = "too few wrong examples, or none more confident than a right one"
    ends = area_interval(count, wrong, level)
    excess = excess_area_of(count, wrong)
    excess_ends = excess_area_interval(count, wrong, level)
    return {
        "aurc": (Number(area, ends, few), bound),
        "excess_aurc": (Number(excess, excess_ends, few), bound),
    }


def _of_saturation(
    state: TopLabelState, level: float
) -> dict[str, tuple[Number, float]]:
    count, n = int(state.saturated), state.num_examples
    share = share_interval(count, n, level)
    return {"saturated_share": (Number(count / n, share), 0.0)}


def _of_log_odds(
    seen: np.ndarray, count: np.ndarray, level: float
) -> dict[str, tuple[Number, float]]:
    least, most = odds_range(seen)
    found = {}
    for name, fraction in LOG_ODDS.items():
        low, high = (quantile_of(each, count, fraction) for each in (least, most))
        value = (low + high) / 2
        bound = (high - low) / 2 if math.isfinite(value) else 0.0
        below = quantile_interval(least, count, fraction, level)
        above = quantile_interval(most, count, fraction, level)
        ends, reason = None, "too few examples for two order statistics around it"
        if below is not None and above is not None:
            ends, reason = (below[0], above[1]), ""
            if not np.isfinite(ends).all():
                ends, reason = None, "its end is beyond the cells"
        if not math.isfinite(value):
            reason = "beyond the cells, where 1 - c is lost in its rounding"
        found[name] = (Number(value, ends, reason), bound)
    return found
