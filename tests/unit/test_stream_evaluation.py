"""The panel from a state beside the panel from the examples."""

import json
import math

import numpy as np
import pytest

from calibench import metrics
from calibench.errors import ParameterError
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_evaluation import (
    NOT_IN_A_STATE,
    evaluate_state,
    redrawn_stats,
)
from calibench.metrics.stream_sweep import redrawn_right
from calibench.metrics.stream_unbinned import unbinned_of_state
from calibench.metrics.unbinned import unbinned
from calibench.predictions import Predictions

# Read off cells, or with other rounding.
LOOSE = {
    "top_label_ece_equal_mass": 5e-3,
    "smooth_ece": 5e-3,
    "ece_sweep": 5e-3,
    "aurc": 1e-3,
    "excess_aurc": 1e-3,
    "log_odds_q05": 0.02,
    "log_odds_median": 0.02,
    "log_odds_q95": 0.02,
}


@pytest.fixture(scope="module")
def some():
    rng = np.random.default_rng(0)
    logits = 1.5 * rng.standard_normal((800, 4))
    labels = np.array([rng.choice(4, p=p) for p in _softmax(0.7 * logits)])
    return Predictions.from_logits(logits, labels)


def _softmax(logits):
    weights = np.exp(logits)
    return weights / weights.sum(axis=1, keepdims=True)


def test_values_intervals_and_floors_are_those_of_memory(some):
    expected = metrics.evaluate(some, replicates=400)
    found = evaluate_state(MetricState.of(some), replicates=400)
    assert found.n == expected.n
    kept = [name for name in expected.measurements if name not in NOT_IN_A_STATE]
    assert list(found.measurements) == kept
    for name in kept:
        there, here = expected.measurements[name], found.measurements[name]
        if name.endswith(("refinement", "calibration")):
            assert math.isnan(here.value)
            assert "needs the examples" in here.definition.interval
            continue
        loose = LOOSE.get(name)
        assert here.value == pytest.approx(there.value, rel=0, abs=loose or 1e-14)
        close = pytest.approx(there.interval, rel=0, abs=loose or 1e-12)
        assert here.interval == close
        if here.floor and there.floor:
            # Other random numbers: means of 400 replicates differ by their noise.
            assert here.floor.mean == pytest.approx(
                there.floor.mean, rel=0.08, abs=2e-4
            )
            assert here.floor.p95 == pytest.approx(there.floor.p95, rel=0.12, abs=2e-4)
            assert here.floor.p_value == pytest.approx(there.floor.p_value, abs=0.1)


def test_what_a_state_cannot_know_is_said(some):
    found = evaluate_state(MetricState.of(some), replicates=99).to_dict()
    smooth = found["metrics"]["smooth_ece"]
    assert "within" in smooth["definition"]["edges"]
    assert (
        "within" in found["metrics"]["top_label_ece_equal_mass"]["definition"]["edges"]
    )
    assert found["metrics"]["classwise_ece"]["floor"] is None
    assert found["metrics"]["classwise_ece_sum"]["floor"] is None
    assert found["temperature"]["value"] is None
    assert "more than one pass" in found["temperature"]["reason"]
    assert found["verdict"].startswith("Over-confident by")


def test_a_calibrated_model_is_not_blamed():
    # 0.75 and three in four right: every replicate's gap is at least as large.
    rows = Predictions.from_probs([[0.75, 0.25]] * 40, [0, 0, 0, 1] * 10)
    floor = evaluate_state(MetricState.of(rows)).measurements["top_label_ece"].floor
    assert floor.p_value == 1
    # E|Binomial(40, 3/4) / 40 - 3/4| from its 41 probabilities.
    chances = [math.comb(40, k) * 0.75**k * 0.25 ** (40 - k) for k in range(41)]
    mean = sum(p * abs(k / 40 - 0.75) for k, p in enumerate(chances))
    assert floor.mean == pytest.approx(mean, rel=0.08)


def test_cells_are_redrawn_in_their_own_bins():
    # Confidence 1 is always right; a cell of 0.9 in its bin would show.
    rows = [[0.9, 0.1]] * 50 + [[1.0, 0.0]] * 50
    state = MetricState.of(Predictions.from_probs(rows, [0] * 100))
    right = redrawn_right(state, replicates=200, seed=0)
    (redrawn,) = redrawn_stats(state, [state.bins(15)], right)
    assert redrawn.accuracy.shape == (200, 2)
    assert (redrawn.accuracy[:, 1] == 1).all()
    assert redrawn.accuracy[:, 0].mean() == pytest.approx(0.9, abs=0.01)
    # E(c - a)^2 = 0.9 * 0.1.
    assert redrawn.squared_gap[:, 0].mean() == pytest.approx(0.09, abs=0.01)
    assert redrawn.squared_gap[:, 1] == pytest.approx(0, abs=1e-15)


def test_one_example_and_an_infinite_loss_make_valid_json():
    one = Predictions.from_probs([[1.0, 0.0]], [1])
    found = evaluate_state(MetricState.of(one), replicates=9)
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(text)["nll"] is None
    assert found.measurements["brier"].interval is None
    assert "fewer than 30" in found.measurements["brier"].definition.interval
    assert "infinite" in found.measurements["nll"].definition.interval


def test_no_replicates_are_refused(some):
    with pytest.raises(ParameterError, match="replicates must be at least 1"):
        evaluate_state(MetricState.of(some), replicates=0)


@pytest.mark.parametrize("scale", [3.0, 12.0])
def test_ranking_and_log_odds_are_within_their_bounds(scale):
    rng = np.random.default_rng(4)
    logits = scale * rng.standard_normal((4000, 10))
    labels = np.where(
        rng.random(4000) < 0.8, logits.argmax(axis=1), rng.integers(10, size=4000)
    )
    some = Predictions.from_logits(logits, labels)
    expected = unbinned(some, 0.95)
    found = unbinned_of_state(MetricState.of(some), 0.95)
    needs_examples = ("refinement", "calibration")
    assert [*found] == [n for n in expected if not n.endswith(needs_examples)]
    assert found["saturated_share"] == (expected["saturated_share"], 0.0)
    for name, (number, bound) in found.items():
        exact = expected[name]
        assert abs(number.value - exact.value) <= bound, name
        assert np.allclose(number.interval, exact.interval, rtol=0, atol=0.02), name
        if name.startswith("log_odds"):
            assert number.interval[0] <= exact.interval[0], name
            assert number.interval[1] >= exact.interval[1], name


def test_log_odds_beyond_the_cells_are_infinite_with_a_reason():
    some = Predictions.from_probs([[1.0, 0.0]] * 200, [0] * 200)
    measured = evaluate_state(MetricState.of(some), replicates=9).measurements
    median = measured["log_odds_median"]
    assert median.value == math.inf
    assert median.to_dict()["value"] is None
    assert "lost in its rounding" in median.definition.interval
    assert measured["saturated_share"].value == 1.0
