"""The panel from a state beside the panel from the examples."""

import json
import math

import numpy as np
import pytest

from calibench import metrics
from calibench.errors import ParameterError
from calibench.metrics import decompose, stream_classwise
from calibench.metrics.further import Further
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_binned import redrawn_stats
from calibench.metrics.stream_decomposition import parts_of_sums
from calibench.metrics.stream_evaluation import evaluate_state
from calibench.metrics.stream_pieces import Pieces
from calibench.metrics.stream_results import ScoreAverages
from calibench.metrics.stream_unbinned import unbinned_of_state
from calibench.metrics.unbinned import PARTS, unbinned
from calibench.predictions import Predictions

# They rank the classes of an example, and a state keeps the first class alone.
NOT_IN_A_STATE = {"top_k_ece", "kth_class_ece"}
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


def passed(some, state):
    further = Further.start(state)
    while further.next_pass is not None:
        further = further.after(further.next_pass.sums_of(some))
    return further


def _softmax(logits):
    weights = np.exp(logits)
    return weights / weights.sum(axis=1, keepdims=True)


def test_values_intervals_and_floors_are_those_of_memory(some):
    expected = metrics.evaluate(some, replicates=2000)
    found = evaluate_state(MetricState.of(some), replicates=2000)
    assert found.n == expected.n
    kept = [name for name in expected.measurements if name not in NOT_IN_A_STATE]
    assert list(found.measurements) == kept
    for name in kept:
        there, here = expected.measurements[name], found.measurements[name]
        if name.endswith(("refinement", "calibration")):
            assert math.isnan(here.value)
            assert "needs further passes" in here.definition.interval
            continue
        loose = LOOSE.get(name)
        assert here.value == pytest.approx(there.value, rel=0, abs=loose or 1e-14)
        close = pytest.approx(there.interval, rel=0, abs=loose or 1e-12)
        assert here.interval == close
        if here.floor and there.floor:
            # Other random numbers: means of 2000 replicates differ by their noise.
            assert here.floor.mean == pytest.approx(
                there.floor.mean, rel=0.08, abs=2e-4
            )
            assert here.floor.p95 == pytest.approx(there.floor.p95, rel=0.12, abs=2e-4)
            assert here.floor.p_value == pytest.approx(there.floor.p_value, abs=0.1)


def test_with_further_passes_the_panel_is_whole(some):
    expected = metrics.evaluate(some, replicates=400)
    state = MetricState.of(some)
    further = passed(some, state)
    found = evaluate_state(state, further=further, replicates=400)
    assert list(found.measurements) == list(expected.measurements)
    for name in ("top_k_ece", "kth_class_ece"):
        there, here = expected.measurements[name], found.measurements[name]
        assert (here.value, here.interval) == (there.value, there.interval)
        assert here.floor.mean == pytest.approx(there.floor.mean, rel=0.08)
        assert here.floor.p_value == pytest.approx(there.floor.p_value, abs=0.1)
        assert here.definition == there.definition
    assert found.temperature.value == pytest.approx(
        expected.temperature.value, rel=1e-10
    )
    assert found.temperature.nll == pytest.approx(expected.temperature.nll, rel=1e-12)
    # All but the p-value, which is of other random numbers.
    sentences = [each.verdict.partition("Dividing")[2] for each in (found, expected)]
    assert sentences[0] == sentences[1] != ""
    one = 1 / some.num_examples
    for name in PARTS:
        there, here = expected.measurements[name], found.measurements[name]
        # Two ways to leave examples out differ by a part of an example.
        assert here.value == pytest.approx(there.value, rel=0, abs=one)
        assert "all other examples" in here.definition.quantity


@pytest.mark.parametrize("score", ["nll", "brier"])
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_parts_of_scores_are_those_of_folds(score, temperature):
    rng = np.random.default_rng(2)
    logits = 2 * rng.standard_normal((20_000, 5))
    labels = (logits / temperature + rng.gumbel(size=logits.shape)).argmax(axis=1)
    some = Predictions.from_logits(logits, labels)
    state = MetricState.of(some)
    search = passed(some, state).search
    found = parts_of_sums(ScoreAverages.of(state), search, 0.95)
    there = decompose(some, score=score)
    calibration = found[f"{score}_calibration"]
    refinement = found[f"{score}_refinement"]
    assert calibration.value == pytest.approx(there.calibration, rel=0, abs=1 / 20_000)
    assert refinement.value == pytest.approx(there.refinement, rel=0, abs=1 / 20_000)
    for here, other in (
        (calibration.interval, there.interval),
        (refinement.interval, there.refinement_interval),
    ):
        close = pytest.approx(other, rel=0, abs=(other[1] - other[0]) / 10)
        assert here == close


def test_a_temperature_that_single_examples_decide_has_no_parts():
    # One wrong example of forty.
    some = Predictions.from_logits([[4.0, 0.0]] * 40, [0] * 39 + [1])
    state = MetricState.of(some)
    further = passed(some, state)
    assert further.search.found.value == pytest.approx(4 / math.log(39))
    found = evaluate_state(state, further=further, replicates=9)
    part = found.measurements["nll_calibration"]
    assert math.isnan(part.value)
    assert "single examples decide" in part.definition.interval


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_the_floor_of_classes_is_that_of_memory(num_classes):
    rng = np.random.default_rng(1)
    logits = 2 * rng.standard_normal((3000, num_classes))
    some = Predictions.from_logits(logits, rng.integers(num_classes, size=3000))
    there = metrics.evaluate(some).measurements["classwise_ece"].floor
    here = evaluate_state(MetricState.of(some)).measurements["classwise_ece"].floor
    assert here.mean == pytest.approx(there.mean, rel=0.02)
    assert here.p95 == pytest.approx(there.p95, rel=0.03)


def test_of_very_many_classes_whole_bins_are_redrawn_or_none(some, monkeypatch):
    state = MetricState.of(some)
    fine = stream_classwise.redrawn_classwise(state, 15, 500, 0)
    cells, bins = (
        np.count_nonzero(a) for a in (state.classes[0], state.class_bins(15).count)
    )
    monkeypatch.setattr(stream_classwise, "_MOST", 500 * cells - 1)
    coarse = stream_classwise.redrawn_classwise(state, 15, 500, 0)
    assert coarse.mean() == pytest.approx(fine.mean(), rel=0.05)
    monkeypatch.setattr(stream_classwise, "_MOST", 500 * bins - 1)
    assert stream_classwise.redrawn_classwise(state, 15, 500, 0) is None
    floor = evaluate_state(state, replicates=500).measurements["classwise_ece"].floor
    assert floor is None


def test_what_a_state_cannot_know_is_said(some):
    found = evaluate_state(MetricState.of(some), replicates=99).to_dict()
    smooth = found["metrics"]["smooth_ece"]
    assert "within" in smooth["definition"]["edges"]
    assert (
        "within" in found["metrics"]["top_label_ece_equal_mass"]["definition"]["edges"]
    )
    assert found["temperature"]["value"] is None
    assert "further passes" in found["temperature"]["reason"]
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
    right = Pieces.of(state).redrawn_right(replicates=200, seed=0)
    redrawn = redrawn_stats(state.cells, state.bins(15), right)
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
