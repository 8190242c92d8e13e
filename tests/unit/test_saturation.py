"""Saturated confidences and quantiles of the log-odds."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from calibench import metrics
from calibench.errors import ParameterError
from calibench.metrics.intervals import of_share
from calibench.metrics.saturation import (
    ROUNDS_TO_ONE,
    _lower_rank,
    quantile_interval,
    quantile_of,
    saturated,
    share_interval,
)
from calibench.predictions import Predictions
from reference import ranking


@pytest.mark.parametrize(
    "confidence",
    [
        1.0,
        ROUNDS_TO_ONE,
        math.nextafter(ROUNDS_TO_ONE, 0),
        math.nextafter(ROUNDS_TO_ONE, 1),
        1 - 2.0**-24,
        0.5,
    ],
)
def test_saturated_is_what_float32_rounds_to_one(confidence):
    some = Predictions.from_probs([[confidence, 1 - confidence]], [0])
    assert saturated(some).tolist() == [np.float32(confidence) == 1]


def test_logits_are_told_apart_at_the_edge():
    edge = math.log(2**25 - 1)
    logits = np.array([[edge - 1e-6, 0.0], [edge + 1e-6, 0.0], [0.0, 800.0]])
    some = Predictions.from_logits(logits, [0, 0, 0])
    assert saturated(some).tolist() == [False, True, True]
    assert metrics.saturated_share(some) == 2 / 3
    # A softmax in float32 loses the difference earlier or later, by its own rounding.
    assert (np.float32(1) / (1 + np.exp(np.float32(-17.0)))) == 1


def test_a_given_one_is_saturated_whatever_the_others_were_given():
    probs = np.array([[1.0, 5e-7, 0.0], [1.0, 0.0, 0.0]], dtype=np.float32)
    assert metrics.saturated_share(Predictions.from_probs(probs, [0, 0])) == 1


def test_one_and_two_columns_agree():
    logits = np.array([20.0, -20.0, 16.0, 0.5])
    labels = [1, 0, 1, 0]
    one = Predictions.from_logits(logits, labels)
    two = Predictions.from_logits(np.stack([0 * logits, logits], axis=1), labels)
    assert metrics.saturated_share(one) == metrics.saturated_share(two) == 0.5
    for share in (0.05, 0.5, 0.95):
        found = metrics.log_odds_quantile(one, share)
        assert found == metrics.log_odds_quantile(two, share)
    assert metrics.log_odds_quantile(one) == pytest.approx(16, abs=1e-12)


@pytest.mark.parametrize(
    ("count", "total"), [(0, 1), (1, 1), (0, 10_000), (3, 10_000), (7, 20), (19, 20)]
)
def test_the_interval_of_the_share_is_exact(count, total):
    exact = stats.binomtest(count, total).proportion_ci(0.95, method="exact")
    found = share_interval(count, total, 0.95)
    assert found == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_with_many_on_either_side_it_is_wilsons():
    assert share_interval(1001, 2002, 0.95) == of_share(1001, 2002, 0.95)
    exact = share_interval(1000, 10**6, 0.95)
    assert exact == pytest.approx(of_share(1000, 10**6, 0.95), rel=0.01)
    # A billion examples of a stream.
    assert share_interval(2, 10**9, 0.95)[1] == pytest.approx(7.2e-9, rel=0.01)


VALUES = st.lists(st.sampled_from([-1.5, 0.0, 0.25, 3.0, 40.0, math.inf]), min_size=1)


@given(VALUES, st.sampled_from([0.05, 0.25, 0.5, 0.75, 0.95]))
def test_quantiles_of_counts_are_those_of_the_values(values, share):
    distinct, counts = np.unique(values, return_counts=True)
    expected = ranking.quantile(values, share)
    assert quantile_of(distinct, counts, share) == expected
    assert quantile_of(distinct, 3 * counts, share) == expected
    every = np.ones(len(values), dtype=np.int64)
    assert quantile_of(np.sort(values), every, share) == expected


def test_a_share_is_the_decimal_that_is_meant():
    values, counts = np.arange(1.0, 101), np.ones(100, dtype=np.int64)
    for percent in range(1, 100):
        assert quantile_of(values, counts, percent / 100) == percent


@pytest.mark.parametrize("total", [6, 40, 41, 333])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_ranks_cover_and_no_closer_ones_do(total, share):
    values, counts = np.arange(1.0, total + 1), np.ones(total, dtype=np.int64)
    found = quantile_interval(values, counts, share, 0.95)
    if found is None:
        # Not even all examples reach far enough to one of the sides.
        tail = max((1 - share) ** total, share**total)
        assert tail > 0.025
        return
    low, high = map(int, found)
    assert ranking.coverage_of_ranks(total, low, high, share) >= 0.95
    below = ranking.coverage_of_ranks(total, 0, low + 1, share)
    above = ranking.coverage_of_ranks(total, high - 1, total + 1, share)
    assert below > 0.025
    assert above > 0.025


def test_ranks_of_many_are_those_of_the_normal_limit():
    exact = _lower_rank(10**6, 0.3, 0.95)
    limit = 0.3e6 - 1.959964 * math.sqrt(0.21e6)
    assert exact == pytest.approx(limit, abs=2)
    assert _lower_rank(10**6 + 1, 0.3, 0.95) == pytest.approx(exact, abs=2)


def test_six_are_the_fewest_for_a_median():
    values = np.arange(6.0)
    assert quantile_interval(values, np.ones(6, dtype=np.int64), 0.5, 0.95) == (0, 5)
    five = np.ones(5, dtype=np.int64)
    assert quantile_interval(values[:5], five, 0.5, 0.95) is None


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, math.nan])
def test_impossible_shares_are_refused(share):
    some = Predictions.from_probs([[0.5, 0.5]], [0])
    with pytest.raises(ParameterError, match="share must be between 0 and 1"):
        metrics.log_odds_quantile(some, share)


def test_infinite_log_odds_are_null_with_a_reason():
    probs = [[0.75, 0.25]] * 30 + [[1.0, 0.0]] * 20
    found = metrics.evaluate(Predictions.from_probs(probs, [0] * 50), replicates=9)
    printed = json.loads(json.dumps(found.to_dict(), allow_nan=False))["metrics"]
    q95 = printed["log_odds_q95"]
    assert (q95["value"], q95["interval"]) == (None, None)
    assert q95["definition"]["interval"].startswith("none: infinite")
    # The median is finite, and so is its lower end, but 25 of 50 are near 30.
    median = printed["log_odds_median"]
    assert median["value"] == pytest.approx(math.log(3))
    assert median["interval"] is None
    assert "at its upper end" in median["definition"]["interval"]


def test_one_example_has_quantiles_without_intervals():
    found = metrics.evaluate(Predictions.from_probs([[0.75, 0.25]], [0]), replicates=9)
    for name in ("log_odds_q05", "log_odds_median", "log_odds_q95"):
        each = found.measurements[name]
        assert each.value == pytest.approx(math.log(3))
        assert "too few examples" in each.definition.interval
