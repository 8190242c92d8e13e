"""The panel with intervals, floors, definitions and a verdict."""

import json
import math

import numpy as np
import pytest

from calibench import metrics
from calibench.binning import equal_mass, equal_width
from calibench.errors import ParameterError
from calibench.metrics.calibration_error import mean_size
from calibench.metrics.classwise import class_cells
from calibench.metrics.redraw import (
    Drawing,
    redrawn_correct,
)
from calibench.metrics.redraw_labels import redrawn_classwise, redrawn_labels
from calibench.metrics.redraw_smooth import redrawn_smooth
from calibench.metrics.smooth import smooth_error_of
from calibench.predictions import Predictions

CALIBRATION = [
    "top_label_ece",
    "top_label_ece_equal_mass",
    "ece_sweep",
    "classwise_ece",
    "classwise_ece_sum",
    "top_k_ece",
    "kth_class_ece",
    "rms_calibration_error",
    "max_calibration_error",
    "smooth_ece",
    "debiased_l2",
    "debiased_l1",
    "overconfidence",
    "underconfidence",
]
UNBINNED = {
    "nll_refinement": metrics.nll_refinement,
    "nll_calibration": metrics.nll_calibration,
    "brier_refinement": metrics.brier_refinement,
    "brier_calibration": metrics.brier_calibration,
    "aurc": metrics.aurc,
    "excess_aurc": metrics.excess_aurc,
    "saturated_share": metrics.saturated_share,
    "log_odds_q05": lambda some: metrics.log_odds_quantile(some, 0.05),
    "log_odds_median": metrics.log_odds_quantile,
    "log_odds_q95": lambda some: metrics.log_odds_quantile(some, 0.95),
}
AVERAGES = ["accuracy", "nll", "brier", "confidence_gap"]


def model(n, sharpness, seed=0, num_classes=4):
    """Labels drawn from softmax(z), predictions softmax(sharpness * z)."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((n, num_classes))
    labels = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    return Predictions.from_logits(sharpness * logits, labels)


@pytest.fixture(scope="module")
def sharp():
    return metrics.evaluate(model(2000, 2.0), replicates=200)


def test_the_contract_of_the_json(sharp):
    found = json.loads(json.dumps(sharp.to_dict(), allow_nan=False))
    assert found["n"] == 2000
    assert found["num_classes"] == 4
    for name in ("accuracy", "nll", "brier"):
        assert found[name] == found["metrics"][name]["value"]
    assert list(found["metrics"]) == [*AVERAGES, *CALIBRATION, *UNBINNED]
    for name, entry in found["metrics"].items():
        assert set(entry) == {"value", "interval", "floor", "definition"}
        assert entry["interval"][0] <= entry["interval"][1]
        assert (entry["floor"] is None) == (name in [*AVERAGES, *UNBINNED])
        assert entry["definition"]["interval"]
    assert set(found["metrics"]["top_label_ece"]["floor"]) == {"mean", "p95", "p_value"}
    assert found["temperature"]["value"] == pytest.approx(2, rel=0.1)
    assert found["verdict"] == sharp.verdict


def test_values_are_those_of_the_functions(sharp):
    some = model(2000, 2.0)
    single = metrics.scalars(some) | {
        "accuracy": metrics.accuracy(some),
        "classwise_ece_sum": metrics.classwise_ece(some, reduction="sum"),
        "top_k_ece": metrics.top_k_ece(some, k=3),
        "kth_class_ece": metrics.kth_class_ece(some, k=2),
    }
    single |= {name: function(some) for name, function in UNBINNED.items()}
    for name, found in sharp.measurements.items():
        value = single[name] if name in single else getattr(metrics, name)(some)
        assert found.value == value
        assert found.interval[0] <= value <= found.interval[1]


def test_the_interval_of_every_average_holds_its_value(sharp):
    for name in AVERAGES:
        lo, hi = sharp.measurements[name].interval
        assert lo < sharp.measurements[name].value < hi


def test_floors_are_those_of_the_same_draws():
    some = model(300, 1.5)
    found = metrics.evaluate(some, replicates=50, num_bins=7).measurements
    alone = metrics.noise_floor(some, replicates=50, num_bins=7)
    assert found["top_label_ece"].floor == alone
    alone = metrics.noise_floor(
        some, replicates=50, num_bins=7, scheme=equal_mass, functional=mean_size
    )
    assert found["top_label_ece_equal_mass"].floor == alone


def test_redrawn_classwise_scores_redrawn_labels():
    some = model(60, 1.0)
    scores = redrawn_classwise(some.probs, 7, equal_width, 4, 3)
    ordered = some.probs[np.lexsort(some.probs.T)]
    drawn = np.concatenate(list(redrawn_labels(ordered, 4, 3)))
    for score, labels in zip(scores, drawn, strict=True):
        again = Predictions.from_probs(ordered, labels)
        assert score == pytest.approx(
            metrics.classwise_ece(again, num_bins=7), abs=1e-14
        )


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 5.0])
def test_redrawn_smooth_scores_redrawn_correctness_to_three_digits(sharpness):
    confidence = np.sort(model(500, sharpness).confidence)
    scores = redrawn_smooth(Drawing(confidence, 20, 3))
    drawn = np.concatenate(list(redrawn_correct(confidence, 20, 3)))
    exact = [smooth_error_of(confidence, correct) for correct in drawn]
    assert scores == pytest.approx(exact, rel=1e-3)


def test_cells_of_classes_hold_every_example():
    some = model(100, 1.0)
    cells = class_cells(some, 5, equal_width)
    assert cells.count.sum(axis=1).tolist() == [100] * 4
    assert cells.hits.sum(axis=1).tolist() == np.bincount(some.labels).tolist()
    assert cells.total.sum(axis=1) == pytest.approx(some.probs.sum(axis=0))


def test_the_order_of_the_examples_changes_nothing():
    some = model(200, 1.5)
    flipped = Predictions.from_logits(some.logits[::-1], some.labels[::-1])
    one = metrics.evaluate(some, replicates=20).to_dict()
    other = metrics.evaluate(flipped, replicates=20).to_dict()
    # The temperature sums over examples as they come.
    assert one.pop("temperature")["value"] == pytest.approx(
        other.pop("temperature")["value"], rel=1e-12
    )
    assert one == other


def test_verdict_on_an_over_confident_model(sharp):
    assert sharp.verdict.startswith("Over-confident by ")
    assert "mean confidence" in sharp.verdict
    assert "p <= 0.005" in sharp.verdict
    assert "Dividing the logits by " in sharp.verdict


def test_verdict_on_an_under_confident_model():
    found = metrics.evaluate(model(2000, 0.5), replicates=200)
    assert found.verdict.startswith("Under-confident by ")


def test_verdict_on_a_calibrated_model():
    found = metrics.evaluate(model(2000, 1.0), replicates=200)
    assert found.verdict.startswith("No sign of miscalibration at n = 2,000: ECE ")
    assert "No temperature is clearly better than 1" in found.verdict
    assert "class by class" not in found.verdict


def test_verdict_where_errors_cancel():
    # Says 0.6 and is right 80 %; says 1 and is right 80 %: the mean is right.
    probs = np.array([[0.6, 0.4], [1.0, 0.0]]).repeat(500, axis=0)
    labels = np.tile([0, 0, 0, 0, 1], 200)
    found = metrics.evaluate(Predictions.from_probs(probs, labels), replicates=200)
    assert found.verdict.startswith(
        "Miscalibrated: over-confident bins make 10.00 points and under-confident bins "
        "10.00 points"
    )
    assert found.verdict.endswith(
        "The NLL is infinite: a label was given probability 0."
    )


def test_verdict_where_only_the_classes_are_off():
    # The predicted class is right as often as it says; what is left goes to class 1
    # for sure and is said to be split.
    probs = np.tile([0.6, 0.2, 0.2], (1000, 1))
    labels = np.repeat([0, 1], [600, 400])
    found = metrics.evaluate(Predictions.from_probs(probs, labels), replicates=200)
    assert found.verdict.startswith("No sign of miscalibration")
    # Class 0 is right, classes 1 and 2 are off by 0.2 each, of three.
    assert "class by class the error is 13.33 %" in found.verdict


def test_one_example_is_measured_without_pretending():
    found = metrics.evaluate(Predictions.from_probs([[0.25, 0.75]], [1]), replicates=9)
    nll = found.measurements["nll"]
    assert nll.value == pytest.approx(-math.log(0.75), abs=1e-15)
    assert nll.interval is None
    assert nll.definition.interval == "none: fewer than 30 examples"
    lo, hi = found.measurements["top_label_ece"].interval
    assert (lo, hi) == (0, 1)
    assert found.temperature.value is None
    assert "every label has the largest logit" in found.temperature.reason


def test_a_redrawn_smooth_error_may_tie():
    # Three wrong at .75 score .75, and one replicate in 4^3 = 64 does so as well.
    some = Predictions.from_probs([[0.75, 0.25]] * 3, [1] * 3)
    floor = metrics.evaluate(some, replicates=999).measurements["smooth_ece"].floor
    assert floor.p_value == pytest.approx(1 / 64, abs=0.012)
    assert floor.p_value > 0.004


def test_an_infinite_loss_is_null_with_a_reason():
    some = Predictions.from_probs([[1.0, 0.0]] * 40, [0] * 39 + [1])
    found = metrics.evaluate(some, replicates=9)
    entry = found.to_dict()["metrics"]["nll"]
    assert found.measurements["nll"].value == math.inf
    assert (entry["value"], entry["interval"]) == (None, None)
    assert entry["definition"]["interval"] == "none: a label was given probability 0"
    assert found.to_dict()["nll"] is None
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_test_split_may_be_diagnosed():
    some = model(500, 2.0)
    test = Predictions.from_logits(some.logits, some.labels, split="test")
    assert metrics.optimal_temperature(test) == metrics.optimal_temperature(some)
    assert metrics.evaluate(test, replicates=9).temperature.value is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 1.0}, "level must be between 0 and 1, got 1.0"),
        ({"level": 0.0}, "level must be between 0 and 1"),
        ({"replicates": 0}, "replicates must be at least 1"),
        ({"num_bins": 0}, "num_bins must be at least 1"),
        ({"num_bins": 10_001}, "num_bins must be at most 10,000"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        metrics.evaluate(model(10, 1.0), **options)
